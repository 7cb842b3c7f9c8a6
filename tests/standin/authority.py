"""A certificate authority for the endpoints of one account."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The stand-in's authority")])
_PEM = serialization.Encoding.PEM
# What Python asks of an authority (RFC 5280, 4.2.1.3).
_SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """Signs certificates; its own is written to a file, and those of servers beside it."""

    def __init__(self, file: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._folder = file.parent
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        known_by = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        made = self._certificate(self._key, (constraints, True), (_SIGNS, True), (known_by, False))
        file.write_bytes(made.public_bytes(_PEM))

    def context(self, address: str) -> ssl.SSLContext:
        """Return what a server at this address needs for TLS."""
        key = ec.generate_private_key(ec.SECP256R1())
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = self._certificate(key, (addresses, True), (signed_by, False))
        file = self._folder / f"{address}.pem"
        file.touch(mode=0o600)
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(private + made.public_bytes(_PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(
        self, key: ec.EllipticCurvePrivateKey, *extensions: tuple[x509.ExtensionType, bool]
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        # A server's only name is its address.
        subject = _NAME if key is self._key else x509.Name([])
        builder = (
            x509.CertificateBuilder(_NAME, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )
        for extension, is_critical in extensions:
            builder = builder.add_extension(extension, critical=is_critical)
        return builder.sign(self._key, hashes.SHA256())
