"""The operator's registrations at the providers, and what is asked of a coach who connects a calendar."""

import json
from base64 import urlsafe_b64decode
from binascii import Error

from fairslot.calendars.oauth import GOOGLE, GOOGLE_EVENTS, GOOGLE_FREE_BUSY, Client, Grant, OAuth, Provider
from fairslot.platform.settings import settings

NAMES = {"google": "Google Calendar", "microsoft": "Microsoft 365", "caldav": "Your calendar"}

# Which account it is, which tells a coach who is signed in to another one.
_IDENTITY = frozenset({"openid", "email"})
# Without `offline_access` Microsoft gives no refresh token.
_MICROSOFT_IDENTITY = _IDENTITY | {"profile", "offline_access"}


class NotRegisteredError(Exception):
    """The operator has no registration at this provider."""


def oauth_of(kind: str) -> OAuth:
    """Return what the operator's client asks a provider for. Raises NotRegisteredError."""
    known = settings()
    if kind == "google" and known.google_client_id and known.google_client_secret:
        client = Client(client_id=known.google_client_id, client_secret=known.google_client_secret)
        return OAuth(provider_of(kind), client)
    if kind == "microsoft" and known.microsoft_client_id and known.microsoft_client_secret:
        client = Client(client_id=known.microsoft_client_id, client_secret=known.microsoft_client_secret)
        return OAuth(provider_of(kind), client)
    raise NotRegisteredError


def provider_of(kind: str) -> Provider:
    """Return a provider's OAuth endpoints; of a kind's module only what is needed is imported."""
    if kind == "google":
        elsewhere = settings().google_accounts_url
        return GOOGLE.at(elsewhere) if elsewhere else GOOGLE
    from fairslot.calendars.microsoft_opening import microsoft_provider

    return microsoft_provider(settings().microsoft_tenant)


def calendar_scopes(kind: str, *, writes: bool) -> frozenset[str]:
    """Return what is needed of a calendar: of one that is only read no right to write is asked for.

    Of Google that leaves free and busy times: its scope for reading events has their titles, which are not
    wanted.
    """
    if kind == "google":
        return GOOGLE_EVENTS if writes else GOOGLE_FREE_BUSY
    return frozenset({"Calendars.ReadWrite" if writes else "Calendars.Read"})


def all_scopes(kind: str, *, writes: bool) -> frozenset[str]:
    """Return what the consent is asked for: the calendar, and whose it is."""
    identity = _IDENTITY if kind == "google" else _MICROSOFT_IDENTITY
    return calendar_scopes(kind, writes=writes) | identity


def account_of(grant: Grant) -> str | None:
    """Return the address of the account that a grant is of, None where it does not say.

    The token came from the provider itself, over TLS: OpenID Connect Core, section 3.1.3.7, asks for no
    signature then.
    """
    parts = (grant.id_token or "").split(".")
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        named = claims.get("email") or claims.get("preferred_username")
    except (ValueError, LookupError, AttributeError, Error):
        return None
    return named if isinstance(named, str) and "@" in named else None
