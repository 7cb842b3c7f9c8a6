"""The operator's application at Microsoft, allowed by an organization to open mailboxes without their owners.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
https://learn.microsoft.com/entra/identity-platform/certificate-credentials
"""

import hashlib
import re
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from time import time
from uuid import UUID, uuid4, uuid5

import httpx

from fairslot.calendars.access_tokens import SourceToken
from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.oauth import Grant, Provider, ask

# All that an administrator allowed; an application cannot ask for less.
SCOPE = "https://graph.microsoft.com/.default"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SECONDS = 300
_PEM = re.compile(r"(-----BEGIN ([A-Z ]+)-----.+?-----END \2-----)", re.DOTALL)
# What these tokens are kept under: an organization, and no source.
_TOKENS = UUID("7a0b3f53-4a0e-4f0c-9f5c-0d1f3c5b8a55")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """An application's certificate and its RSA key, both as PEM."""

    certificate: str
    private_key: str = field(repr=False)

    @classmethod
    def from_pem(cls, text: str) -> "Certificate":
        """Read a text that has both. Raises ValueError, without quoting it."""
        found = {label: block for block, label in _PEM.findall(text)}
        private = next((block for label, block in found.items() if label.endswith("PRIVATE KEY")), None)
        if private is None or "CERTIFICATE" not in found:
            raise ValueError("not a certificate with its private key")
        return cls(certificate=found["CERTIFICATE"], private_key=private)

    @property
    def thumbprint(self) -> str:
        """The SHA-256 of the certificate, as an assertion names it. Raises ValueError for what is none."""
        return _base64url(hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificate)).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The application in one organization, proven by a secret or, better, by a certificate.

    `provider` are the OAuth endpoints of the organization.
    """

    provider: Provider
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    certificate: Certificate | None = None
    limits: Limits | None = None
    transport: httpx.AsyncBaseTransport | None = None
    now: Callable[[], float] = time

    def token(self) -> SourceToken:
        """Return its token, which is one for all sources of the organization."""
        organization = uuid5(_TOKENS, f"{self.provider.token_url} {self.client_id}")
        proof = f"{self.client_secret} {self.certificate}"

        async def renew(_refresh_token: str) -> Grant:
            return await self.grant()

        # Another proof is another token.
        return SourceToken(source_id=organization, refresh_token=proof, refresh=renew)

    async def grant(self) -> Grant:
        """Return a token for all mailboxes that the application may open. Raises CalendarError."""
        token_url = self.provider.token_url
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "scope": SCOPE,
            **self._proof(token_url),
        }
        return await ask(token_url, form, limits=self.limits, transport=self.transport)

    def _proof(self, token_url: str) -> dict[str, str]:
        if self.certificate is None:
            return {"client_secret": self.client_secret or ""}
        issued = int(self.now())
        claims: dict[str, str | int] = {
            "aud": token_url,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": str(uuid4()),
            "iat": issued,
            "nbf": issued,
            "exp": issued + _SECONDS,
        }
        return {"client_assertion_type": _ASSERTION, "client_assertion": _signed(claims, self.certificate)}


def _signed(claims: dict[str, str | int], certificate: Certificate) -> str:
    """Return the claims as a JWT. Raises CalendarError, which does not quote the key."""
    # Imported when it is needed: the cryptography would slow every cold start.
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    try:
        header = {"alg": "PS256", "typ": "JWT", "x5t#S256": certificate.thumbprint}
        key = RSAKey.import_key(certificate.private_key)
        return jwt.encode(header, claims, key, algorithms=["PS256"])
    except (JoseError, ValueError, TypeError):
        raise CalendarError("unauthorized") from None


def _base64url(given: bytes) -> str:
    return urlsafe_b64encode(given).decode().rstrip("=")
