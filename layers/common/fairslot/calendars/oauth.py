"""OAuth 2.0 with the providers of calendars: consent with PKCE, refresh, revocation (RFC 6749, 7009, 7636).

https://developers.google.com/identity/protocols/oauth2/web-server
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
"""

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import quote, urlencode

import httpx

from fairslot.calendars.fetch import Limits, default_limits
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.provider_api import Answer, send
from fairslot.platform import http_client

# What a token lives for where its answer does not say.
_DEFAULT_SECONDS = 300.0
_LONGEST_SECONDS = 86_400.0
# How long to wait where the operator's client is refused: only the operator can mend that.
_OPERATOR_SECONDS = 3_600.0

# The provider's clear word that the coach has to connect again. Those of Microsoft that are not invalid_grant
# ask for the coach to be there, who is not when a token is refreshed.
_FINAL = frozenset({"invalid_grant", "interaction_required", "consent_required", "login_required"})
_OPERATORS = frozenset({"invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type"})


# RFC 6749, appendix A.12.
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider's OAuth endpoints.

    `asking` are its own parameters of the consent page. `resource` is what its scopes may begin with. A scope
    of `includes` grants all those that it names. Without `revoke_url` nothing can be revoked.
    """

    authorize_url: str
    token_url: str
    revoke_url: str | None = None
    asking: Mapping[str, str] = field(default_factory=dict)
    resource: str = ""
    includes: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def at(self, base: str) -> "Provider":
        """Return the same endpoints at another address, which a stand-in has."""

        def moved(url: str) -> str:
            return f"{base.rstrip('/')}/{url.split('/', 3)[3]}"

        return replace(
            self,
            authorize_url=moved(self.authorize_url),
            token_url=moved(self.token_url),
            revoke_url=moved(self.revoke_url) if self.revoke_url else None,
        )


GOOGLE_CALENDAR = "https://www.googleapis.com/auth/calendar"
GOOGLE_EVENTS = frozenset({f"{GOOGLE_CALENDAR}.events", f"{GOOGLE_CALENDAR}.calendarlist.readonly"})
GOOGLE_FREE_BUSY = frozenset({f"{GOOGLE_CALENDAR}.freebusy"})
GOOGLE = Provider(
    authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
    token_url="https://oauth2.googleapis.com/token",  # noqa: S106  # an address
    revoke_url="https://oauth2.googleapis.com/revoke",
    # Without `consent` a second connection would get no refresh token.
    asking={"access_type": "offline", "prompt": "consent"},
    includes={GOOGLE_CALENDAR: GOOGLE_EVENTS | GOOGLE_FREE_BUSY},
)
# A refresh token is the scope `offline_access`, which is never among those that are granted.
_OFFLINE = "offline_access"


def microsoft(tenant: str = "common") -> Provider:
    """Return Microsoft's endpoints: of one organization, or `common` for everybody's accounts."""
    base = f"https://login.microsoftonline.com/{quote(tenant, safe='')}/oauth2/v2.0"
    return Provider(
        authorize_url=f"{base}/authorize",
        token_url=f"{base}/token",
        asking={"prompt": "select_account"},
        resource="https://graph.microsoft.com/",
        includes={
            "calendars.readwrite": frozenset({"calendars.read", "calendars.readbasic"}),
            "calendars.read": frozenset({"calendars.readbasic"}),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The operator's registration at a provider."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Tokens, how many seconds the access token is good for, and the scopes; None: as they were asked for.

    `refresh_token` is None where the one that was used stays the one to use. `id_token` says whose they are,
    where the scopes ask for it.
    """

    access_token: str = field(repr=False)
    seconds: float
    refresh_token: str | None = field(default=None, repr=False)
    scopes: frozenset[str] | None = None
    id_token: str | None = field(default=None, repr=False)


def new_verifier() -> str:
    """Return a PKCE code verifier: 86 characters (RFC 7636, section 4.1)."""
    return secrets.token_urlsafe(64)


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


class OAuth:
    """What one operator's client asks a provider for."""

    def __init__(
        self,
        provider: Provider,
        client: Client,
        *,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the provider's endpoints and the operator's client."""
        self._provider = provider
        self._client = client
        self._limits = limits
        self._transport = transport

    def consent_url(
        self,
        *,
        redirect_uri: str,
        state: str,
        verifier: str,
        scopes: Iterable[str],
        account: str | None = None,
    ) -> str:
        """Return the page at which the coach allows the scopes, of that `account` if one is known."""
        parameters = {
            "client_id": self._client.client_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": " ".join(sorted(scopes)),
            "state": state,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
            **self._provider.asking,
            **({"login_hint": account} if account else {}),
        }
        return f"{self._provider.authorize_url}?{urlencode(parameters)}"

    async def exchange(self, *, code: str, verifier: str, redirect_uri: str) -> Grant:
        """Return the tokens that the code of a consent is good for, once. Raises CalendarError."""
        return await self.grant(
            "authorization_code", code=code, code_verifier=verifier, redirect_uri=redirect_uri
        )

    async def refresh(self, refresh_token: str) -> Grant:
        """Return a new access token, and the next refresh token where it is replaced. Raises CalendarError.

        access_revoked, with `ended`, only where the provider says that the grant is no longer valid.
        """
        return await self.grant("refresh_token", refresh_token=refresh_token)

    async def of_application(self, scope: str) -> Grant:
        """Return a token of the application itself, as an organization allows it. Raises CalendarError."""
        return await self.grant("client_credentials", scope=scope)

    async def grant(self, grant_type: str, **parameters: str) -> Grant:
        """Ask the token endpoint. Raises CalendarError."""
        return await ask(
            self._provider.token_url,
            {
                "grant_type": grant_type,
                "client_id": self._client.client_id,
                "client_secret": self._client.client_secret,
                **parameters,
            },
            limits=self._limits,
            transport=self._transport,
        )

    async def revoke(self, token: str) -> None:
        """Revoke a grant by one of its tokens; one that is not valid is revoked. Raises CalendarError."""
        if self._provider.revoke_url is None:
            return
        answer = await _post(
            self._provider.revoke_url, {"token": token}, limits=self._limits, transport=self._transport
        )
        if not answer.ok and answer.status != HTTPStatus.BAD_REQUEST:
            raise refusal(answer)

    def missing(self, wanted: Iterable[str], granted: Iterable[str] | None) -> frozenset[str]:
        """Return the wanted scopes that were not granted, as when somebody unticks one in the consent."""
        if granted is None:
            return frozenset()
        have = {self._named(scope) for scope in granted}
        have |= {self._named(one) for scope in have for one in self._provider.includes.get(scope, ())}
        return frozenset(scope for scope in wanted if scope != _OFFLINE and self._named(scope) not in have)

    def _named(self, scope: str) -> str:
        """Return a scope as it is compared: Microsoft writes its own in several ways."""
        resource = self._provider.resource
        return scope.lower().removeprefix(resource) if resource else scope


async def ask(
    token_url: str,
    form: Mapping[str, str],
    *,
    limits: Limits | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Grant:
    """Post a form to a token endpoint and return what it grants. Raises CalendarError."""
    answer = await _post(token_url, form, limits=limits, transport=transport)
    if not answer.ok:
        raise refusal(answer)
    return _granted(answer)


def refusal(answer: Answer) -> CalendarError:
    """Return the error of a refused request for tokens; only the provider's clear word is final."""
    named = answer.body.get("error")
    error = named if isinstance(named, str) else ""
    if HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        if error in _FINAL:
            return CalendarError("access_revoked", ended="disconnected")
        if error in _OPERATORS:
            return CalendarError("unauthorized", after=answer.after or _OPERATOR_SECONDS)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return CalendarError("rate_limited", after=answer.after)
    return CalendarError(f"http_{answer.status}", after=answer.after)


def _granted(answer: Answer) -> Grant:
    body = answer.body
    access_token, refresh_token = body.get("access_token"), body.get("refresh_token")
    # It goes into a header.
    if not isinstance(access_token, str) or not _TOKEN.fullmatch(access_token):
        raise CalendarError("invalid_body")
    scope, id_token = body.get("scope"), body.get("id_token")
    return Grant(
        access_token=access_token,
        seconds=_seconds(body.get("expires_in")),
        refresh_token=refresh_token if isinstance(refresh_token, str) and refresh_token else None,
        scopes=frozenset(scope.split()) if isinstance(scope, str) else None,
        id_token=id_token if isinstance(id_token, str) else None,
    )


def _seconds(given: object) -> float:
    """Return how long a token is good for; some providers write the number as text."""
    try:
        seconds = float(given) if isinstance(given, int | float | str) else _DEFAULT_SECONDS
    except (ValueError, OverflowError):
        seconds = _DEFAULT_SECONDS
    return min(max(seconds, 0.0), _LONGEST_SECONDS) if seconds == seconds else _DEFAULT_SECONDS  # noqa: PLR0124


async def _post(
    url: str, form: Mapping[str, str], *, limits: Limits | None, transport: httpx.AsyncBaseTransport | None
) -> Answer:
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    try:
        request = http_client.build("POST", url, headers=headers, content=urlencode(form).encode())
    except http_client.RequestFailedError as error:
        raise CalendarError(error.reason) from None
    return await send(request, limits=limits or default_limits(), transport=transport)
