"""Google's service accounts with domain-wide delegation: a signed assertion names whose calendar it is about.

https://developers.google.com/identity/protocols/oauth2/service-account (RFC 7523)
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import time
from typing import Any

import httpx

from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.oauth import GOOGLE, Grant, ask

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SECONDS = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """An organization's service account: `email`, and its RSA key as PEM with the key's id."""

    email: str
    private_key: str = field(repr=False)
    key_id: str | None = None

    @classmethod
    def from_json(cls, text: str) -> "ServiceAccount":
        """Read the file that Google gives for a key. Raises ValueError, without quoting it."""
        try:
            given: Any = json.loads(text)
            return cls(
                email=_text(given["client_email"]),
                private_key=_text(given["private_key"]),
                key_id=_text(given["private_key_id"]) if given.get("private_key_id") else None,
            )
        except (ValueError, TypeError, LookupError, AttributeError):
            raise ValueError("not the JSON key of a service account") from None

    async def token_for(
        self,
        subject: str,
        scopes: Iterable[str],
        *,
        token_url: str = GOOGLE.token_url,
        now: Callable[[], float] = time,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> Grant:
        """Return a token for the calendar of a user, by address. Raises CalendarError."""
        issued = int(now())
        claims = {
            "iss": self.email,
            "sub": subject,
            "scope": " ".join(sorted(scopes)),
            "aud": token_url,
            "iat": issued,
            "exp": issued + _SECONDS,
        }
        form = {"grant_type": _GRANT, "assertion": self._signed(claims)}
        return await ask(token_url, form, limits=limits, transport=transport)

    def _signed(self, claims: dict[str, Any]) -> str:
        # Imported when it is needed: the cryptography would slow every cold start.
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import RSAKey

        header = {"alg": "RS256", "typ": "JWT", **({"kid": self.key_id} if self.key_id else {})}
        try:
            return jwt.encode(header, claims, RSAKey.import_key(self.private_key))
        except (JoseError, ValueError, TypeError):
            raise CalendarError("unauthorized") from None


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise TypeError
    return given
