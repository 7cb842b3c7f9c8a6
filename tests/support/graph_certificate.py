"""A certificate of the operator's application at Microsoft."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from fairslot.calendars.microsoft_application import Certificate
from tests.support.graph import Standin


def new_certificate() -> Certificate:
    """Make a certificate that the application signs itself."""
    now = datetime.now(UTC)
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fairslot")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=365))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificate(certificate=made.public_bytes(pem).decode(), private_key=private.decode())


def trust(graph: Standin, certificate: Certificate) -> None:
    """Register the certificate's public key for the application."""
    loaded = x509.load_pem_x509_certificate(certificate.certificate.encode())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = loaded.public_key().public_bytes(serialization.Encoding.PEM, form)
    graph.control("settings", certificate=public.decode(), thumbprint=certificate.thumbprint)
