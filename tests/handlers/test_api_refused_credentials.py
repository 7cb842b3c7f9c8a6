"""Every kind of credential that is refused: the same answer, a metric, and its address pays for it."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest
from redis import Redis

from fairslot.access import key_form, keys
from fairslot.domain.errors import AuthenticationError
from fairslot.platform.db import Connection
from tests.support.bad_tokens import AT, BAD
from tests.support.clock import NOW
from tests.support.fixtures import Environment
from tests.support.http import add_key, ask, check_problem, replace_key
from tests.support.logs import check_counted, json_lines
from tests.support.token_issuer import TokenIssuer, trust

type Headers = Mapping[str, str]

GOOD, EXPIRED, REVOKED, ROTATED = (key_form.make() for _ in range(4))
FUTURE = str(int((NOW + timedelta(minutes=6)).timestamp()))


@pytest.fixture
def issuer(team: Connection, cache: Redis, environment: Environment) -> TokenIssuer:
    """The small team as it is deployed: keys that are good and that ended, and an issuer of its tokens."""
    environment(ANY_KEY_FORM="")
    for key in (GOOD, EXPIRED, ROTATED):
        add_key(team, key)
    add_key(team, REVOKED, revoked=True)
    past = NOW - timedelta(seconds=1)
    team.execute("UPDATE api_keys SET expires_at = %s WHERE key_hash = %s", [past, keys.hash_key(EXPIRED)])
    replace_key(team, ROTATED, key_form.make(), until=past)
    made = TokenIssuer()
    made.add_key("one")
    trust(team, environment, made, tenants=["default"])
    return made


def key(text: str) -> Callable[[TokenIssuer], Headers]:
    """Return what gives a text as a key."""
    return lambda _: {"x-api-key": text}


def token(name: str) -> Callable[[TokenIssuer], Headers]:
    """Return what makes a bad token."""
    return lambda issuer: {"authorization": f"Bearer {BAD[name](issuer)}"}


def bearer(make: Callable[[str], str], **more: str) -> Callable[[TokenIssuer], Headers]:
    """Return what makes something wrong of a good token, beside other headers."""
    return lambda issuer: {"authorization": f"Bearer {make(issuer.token(at=AT))}", **more}


REFUSED: dict[str, tuple[str, Callable[[TokenIssuer], Headers]]] = {
    "malformed key": ("Malformed", key("nonsense")),
    "truncated key": ("Malformed", key(GOOD[:-1])),
    "key of 8 kB": ("Malformed", key("k" * 8192)),
    "bearer of 8 kB": ("Malformed", bearer(lambda _: "k" * 8192)),
    "doubled key": ("Malformed", key(f"{GOOD},{GOOD}")),
    "another scheme": ("Malformed", lambda _: {"authorization": f"Basic {GOOD}"}),
    "two keys": ("Doubled", lambda _: {"x-api-key": GOOD, "authorization": f"Bearer {GOOD}"}),
    "a key and a token": ("Doubled", bearer(lambda good: good, **{"x-api-key": GOOD})),
    "foreign key": ("Unknown", key(key_form.make())),
    "expired key": ("Unknown", key(EXPIRED)),
    "revoked key": ("Unknown", key(REVOKED)),
    "key from before a rotation": ("Unknown", key(ROTATED)),
    "truncated token": ("Token", bearer(lambda good: good[:-20])),
    "token of 8 kB": ("Token", token("too long")),
    "doubled token": ("Malformed", bearer(lambda good: f"{good},Bearer {good}")),
    "expired token": ("Token", token("expired")),
    "token of the future, by nbf": ("Token", token("not yet valid")),
    "token of the future, by iat": ("Token", token("from the future")),
    "foreign issuer": ("Token", token("wrong issuer")),
    "foreign key of that id": ("Token", token("another key of the same id")),
    "foreign audience": ("Token", token("wrong audience")),
    "foreign tenant": ("Token", lambda issuer: _bearer(issuer.token({"tenant": "other"}, at=AT))),
    "critical headers": ("Token", token("critical headers")),
    "nested": ("Token", token("nested")),
    "jku": ("Token", token("jku")),
    "x5u": ("Token", token("x5u")),
    "none": ("Token", token("no signature, none")),
    "HMAC with the public key": ("Token", token("HMAC with the public key")),
}


def _bearer(text: str) -> Headers:
    return {"authorization": f"Bearer {text}"}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_counted(
    issuer: TokenIssuer, cache: Redis, capsys: pytest.CaptureFixture[str], name: str, method: str
) -> None:
    """By a metric with its reason and against its address, and the answer has no hint of it."""
    reason, make = REFUSED[name]
    json_lines(capsys)
    answer = ask(method, "/api/appointments", {}, key=None, headers=make(issuer))
    problem = check_problem(answer, 401, "AUTHENTICATION_FAILED")
    assert problem["message"] == AuthenticationError().message
    check_counted(capsys, reason)
    assert wrong(cache) == 10


def test_a_signature_from_the_future_is_counted(
    issuer: TokenIssuer, cache: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a wrong one is."""
    json_lines(capsys)
    signed = {"webhook-id": "m", "webhook-timestamp": FUTURE, "webhook-signature": "v1,AAAA"}
    answer = ask("POST", "/api/webhooks/calendar", {}, key=None, headers=signed)
    check_problem(answer, 401, "AUTHENTICATION_FAILED")
    check_counted(capsys, "Signature")
    assert wrong(cache) == 10


def test_no_credential_costs_nothing(issuer: TokenIssuer, cache: Redis) -> None:
    """Whoever gives none has tried none."""
    check_problem(ask("GET", "/api/appointments", key=None), 401, "AUTHENTICATION_FAILED")
    assert wrong(cache) == 0


def test_malformed_credentials_use_up_the_limit(
    issuer: TokenIssuer, environment: Environment, look_ups: list[bytes]
) -> None:
    """They are 401 past it too; what would be looked up is refused then, and who is known goes on."""
    environment(MAX_UNKNOWN_KEYS_PER_MINUTE="2")
    assert ask("GET", "/api/appointments", key=GOOD).status == 200
    assert [ask("GET", "/api/appointments", key="nonsense").status for _ in range(4)] == [401] * 4
    before = len(look_ups)
    check_problem(ask("GET", "/api/appointments", key=key_form.make()), 429, "RATE_LIMIT_EXCEEDED")
    assert len(look_ups) == before
    keys.clear_cache()
    assert ask("GET", "/api/appointments", key=GOOD).status == 200


def wrong(cache: Redis) -> int:
    """Return what the address has used up of its limit for wrong credentials."""
    return sum(int(cache.hget(name, "count") or 0) for name in cache.keys("unknown_keys:*"))
