"""OAuth with the providers: what is asked, what is granted, and which refusal is final."""

import asyncio
import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.oauth import (
    GOOGLE,
    GOOGLE_EVENTS,
    GOOGLE_FREE_BUSY,
    Client,
    Grant,
    OAuth,
    Provider,
    challenge_of,
    microsoft,
    new_verifier,
)
from tests.support.environment import clear_caches

LIMITS = Limits(attempts=1, answer_seconds=5, body_bytes=10_000)
CLIENT = Client(client_id="our id", client_secret="our secret")
AT = "http://127.0.0.1:9"
STANDIN = Provider(authorize_url=f"{AT}/auth", token_url=f"{AT}/token", revoke_url=f"{AT}/revoke")
TOKEN = {"access_token": "ya29.a", "expires_in": 3599, "token_type": "Bearer", "scope": "one two"}
CALENDAR = "https://www.googleapis.com/auth/calendar"


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of providers are on this machine."""
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    clear_caches()


class Server(httpx.MockTransport):
    """Gives one answer, and keeps the forms."""

    def __init__(
        self, status: int, body: object = None, error: Exception | None = None, **headers: str
    ) -> None:
        super().__init__(self._answer)
        self.status, self.error = status, error
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.forms: list[dict[str, str]] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.forms.append(dict(parse_qsl(request.content.decode())))
        if self.error is not None:
            raise self.error
        return httpx.Response(self.status, stream=httpx.ByteStream(self.body), headers=self.headers)

    @property
    def oauth(self) -> OAuth:
        return OAuth(STANDIN, CLIENT, limits=LIMITS, transport=self)

    def refresh(self) -> Grant:
        return asyncio.run(self.oauth.refresh("1//r"))

    def refusal(self) -> CalendarError:
        with pytest.raises(CalendarError) as raised:
            self.refresh()
        return raised.value


def test_a_refresh_shows_the_client_and_the_token() -> None:
    """In the body of a POST, and nowhere else."""
    server = Server(200, TOKEN)
    assert server.refresh() == Grant(access_token="ya29.a", seconds=3599, scopes=frozenset({"one", "two"}))
    (form,) = server.forms
    assert form == {
        "grant_type": "refresh_token",
        "client_id": "our id",
        "client_secret": "our secret",
        "refresh_token": "1//r",
    }


def test_a_replaced_refresh_token_is_handed_back() -> None:
    """Microsoft gives another at each use."""
    assert Server(200, TOKEN | {"refresh_token": "next"}).refresh().refresh_token == "next"


def test_a_code_is_exchanged_with_its_verifier() -> None:
    """And with the address that the consent was sent to."""
    server = Server(200, TOKEN | {"refresh_token": "first"})
    grant = asyncio.run(server.oauth.exchange(code="c", verifier="v", redirect_uri="https://us.example/cb"))
    assert grant.refresh_token == "first"
    (form,) = server.forms
    assert form["grant_type"] == "authorization_code"
    assert (form["code"], form["code_verifier"], form["redirect_uri"]) == ("c", "v", "https://us.example/cb")


def test_an_application_asks_for_itself() -> None:
    """As an organization may allow it."""
    server = Server(200, TOKEN)
    asyncio.run(server.oauth.of_application("https://graph.microsoft.com/.default"))
    assert server.forms[0]["grant_type"] == "client_credentials"
    assert server.forms[0]["scope"] == "https://graph.microsoft.com/.default"


@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required", "consent_required"])
def test_the_providers_clear_word_disconnects(error: str) -> None:
    """The coach has to connect again."""
    refused = Server(
        400, {"error": error, "error_description": "Token has been expired or revoked."}
    ).refusal()
    assert (refused.reason, refused.ended) == ("access_revoked", "disconnected")
    assert "expired" not in str(refused)


@pytest.mark.parametrize(
    ("status", "body", "reason", "after"),
    [
        # What is wrong with the operator's client is no coach's to mend.
        (401, {"error": "invalid_client"}, "unauthorized", 3600),
        (400, {"error": "unauthorized_client"}, "unauthorized", 3600),
        (400, {"error": "invalid_scope"}, "unauthorized", 3600),
        (400, {"error": "invalid_request"}, "http_400", 0),
        (400, b"<html>invalid_grant</html>", "http_400", 0),
        (400, {"error": {"code": "invalid_grant"}}, "http_400", 0),
        (403, {"error": "access_denied"}, "http_403", 0),
        (429, {"error": "slow_down"}, "rate_limited", 0),
        (500, {"error": "invalid_grant"}, "http_500", 0),
        (503, {"error": "temporarily_unavailable"}, "http_503", 0),
        (302, {"error": "invalid_grant"}, "http_302", 0),
    ],
)
def test_nothing_else_disconnects(status: int, body: object, reason: str, after: float) -> None:
    """Least of all a server that is out of order, whatever its answer says."""
    refused = Server(status, body).refusal()
    assert (refused.reason, refused.after, refused.ended) == (reason, after, None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(TimeoutError("slow"), "timeout"), (httpx.ConnectError("gone"), "connection")],
)
def test_a_lost_answer_does_not_disconnect(error: Exception, reason: str) -> None:
    """The grant may be all right."""
    refused = Server(200, error=error).refusal()
    assert (refused.reason, refused.ended) == (reason, None)


def test_the_provider_is_given_the_time_that_it_asks_for() -> None:
    """Retry-After, in seconds."""
    assert Server(429, {}, Retry_After="40").refusal().after == 40


@pytest.mark.parametrize(
    "body",
    [
        {},
        b"[]",
        b"not json",
        b"",
        {"access_token": ""},
        {"access_token": None},
        {"access_token": 7},
        {"access_token": "a\r\nX-Injected: yes"},
        {"access_token": "tökén"},
        {"access_token": "with a space\t"},
    ],
)
def test_what_grants_no_token_is_an_error(body: object) -> None:
    """Nor does anything come into a header that does not belong there."""
    refused = Server(200, body).refusal()
    assert (refused.reason, refused.ended) == ("invalid_body", None)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (0, 0),
        (-5, 0),
        (None, 300),
        ("soon", 300),
        (float("nan"), 300),
        (float("inf"), 86_400),
        (10**400, 300),
        ([], 300),
    ],
)
def test_how_long_a_token_is_good_for(given: object, seconds: float) -> None:
    """Never longer than a day, and a short while where it is not said."""
    body = json.dumps(TOKEN | {"expires_in": given}).encode()
    assert Server(200, body).refresh().seconds == seconds


def test_secrets_are_in_no_text_of_the_objects() -> None:
    """What is logged by mistake shows none."""
    grant = Server(200, TOKEN | {"refresh_token": "next"}).refresh()
    assert not [secret for secret in ("ya29", "next", "our secret") if secret in f"{grant!r} {CLIENT!r}"]


def test_a_grant_is_revoked() -> None:
    """One that is no longer valid is revoked as well."""
    server = Server(200, {})
    asyncio.run(server.oauth.revoke("1//r"))
    assert server.forms == [{"token": "1//r"}]
    asyncio.run(Server(400, {"error": "invalid_token"}).oauth.revoke("1//r"))
    with pytest.raises(CalendarError, match="http_503"):
        asyncio.run(Server(503, {}).oauth.revoke("1//r"))


def test_where_nothing_can_be_revoked_nothing_is_asked() -> None:
    """Microsoft has no such address."""
    server = Server(200, {})
    asyncio.run(OAuth(microsoft(), CLIENT, limits=LIMITS, transport=server).revoke("1//r"))
    assert server.forms == []


def test_the_page_of_consent_is_googles_with_pkce() -> None:
    """It is asked for offline access, and each time, as a second consent gives no refresh token otherwise."""
    verifier = new_verifier()
    url = OAuth(GOOGLE, CLIENT).consent_url(
        redirect_uri="https://us.example/cb", state="s&=", verifier=verifier, scopes=GOOGLE_EVENTS
    )
    assert url.startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    query = {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}
    digest = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    assert query == {
        "client_id": "our id",
        "redirect_uri": "https://us.example/cb",
        "response_type": "code",
        "scope": f"{CALENDAR}.calendarlist.readonly {CALENDAR}.events",
        "state": "s&=",
        "code_challenge": digest,
        "code_challenge_method": "S256",
        "access_type": "offline",
        "prompt": "consent",
    }
    assert verifier not in url


def test_the_challenge_is_that_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert 43 <= len(new_verifier()) <= 128
    assert new_verifier() != new_verifier()


def test_a_tenants_name_stays_a_part_of_the_path() -> None:
    """Whatever it holds."""
    assert microsoft("a/../b?c").token_url == (
        "https://login.microsoftonline.com/a%2F..%2Fb%3Fc/oauth2/v2.0/token"
    )


@pytest.mark.parametrize(
    ("provider", "wanted", "granted", "missing"),
    [
        (GOOGLE, GOOGLE_EVENTS, GOOGLE_EVENTS, set()),
        # Unticked in the consent.
        (GOOGLE, GOOGLE_EVENTS, {f"{CALENDAR}.events"}, {f"{CALENDAR}.calendarlist.readonly"}),
        (GOOGLE, GOOGLE_EVENTS, set(), GOOGLE_EVENTS),
        # The scope of everything grants its parts, and no part another.
        (GOOGLE, GOOGLE_EVENTS | GOOGLE_FREE_BUSY, {CALENDAR}, set()),
        (GOOGLE, GOOGLE_FREE_BUSY, {f"{CALENDAR}.events"}, GOOGLE_FREE_BUSY),
        # As they were asked for (RFC 6749, section 5.1).
        (GOOGLE, GOOGLE_EVENTS, None, set()),
        (
            microsoft(),
            {"Calendars.ReadWrite", "offline_access"},
            {"https://graph.microsoft.com/Calendars.ReadWrite"},
            set(),
        ),
        (microsoft(), {"Calendars.Read", "offline_access"}, {"calendars.readwrite"}, set()),
        (microsoft(), {"Calendars.ReadWrite"}, {"Calendars.Read", "openid"}, {"Calendars.ReadWrite"}),
    ],
)
def test_scopes_that_were_not_granted_are_noticed(
    provider: Provider, wanted: Iterable[str], granted: Iterable[str] | None, missing: Iterable[str]
) -> None:
    """By each provider's way of writing them."""
    assert OAuth(provider, CLIENT).missing(wanted, granted) == frozenset(missing)
