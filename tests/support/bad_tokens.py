"""Tokens that are to be refused, by what is wrong with them."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from tests.support.clock import NOW
from tests.support.token_issuer import (
    ISSUER,
    TokenIssuer,
    good_claims,
    public_jwk,
    public_pem,
    segment,
)

AT = NOW.timestamp()
type Make = Callable[[TokenIssuer], str]


def signed(claims: Mapping[str, Any] | None = None, header: Mapping[str, Any] | None = None) -> Make:
    """Return what makes a token with other claims or another header."""
    return lambda issuer: issuer.token(claims, header, at=AT)


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
