"""Callers with a token: a JWT (RFC 7519) that a configured issuer has signed.

Imported when the first token comes: the cryptography would slow every cold start. The rules are those of RFC
8725: the algorithm is the issuer's, a key is only ever one of those that are stored for the issuer, and every
claim that matters is required.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fairslot.access import issuers
from fairslot.access.issuers import Issuer
from fairslot.access.keys import Client
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.domain.errors import AuthenticationError
from fairslot.messages.issuer_keys import PublicKey
from fairslot.platform.observability import logger

LONGEST = 6_144
_SCOPES = frozenset({"read", "write", "admin"})
# Three parts, each base64url without padding, none empty.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# What would have the token say by which key it is checked, or be something else than claims.
_REFUSED = frozenset({"crit", "jku", "jwk", "x5u", "x5c", "cty", "zip", "enc", "b64"})
# Not an id token's or a logout token's own type, which the same issuer signs for other purposes (RFC 9068).
_TYPES = frozenset({"jwt", "at+jwt"})
_LONGEST_TENANT = 100


class _RefusedError(Exception):
    """The token is not accepted; the reason is for the log alone."""


def authenticate(token: str, *, now: datetime, before_looking: Callable[[], object]) -> Client:
    """Return whose token it is; `before_looking` is called before a key is looked up that may be made up.

    Raises:
        AuthenticationError: it is not accepted, whatever the reason.

    """
    try:
        return _client(token, now, before_looking)
    except (JoseError, _RefusedError, ValueError, RecursionError) as error:
        # The texts of errors quote the token.
        reason = str(error) if isinstance(error, _RefusedError) else type(error).__name__
        logger.info("token refused", extra={"reason": reason})
        raise AuthenticationError from None


def _client(token: str, now: datetime, before_looking: Callable[[], object]) -> Client:
    if len(token) > LONGEST or not _COMPACT.fullmatch(token):
        raise _RefusedError("form")
    unverified = jws.extract_compact(token.encode())
    header: Any = unverified.protected
    if not isinstance(header, dict):
        raise _RefusedError("form")
    issuer = _issuer(unverified.payload)
    kid = header.get("kid")
    _check_header(header, issuer)
    if not isinstance(kid, str):
        raise _RefusedError("kid")
    key = issuers.public_key(issuer, kid, now=now, send=send_fetches, before_looking=before_looking)
    if key is None:
        raise _RefusedError("unknown key")
    registry = jws.JWSRegistry(algorithms=[issuer.algorithm], strict_check_header=False)
    claims = jwt.decode(token, _imported(key), algorithms=[issuer.algorithm], registry=registry).claims
    jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=issuer.leeway_seconds,
        iss={"essential": True, "value": issuer.issuer},
        aud={"essential": True, "value": issuer.audience},
        exp={"essential": True},
        sub={"essential": True},
    ).validate(claims)
    return _of_claims(claims, issuer)


def _issuer(payload: bytes | None) -> Issuer:
    """Return the issuer that an unverified token names: its keys are the only ones that can verify it."""
    claims = json.loads(payload or b"")
    named = claims.get("iss") if isinstance(claims, dict) else None
    issuer = issuers.issuers().get(named) if isinstance(named, str) else None
    if issuer is None:
        raise _RefusedError("issuer")
    return issuer


def _check_header(header: Mapping[str, Any], issuer: Issuer) -> None:
    if header.get("alg") != issuer.algorithm:
        raise _RefusedError("algorithm")
    if _REFUSED & header.keys():
        raise _RefusedError("header")
    kind = header.get("typ", "jwt")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise _RefusedError("type")


def _of_claims(claims: Mapping[str, Any], issuer: Issuer) -> Client:
    tenant = claims.get(issuer.tenant_claim)
    if not isinstance(tenant, str) or not 0 < len(tenant) <= _LONGEST_TENANT or "\0" in tenant:
        raise _RefusedError("tenant")
    tenant.encode()  # a lone surrogate's error is a ValueError
    if issuer.tenants is not None and tenant not in issuer.tenants:
        raise _RefusedError("tenant of another issuer")
    given = claims.get(issuer.scope_claim)
    named = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
    prefix = issuer.scope_prefix
    scopes = {one.removeprefix(prefix) for one in named if isinstance(one, str) and one.startswith(prefix)}
    subject = hashlib.sha256(f"{issuer.issuer}\n{claims['sub']}".encode()).hexdigest()[:32]
    return Client(
        tenant_id=tenant,
        key_id=f"token:{subject}",
        scopes=frozenset(scopes & _SCOPES),
        rate_limit=issuer.rate_limit,
        issuer=issuer.issuer,
        subject=str(claims["sub"]),
    )


@lru_cache(maxsize=64)
def _imported(key: PublicKey) -> RSAKey | ECKey:
    """Return a key as the library takes it. Raises JoseError, ValueError: it is none."""
    if key.kty == "EC":
        return ECKey.import_key({"kty": "EC", "crv": key.crv or "", "x": key.x or "", "y": key.y or ""})
    return RSAKey.import_key({"kty": "RSA", "n": key.n or "", "e": key.e or ""})
