"""Callers with a token: what is accepted, and that nothing else is, with nothing learnt."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import jwt
import pytest
from redis import Redis

from fairslot.access import tokens
from fairslot.platform.db import Connection
from tests.support.clock import NOW
from tests.support.fixtures import Clock, Environment
from tests.support.http import KEY, Answer, add_key, ask, check_problem, request, send
from tests.support.logs import json_lines
from tests.support.tables import table_digests
from tests.support.token_issuer import (
    ISSUER,
    TokenIssuer,
    good_claims,
    public_jwk,
    public_pem,
    segment,
    trust,
)

AT = NOW.timestamp()
type Make = Callable[[TokenIssuer], str]


def ask_with(token: str, method: str = "GET", path: str = "/api/appointments", **more: Any) -> Answer:
    """Ask for something with a token."""
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    return ask(method, path, key=None, headers=headers, **more)


@pytest.fixture(params=["RS256", "ES256"])
def issuer(request: pytest.FixtureRequest, team: Connection, environment: Environment) -> TokenIssuer:
    """An issuer whose key is stored."""
    made = TokenIssuer(algorithm=request.param)
    made.add_key("one")
    trust(team, environment, made)
    return made


@pytest.fixture
def rsa_issuer(team: Connection, environment: Environment) -> TokenIssuer:
    """An issuer that signs with RSA and whose key is stored."""
    made = TokenIssuer()
    made.add_key("one")
    trust(team, environment, made)
    return made


def signed(claims: Mapping[str, Any] | None = None, header: Mapping[str, Any] | None = None) -> Make:
    """Return what makes a token with other claims or another header."""
    return lambda issuer: issuer.token(claims, header, at=AT)


def test_a_token_of_an_issuer_opens_what_its_scopes_are_for(issuer: TokenIssuer) -> None:
    """It reads and writes with the scopes that it names, and no more."""
    answer = ask_with(issuer.token(at=AT))
    assert answer.status == 200
    assert answer.headers["x-ratelimit-limit"] == "100"
    check_problem(ask_with(issuer.token(at=AT), path="/api/keys"), 403, "FORBIDDEN")
    assert ask_with(issuer.token({"scope": "admin"}, at=AT), path="/api/keys").status == 200
    for scope in ("", "write", "Read", None, 5, {"read": True}):
        check_problem(ask_with(issuer.token({"scope": scope}, at=AT)), 403, "FORBIDDEN")
    assert ask_with(issuer.token({"scope": ["read", 5]}, at=AT)).status == 200


def test_a_token_sees_its_tenant_alone(issuer: TokenIssuer) -> None:
    """The tenant is the one that it names."""
    asked: dict[str, Any] = {"path": "/api/availability", "query": {"calendar_id": "cal"}}
    assert ask_with(issuer.token(at=AT), **asked).status == 200
    check_problem(ask_with(issuer.token({"tenant": "other"}, at=AT), **asked), 404, "NOT_FOUND")


def test_an_issuer_speaks_for_its_tenants_only(
    team: Connection, environment: Environment, rsa_issuer: TokenIssuer
) -> None:
    """Where the setting names tenants, a token for another one is refused."""
    trust(team, environment, rsa_issuer, tenants=["default"])
    assert ask_with(rsa_issuer.token(at=AT)).status == 200
    check_problem(ask_with(rsa_issuer.token({"tenant": "other"}, at=AT)), 401, "AUTHENTICATION_FAILED")


def test_claims_are_named_by_the_setting(
    team: Connection, environment: Environment, rsa_issuer: TokenIssuer
) -> None:
    """Issuers name scopes and tenants in their own ways."""
    trust(
        team, environment, rsa_issuer, scope_claim="permissions", scope_prefix="fairslot:", tenant_claim="org"
    )
    claims = {"permissions": ["fairslot:read", "write"], "org": "default", "tenant": None, "scope": "admin"}
    token = rsa_issuer.token(claims, at=AT)
    assert ask_with(token).status == 200
    check_problem(ask_with(token, "POST", "/api/holds", body={}), 403, "FORBIDDEN")


def test_clocks_may_differ_a_little(issuer: TokenIssuer) -> None:
    """A minute either way is tolerated, and no more."""
    for claims in ({"exp": AT - 59}, {"nbf": AT + 59}, {"iat": AT + 59}):
        assert ask_with(issuer.token(claims, at=AT)).status == 200, claims
    for claims in ({"exp": AT - 61}, {"nbf": AT + 62}, {"iat": AT + 62}):
        check_problem(ask_with(issuer.token(claims, at=AT)), 401, "AUTHENTICATION_FAILED")


def test_a_token_ends_while_it_is_in_use(issuer: TokenIssuer, clock: Clock) -> None:
    """Nothing is remembered of a token."""
    token = issuer.token(at=AT)
    assert ask_with(token).status == 200
    clock(NOW + timedelta(seconds=900 + 61))
    check_problem(ask_with(token), 401, "AUTHENTICATION_FAILED")


def unsigned(header: Mapping[str, Any]) -> Make:
    """Return what makes a token without a signature."""
    return lambda _: f"{segment({'kid': 'one', **header})}.{segment(good_claims(AT))}."


def by_hmac(issuer: TokenIssuer) -> str:
    """Sign with the public key as if it were a secret."""
    head = f"{segment({'alg': 'HS256', 'kid': 'one'})}.{segment(good_claims(AT))}"
    secret = public_pem(issuer.keys["one"])
    return f"{head}.{segment(hmac.new(secret, head.encode(), hashlib.sha256).digest())}"


def by_another_key(issuer: TokenIssuer) -> str:
    """Sign with a key that only claims the id of a stored one."""
    stranger = TokenIssuer(algorithm=issuer.algorithm)
    stranger.add_key("one")
    return stranger.token(at=AT)


def with_its_own_key(issuer: TokenIssuer) -> str:
    """Sign with a key that the token brings along."""
    stranger = TokenIssuer(algorithm=issuer.algorithm)
    stranger.add_key("one")
    return stranger.token(header={"jwk": public_jwk(stranger.keys["one"], "one", issuer.algorithm)}, at=AT)


def tampered(issuer: TokenIssuer) -> str:
    """Change a claim after signing."""
    head, _, signature = issuer.token(at=AT).split(".")
    return f"{head}.{segment({**good_claims(AT), 'scope': 'admin'})}.{signature}"


def nested(issuer: TokenIssuer) -> str:
    """Sign a token as the payload of another."""
    return jwt.api_jws.encode(
        issuer.token(at=AT).encode(),
        issuer.keys["one"],
        algorithm=issuer.algorithm,
        headers={"kid": "one", "cty": "JWT"},
    )


def raw(header: bytes, payload: bytes) -> Make:
    """Return what makes a token of any bytes, with a good signature's length."""
    return lambda issuer: f"{segment(header)}.{segment(payload)}.{issuer.token(at=AT).split('.')[2]}"


BAD: dict[str, Make] = {
    "no signature, none": unsigned({"alg": "none"}),
    "no signature, NONE": unsigned({"alg": "NoNe"}),
    "no signature, the right algorithm": unsigned({"alg": "RS256"}),
    "HMAC with the public key": by_hmac,
    "another key of the same id": by_another_key,
    "its own key": with_its_own_key,
    "tampered with": tampered,
    "nested": nested,
    "wrong audience": signed({"aud": "another"}),
    "no audience": signed({"aud": None}),
    "audiences without ours": signed({"aud": ["a", "b"]}),
    "audience of another kind": signed({"aud": {"fairslot": 1}}),
    "wrong issuer": signed({"iss": "https://other.example.com/"}),
    "no issuer": signed({"iss": None}),
    "expired": signed({"exp": AT - 3600}),
    "without an end": signed({"exp": None}),
    "an end that is no number": signed({"exp": "never"}),
    "an end that is true": signed({"exp": True}),
    "not yet valid": signed({"nbf": AT + 3600}),
    "from the future": signed({"iat": AT + 3600}),
    "without a tenant": signed({"tenant": None}),
    "an empty tenant": signed({"tenant": ""}),
    "a tenant that is a list": signed({"tenant": ["default"]}),
    "a tenant with NUL": signed({"tenant": "default\0"}),
    "a long tenant": signed({"tenant": "t" * 101}),
    "without a subject": signed({"sub": None}),
    "an empty subject": signed({"sub": ""}),
    "critical headers": signed(header={"crit": ["exp"], "exp": 1}),
    "critical headers that we know": signed(header={"crit": ["kid"]}),
    "no critical headers": signed(header={"crit": []}),
    "jku": signed(header={"jku": "https://evil.example.com/keys"}),
    "x5u": signed(header={"x5u": "https://evil.example.com/chain"}),
    "x5c": signed(header={"x5c": ["MIIB"]}),
    "compressed": signed(header={"zip": "DEF"}),
    "an id token's type": signed(header={"typ": "id+jwt"}),
    "an unknown key": signed(header={"kid": "two"}),
    "a long key id": signed(header={"kid": "k" * 1000}),
    "too long": signed({"more": "m" * 8000}),
    "NaN": raw(b'{"alg":"RS256","kid":"one"}', b'{"iss":"%s","exp":NaN}' % ISSUER.encode()),
    "no JSON": raw(b"{", b"{"),
    "a list": raw(b"[]", b"[]"),
    "a header that is a text": raw(b'"alg"', json.dumps(good_claims(AT)).encode()),
    "a header that is a list": raw(b'["alg"]', json.dumps(good_claims(AT)).encode()),
    "several algorithms": raw(b'{"alg":["RS256"],"kid":"one"}', json.dumps(good_claims(AT)).encode()),
    "a key id that is a list": raw(b'{"alg":"RS256","kid":[]}', json.dumps(good_claims(AT)).encode()),
    "a type that is an object": raw(
        b'{"alg":"RS256","kid":"one","typ":{}}', json.dumps(good_claims(AT)).encode()
    ),
    "a tenant that is no text": signed({"tenant": "\ud800"}),
    "a subject that is no text": signed({"sub": "\ud800"}),
    "deeply nested JSON": raw(b'{"alg":"RS256","kid":"one"}', b"[" * 4000),
    "not UTF-8": raw(b"\xff\xfe", b"\xff"),
}
MALFORMED = [
    "..",
    "a.b.c",
    "e30.e30.e30",
    "a.b",
    "a.b.c.d",
    "a.b.c.d.e",
    "eyJhbGciOiJub25lIn0.e30.",
    "=.=.=",
    "a b.c.d",
    "é.é.é",
    "a.b.c,a.b.c",
    ".".join(["a" * 2700] * 3),
]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_refused_and_nothing_is_learnt(
    team: Connection, issuer: TokenIssuer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong, the answer is the same, and nothing is changed."""
    monkeypatch.setattr("fairslot.access.issuers.WAIT", timedelta(0))
    before = {one: digest for one, digest in table_digests(team).items() if one != "issuer_keys"}
    problem = check_problem(ask_with(BAD[name](issuer)), 401, "AUTHENTICATION_FAILED")
    assert problem == check_problem(ask_with("a.b.c"), 401, "AUTHENTICATION_FAILED")
    assert before == {one: digest for one, digest in table_digests(team).items() if one != "issuer_keys"}
    assert ask_with(issuer.token(at=AT)).status == 200


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_no_token_is_refused_the_same(rsa_issuer: TokenIssuer, text: str) -> None:
    """Malformed, truncated, several at once, or too long."""
    refused = check_problem(ask_with(text), 401, "AUTHENTICATION_FAILED")
    assert refused == check_problem(
        ask("GET", "/api/appointments", key="nobody"), 401, "AUTHENTICATION_FAILED"
    )


def test_a_truncated_token_is_refused(rsa_issuer: TokenIssuer) -> None:
    """Wherever it is cut off."""
    token = rsa_issuer.token(at=AT)
    for length in range(1, len(token), 37):
        assert ask_with(token[:length]).status == 401


def test_a_token_and_a_key_are_none(rsa_issuer: TokenIssuer) -> None:
    """Two credentials at once are refused, even if both are right; so are two tokens."""
    token = rsa_issuer.token(at=AT)
    answer = ask("GET", "/api/appointments", key=KEY, headers={"Authorization": f"Bearer {token}"})
    check_problem(answer, 401, "AUTHENTICATION_FAILED")
    twice = [("Authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")]
    check_problem(ask("GET", "/api/appointments", key=None, headers=twice), 401, "AUTHENTICATION_FAILED")
    check_problem(ask("GET", "/api/appointments", key=token), 401, "AUTHENTICATION_FAILED")


def test_a_symmetric_key_of_the_set_is_not_used(
    team: Connection, environment: Environment, rsa_issuer: TokenIssuer
) -> None:
    """Nor is one that is meant for something else, or too short."""
    for wrong in ({"use": "enc"}, {"alg": "RS512"}, {"n": "AQAB"}):
        trust(team, environment, rsa_issuer, changes=wrong)
        check_problem(ask_with(rsa_issuer.token(at=AT)), 401, "AUTHENTICATION_FAILED")
    trust(team, environment, rsa_issuer)
    assert ask_with(rsa_issuer.token(at=AT)).status == 200


def test_keys_of_one_issuer_open_nothing_of_another(
    team: Connection, environment: Environment, rsa_issuer: TokenIssuer
) -> None:
    """A token is checked with the keys of the issuer that it names."""
    second = TokenIssuer(name="https://second.example.com/", url="https://second.example.com/keys")
    second.add_key("one")
    trust(team, environment, rsa_issuer, second)
    assert ask_with(second.token(at=AT)).status == 200
    forged = second.token({"iss": ISSUER}, at=AT)
    check_problem(ask_with(forged), 401, "AUTHENTICATION_FAILED")


def test_without_issuers_no_token_is_accepted(
    team: Connection, environment: Environment, rsa_issuer: TokenIssuer
) -> None:
    """It is a key that nobody has."""
    token = rsa_issuer.token(at=AT)
    environment(TOKEN_ISSUERS="")
    check_problem(ask_with(token), 401, "AUTHENTICATION_FAILED")


def test_each_subject_has_a_rate_limit(
    team: Connection, environment: Environment, cache: Redis, rsa_issuer: TokenIssuer
) -> None:
    """It counts all tokens of a subject, and not those of others."""
    trust(team, environment, rsa_issuer, rate_limit=3)
    statuses = [ask_with(rsa_issuer.token({"jti": str(n)}, at=AT)).status for n in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert ask_with(rsa_issuer.token({"sub": "another"}, at=AT)).status == 200


def test_guesses_count_and_a_good_token_goes_on(
    team: Connection, environment: Environment, cache: Redis, rsa_issuer: TokenIssuer
) -> None:
    """Bad tokens from an address are told to wait; who has a good one notices nothing."""
    environment(MAX_UNKNOWN_KEYS_PER_MINUTE="5")
    bad = [ask_with(by_another_key(rsa_issuer) if n == 0 else "a.b.c").status for n in range(8)]
    assert bad == [401] * 5 + [429] * 3
    assert ask_with(rsa_issuer.token(at=AT)).status == 200


def test_what_is_refused_is_counted_and_not_told(
    rsa_issuer: TokenIssuer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The metric has 401 and 403; the log has the reason, and neither the token nor whose it is."""
    json_lines(capsys)
    token = rsa_issuer.token({"aud": "another", "sub": "kim.secret"}, at=AT)
    ask_with(token)
    ask_with(rsa_issuer.token({"scope": ""}, at=AT))
    ask("GET", "/api/appointments", key="nobody")
    said = json_lines(capsys)
    assert sum(one.get("CredentialsRefused", [0])[0] for one in said) == 3
    assert [one.__dict__["reason"] for one in caplog.records] == ["InvalidClaimError"]
    text = json.dumps(said) + str([one.__dict__ for one in caplog.records])
    for private in (*token.split("."), "kim.secret"):
        assert private not in text


def test_a_key_is_still_taken_from_the_same_header(team: Connection, rsa_issuer: TokenIssuer) -> None:
    """What has no dots is a key."""
    add_key(team, "another")
    assert ask_with("another").status == 200


def test_the_longest_token_is_within_what_the_gateway_takes(rsa_issuer: TokenIssuer) -> None:
    """One of the longest length is accepted, a longer one is not read."""
    short = len(rsa_issuer.token({"more": ""}, at=AT))
    fill = (tokens.LONGEST - short) * 3 // 4 - 4
    assert ask_with(rsa_issuer.token({"more": "m" * fill}, at=AT)).status == 200
    check_problem(
        ask_with(rsa_issuer.token({"more": "m" * (fill + 12)}, at=AT)), 401, "AUTHENTICATION_FAILED"
    )


def test_every_route_takes_a_token(rsa_issuer: TokenIssuer) -> None:
    """The event of any function is judged in one place."""
    token = rsa_issuer.token({"scope": "read write admin"}, at=AT)
    for path in ("/api/availability", "/api/appointments", "/api/coaches"):
        made = request("GET", path, key=None, headers={"Authorization": f"bearer {token}"})
        assert send(made).status == 200
