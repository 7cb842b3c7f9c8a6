"""The endpoint of an RDS instance for Postgres that lets in by IAM.

https://www.postgresql.org/docs/18/protocol-message-formats.html; the token is asked for as a password in the
clear, inside TLS, as RDS does.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import struct
from collections.abc import Callable

from tests.standin.authority import Authority
from tests.standin.doors import Door, RefusedError

_TLS, _GSS, _CANCEL = 80_877_103, 80_877_104, 80_877_102
_CLEARTEXT, _SASL_FIRST, _SASL_NEXT, _SASL_LAST = 3, 10, 11, 12

# Returns the password of a role on the real server; None where the token does not let it in.
type PasswordOf = Callable[[str, str], str | None]


class PostgresDoor(Door):
    """Before the server at 127.0.0.1 and `backend`."""

    begins_with_tls = False

    def __init__(self, authority: Authority, *, port: int, backend: int, password_of: PasswordOf) -> None:
        self._backend = backend
        self._password_of = password_of
        super().__init__(authority, port)

    async def enter(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask for TLS and a token, then log in to the real server in the client's name."""
        packet, code = await _first(reader)
        is_safe = False
        while code in {_TLS, _GSS}:
            writer.write(b"S" if code == _TLS else b"N")
            await writer.drain()
            if code == _TLS:
                await writer.start_tls(self.context)
                is_safe = True
            packet, code = await _first(reader)
        if code == _CANCEL:
            return await self._begin(packet)
        if not is_safe:
            raise _refused("28000", "no pg_hba.conf entry: use SSL encryption")
        user = dict(zip(*[iter(packet[8:].split(b"\0"))] * 2, strict=False))[b"user"].decode()
        writer.write(b"R" + struct.pack("!II", 8, _CLEARTEXT))
        await writer.drain()
        kind, token = await _message(reader)
        password = None
        if kind == b"p":
            password = await asyncio.to_thread(self._password_of, user, token.rstrip(b"\0").decode())
        if password is None:
            raise _refused("28000", f'PAM authentication failed for user "{user}"')
        server_reader, server_writer = await self._begin(packet)
        await _log_in(server_reader, server_writer, password)
        writer.write(b"R" + struct.pack("!II", 8, 0))
        return server_reader, server_writer

    async def _begin(self, packet: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send the client's first message to the real server, which looks up the role at once."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._backend)
        writer.write(packet)
        return reader, writer


async def _first(reader: asyncio.StreamReader) -> tuple[bytes, int]:
    """Read a message without a type: the first ones; return it and its code."""
    head = await reader.readexactly(8)
    length, code = struct.unpack("!II", head)
    return head + await reader.readexactly(length - 8), code


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    return kind, await reader.readexactly(length - 4)


def _refused(code: str, text: str) -> RefusedError:
    fields = f"SFATAL\0VFATAL\0C{code}\0M{text}\0\0".encode()
    return RefusedError(b"E" + struct.pack("!I", len(fields) + 4) + fields)


async def _log_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, password: str) -> None:
    """Log in by SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding."""

    async def asked(expected: int) -> bytes:
        kind, body = await _message(reader)
        if kind != b"R":
            raise RefusedError(kind + struct.pack("!I", len(body) + 4) + body)
        assert struct.unpack("!I", body[:4])[0] == expected, body
        return body[4:]

    def send(body: bytes) -> None:
        writer.write(b"p" + struct.pack("!I", len(body) + 4) + body)

    await asked(_SASL_FIRST)
    first = f"n=,r={secrets.token_urlsafe(18)}".encode()
    greeting = b"n,," + first
    send(b"SCRAM-SHA-256\0" + struct.pack("!I", len(greeting)) + greeting)
    challenge = await asked(_SASL_NEXT)
    parts = dict(one.split(b"=", 1) for one in challenge.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts[b"s"]), int(parts[b"i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    last = b"c=biws,r=" + parts[b"r"]
    proof = hmac.digest(hashlib.sha256(client_key).digest(), b",".join((first, challenge, last)), "sha256")
    mixed = bytes(one ^ other for one, other in zip(client_key, proof, strict=True))
    send(last + b",p=" + base64.b64encode(mixed))
    await asked(_SASL_LAST)
    await asked(0)
