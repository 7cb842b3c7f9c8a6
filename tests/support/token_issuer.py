"""An issuer of tokens: keys that come and go, tokens right and wrong, and its key set over HTTP.

Tokens are signed by PyJWT, and checked by another library.
"""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from psycopg.types.json import Jsonb

from fairslot.platform.db import Connection
from tests.support.fixtures import Environment

ISSUER = "https://issuer.example.com/"
AUDIENCE = "fairslot"
URL = "https://issuer.example.com/keys"

type Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass
class TokenIssuer:
    """An issuer with private keys by id, of which the newest signs; `asked` is how often its set was read."""

    algorithm: str = "RS256"
    name: str = ISSUER
    url: str = URL
    keys: dict[str, Private] = field(default_factory=dict)
    asked: int = 0
    # What is published wrongly: another answer, another status, more members in each key.
    answer: bytes | None = None
    status: int = 200
    more: dict[str, Any] = field(default_factory=dict)

    def add_key(self, kid: str) -> str:
        """Make a key that signs from now on; the others stay in the set."""
        is_rsa = self.algorithm == "RS256"
        self.keys[kid] = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if is_rsa
            else ec.generate_private_key(ec.SECP256R1())
        )
        return kid

    @property
    def key_set(self) -> dict[str, Any]:
        """The set of the public keys, as it is published."""
        published = [public_jwk(key, kid, self.algorithm) for kid, key in self.keys.items()]
        return {"keys": [{**one, **self.more} for one in published]}

    @property
    def setting(self) -> dict[str, Any]:
        """What the deployment has to know of this issuer."""
        return {
            "issuer": self.name,
            "audience": AUDIENCE,
            "algorithm": self.algorithm,
            "jwks_url": self.url,
        }

    def token(
        self,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        *,
        kid: str | None = None,
        at: float | None = None,
    ) -> str:
        """Sign a token for a quarter of an hour; members that are None are left out."""
        kid = kid or next(reversed(self.keys))
        body = {**good_claims(at, self.name), **(claims or {})}
        return jwt.encode(
            {name: value for name, value in body.items() if value is not None},
            self.keys[kid],
            algorithm=self.algorithm,
            headers={"kid": kid, **(header or {})},
        )


def good_claims(at: float | None = None, issuer: str = ISSUER) -> dict[str, Any]:
    """Return the claims of a caller of the tests' tenant who may read and write."""
    now = int(time.time() if at is None else at)
    return {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": "kim",
        "tenant": "default",
        "scope": "read write",
        "iat": now,
        "exp": now + 900,
    }


def public_jwk(key: Private, kid: str, algorithm: str) -> dict[str, Any]:
    """Return a public key as a JSON Web Key."""
    writer: Any = RSAAlgorithm if algorithm == "RS256" else ECAlgorithm
    made: dict[str, Any] = writer.to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig", "alg": algorithm}


def public_pem(key: Private) -> bytes:
    """Return a public key as text, which a wrong checker takes for a secret."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def segment(value: object) -> str:
    """Return one part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def trust(
    connection: Connection,
    environment: Environment,
    *issuers: TokenIssuer,
    changes: Mapping[str, Any] | None = None,
    **setting: Any,
) -> None:
    """Have the functions accept these issuers, and store their keys, with `changes` in each."""
    environment(TOKEN_ISSUERS=json.dumps([{**one.setting, **setting} for one in issuers]))
    connection.execute("DELETE FROM issuer_keys")
    for one in issuers:
        connection.execute(
            "INSERT INTO issuer_keys (issuer, url, keys, requested_at, answered_at, fetched_at)"
            " VALUES (%s, %s, %s, now(), now(), now())",
            (one.name, one.url, Jsonb([{**key, **(changes or {})} for key in one.key_set["keys"]])),
        )


@contextmanager
def published(issuer: TokenIssuer) -> Iterator[TokenIssuer]:
    """Serve the issuer's set on loopback; its address is the issuer's from then on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            self.send_response(issuer.status)
            self.end_headers()
            published = json.dumps(issuer.key_set).encode()
            self.wfile.write(published if issuer.answer is None else issuer.answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        issuer.url = f"http://127.0.0.1:{server.server_port}/keys"
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
