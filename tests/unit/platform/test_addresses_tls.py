"""HTTPS through the guard, over a real connection: whose certificate is asked for and accepted."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fairslot.platform.addresses import GuardedTransport, Rules

PUBLIC = "93.184.216.34"


class Detour(httpx.AsyncBaseTransport):
    """Stands in for the internet: what goes to PUBLIC arrives at a port of this machine, TLS and all."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=trust)
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it there."""
        assert request.url.host == PUBLIC
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """Make a certificate for a name and return the server's side of it; `folder` gets it as `ca.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


def post(folder: Path, certified: str) -> tuple[str, list[str | None]]:
    """Post to partner.example, served under a certificate for `certified`; return Host and asked names."""
    names: list[str | None] = []
    heads: list[str] = []
    server_side = certificate(folder, certified)
    server_side.sni_callback = lambda _socket, name, _context: names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return [PUBLIC]

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_side) as server:
            port = server.sockets[0].getsockname()[1]
            trust = ssl.create_default_context(cafile=folder / "ca.pem")
            guard = GuardedTransport(Detour(port, trust), Rules(https_ports=frozenset({443})), resolve)
            async with httpx.AsyncClient(transport=guard) as client:
                assert (await client.post("https://partner.example/hook")).status_code == 204

    asyncio.run(run())
    (host,) = (line for line in heads[0].split("\r\n") if line.startswith("Host:"))
    return host, names


def test_the_certificate_is_asked_for_and_judged_by_the_name(tmp_path: Path) -> None:
    """Although the connection goes to a number."""
    assert post(tmp_path, "partner.example") == ("Host: partner.example", ["partner.example"])


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    """Also one for what the number is called elsewhere."""
    with pytest.raises(httpx.ConnectError, match=r"[Hh]ostname mismatch"):
        post(tmp_path, "elsewhere.example")
