"""Service accounts with domain-wide delegation: the assertion names whose calendar it is about."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.oauth import GOOGLE_EVENTS, Grant
from fairslot.calendars.service_account import ServiceAccount
from tests.support.environment import clear_caches

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
FILE = {
    "type": "service_account",
    "client_email": "calendars@project.iam.gserviceaccount.com",
    "private_key": PEM,
    "private_key_id": "key-1",
}
TOKEN_URL = "http://127.0.0.1:9/token"
LIMITS = Limits(attempts=1, answer_seconds=5)
NOW = 1_796_000_000.9


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of providers are on this machine."""
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    clear_caches()


def ask(status: int, body: object, account: ServiceAccount | None = None) -> tuple[Grant, dict[str, str]]:
    """Ask for a token for Ana's calendar; return it and the form that was sent."""
    forms: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        forms.append(dict(parse_qsl(request.content.decode())))
        return httpx.Response(status, stream=httpx.ByteStream(json.dumps(body).encode()))

    grant = asyncio.run(
        (account or ServiceAccount.from_json(json.dumps(FILE))).token_for(
            "ana@example.com",
            GOOGLE_EVENTS,
            token_url=TOKEN_URL,
            now=lambda: NOW,
            limits=LIMITS,
            transport=httpx.MockTransport(answer),
        )
    )
    return grant, forms[0]


def test_the_assertion_is_signed_and_names_the_coach() -> None:
    """Another library verifies it."""
    grant, form = ask(200, {"access_token": "ya29.s", "expires_in": 3599})
    assert grant.access_token == "ya29.s"
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(
        form["assertion"],
        KEY.public_key(),
        algorithms=["RS256"],
        audience=TOKEN_URL,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims == {
        "iss": FILE["client_email"],
        "sub": "ana@example.com",
        "scope": " ".join(sorted(GOOGLE_EVENTS)),
        "aud": TOKEN_URL,
        "iat": 1_796_000_000,
        "exp": 1_796_003_600,
    }
    assert jwt.get_unverified_header(form["assertion"]) == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}


@pytest.mark.parametrize(
    ("status", "error", "reason", "ended"),
    [
        # The organization does not let us act for this address, or it has no such user.
        (400, "invalid_grant", "access_revoked", "disconnected"),
        (401, "unauthorized_client", "unauthorized", None),
        (503, "backend_error", "http_503", None),
    ],
)
def test_a_refusal_is_that_of_any_grant(status: int, error: str, reason: str, ended: str | None) -> None:
    """What the operator has to mend ends no source."""
    with pytest.raises(CalendarError) as raised:
        ask(status, {"error": error})
    assert (raised.value.reason, raised.value.ended) == (reason, ended)


def test_a_key_that_signs_nothing_is_the_operators_to_mend() -> None:
    """Without its text in the error."""
    account = ServiceAccount(email="a@b", private_key="-----BEGIN PRIVATE KEY-----\nnonsense")
    with pytest.raises(CalendarError) as raised:
        ask(200, {}, account)
    assert (raised.value.reason, raised.value.ended) == ("unauthorized", None)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        json.dumps({"client_email": "a@b"}),
        json.dumps(FILE | {"private_key": 7}),
        # Named, as keys are not of the same length and each worker of the tests makes its own.
        pytest.param(json.dumps(FILE | {"private_key_id": ["x"]}), id="wrong id"),
        pytest.param("{" + PEM, id="no JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused(text: str) -> None:
    """Without quoting it."""
    with pytest.raises(ValueError, match="not the JSON key of a service account"):
        ServiceAccount.from_json(text)


def test_the_key_is_in_no_text_of_the_account() -> None:
    """What is logged by mistake shows it not."""
    account = ServiceAccount.from_json(json.dumps(FILE))
    assert "PRIVATE KEY" not in repr(account)
    without: dict[str, Any] = {name: value for name, value in FILE.items() if name != "private_key_id"}
    assert ServiceAccount.from_json(json.dumps(without)).key_id is None
