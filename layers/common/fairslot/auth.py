"""Who is calling: API keys from our own table, or from the auth service where one is given."""

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass

from fairslot import db
from fairslot.errors import AuthenticationError, UnavailableError
from fairslot.queries import queries
from fairslot.settings import settings

_SQL = queries("api_keys")
_REMEMBER_SECONDS = 30.0
_REMEMBER_AT_MOST = 10_000
_TIMEOUT_SECONDS = 2.0
_LONGEST_KEY = 256
_PERMISSIONS = {"read": "read", "write": "write", "delete": "admin"}
DEFAULT_TENANT = "default"


@dataclass(frozen=True, kw_only=True)
class Client:
    """A caller: whose data it sees, what it may do, and how many requests a minute.

    `message_id` is the id of a signed request, which the signature vouches for.
    """

    tenant_id: str
    key_id: str
    scopes: frozenset[str]
    rate_limit: int
    message_id: str | None = None


_known: OrderedDict[bytes, tuple[float, Client]] = OrderedDict()


def authenticate(key: str) -> Client:
    """Return whose key this is; an answer is remembered for half a minute, a refusal is not.

    Raises:
        AuthenticationError: nobody's, or revoked.
        UnavailableError: the auth service does not answer.

    """
    if not key or len(key) > _LONGEST_KEY:
        raise AuthenticationError
    digest = hash_key(key)
    known = _known.get(digest)
    if known is not None and time.monotonic() < known[0]:
        return known[1]
    client = _ask_service(key, digest) if settings().auth_service_url else _look_up(digest)
    _known[digest] = (time.monotonic() + _REMEMBER_SECONDS, client)
    _known.move_to_end(digest)
    while len(_known) > _REMEMBER_AT_MOST:
        _known.popitem(last=False)
    return client


def forget() -> None:
    """Forget every remembered key."""
    _known.clear()


def hash_key(key: str) -> bytes:
    """Return what is stored of a key; keys are random, so a plain digest cannot be searched back."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _look_up(digest: bytes) -> Client:
    row = db.run(lambda connection: connection.execute(_SQL["find"], {"hash": digest}).fetchone())
    if row is None:
        raise AuthenticationError
    return Client(
        tenant_id=row["tenant_id"],
        key_id=str(row["key_id"]),
        scopes=frozenset(row["scopes"]),
        rate_limit=row["rate_limit"],
    )


def _ask_service(key: str, digest: bytes) -> Client:
    import httpx  # late: with our own keys nothing else of a request needs it

    try:
        answer = httpx.post(
            f"{settings().auth_service_url.rstrip('/')}/validate",
            headers={"X-API-Key": key},
            timeout=_TIMEOUT_SECONDS,
        )
        said = answer.json()
        if answer.status_code == httpx.codes.UNAUTHORIZED or said.get("valid") is False:
            raise AuthenticationError
        answer.raise_for_status()
        return Client(
            tenant_id=DEFAULT_TENANT,
            key_id=digest.hex()[:32],
            scopes=frozenset(_PERMISSIONS[name] for name in _PERMISSIONS if said["permissions"].get(name)),
            rate_limit=int(said["rate_limit"]["limit"]),
        )
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnavailableError("The auth service does not answer.") from error
