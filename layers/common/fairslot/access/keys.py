"""Who is calling: API keys from our own table, or from the auth service if one is configured."""

import hashlib
import re
import time
from collections import OrderedDict
from dataclasses import dataclass

from fairslot.access import limits
from fairslot.domain.errors import AuthenticationError, UnavailableError
from fairslot.platform import db, time_limit
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("api_keys")
_REMEMBER_SECONDS = 30.0
_REMEMBER_AT_MOST = 10_000
_TIMEOUT_SECONDS = 2.0
# Not for longer: the key may have been made since.
_REMEMBER_UNKNOWN_SECONDS = 5.0
# Visible ASCII; the gateway joins headers that come twice with commas.
_WELL_FORMED = re.compile(r"[!-+\--~]{1,256}")
_PERMISSIONS = {"read": "read", "write": "write", "delete": "admin"}
DEFAULT_TENANT = "default"


@dataclass(frozen=True, kw_only=True)
class Client:
    """A caller: whose data it sees, its scopes, and how many requests a minute it may make.

    `message_id` is the id of a signed request, which its signature covers.
    """

    tenant_id: str
    key_id: str
    scopes: frozenset[str]
    rate_limit: int
    message_id: str | None = None


class _Memory[T]:
    """What is known about keys, each for a limited time, and of a limited number."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, tuple[float, T]] = OrderedDict()

    def get(self, digest: bytes) -> T | None:
        until, value = self._entries.get(digest, (0.0, None))
        return value if time.monotonic() < until else None

    def keep(self, digest: bytes, value: T, seconds: float) -> None:
        self._entries[digest] = (time.monotonic() + seconds, value)
        self._entries.move_to_end(digest)
        while len(self._entries) > _REMEMBER_AT_MOST:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        self._entries.clear()


_known = _Memory[Client]()
_unknown = _Memory[bool]()


def authenticate(key: str, address: str) -> Client:
    """Return whose key this is; a known key is remembered for 30 seconds, an unknown one for 5.

    A key that is not remembered is looked up unless its address has tried too many unknown keys.

    Raises:
        AuthenticationError: unknown or revoked.
        RateLimitError: too many unknown keys from this address.
        UnavailableError: the auth service does not answer.

    """
    if not _WELL_FORMED.fullmatch(key):
        raise AuthenticationError
    digest = hash_key(key)
    known = _known.get(digest)
    if known is not None:
        return known
    if _unknown.get(digest):
        raise AuthenticationError
    limit = settings().max_unknown_keys_per_minute
    limits.check_unknown_keys(address, digest, limit)
    try:
        client = _ask_service(key, digest) if settings().auth_service_url else _look_up(digest)
    except AuthenticationError:
        _unknown.keep(digest, True, _REMEMBER_UNKNOWN_SECONDS)  # noqa: FBT003
        limits.count_unknown_key(address, limit)
        limits.forget_key(digest)
        raise
    _known.keep(digest, client, _REMEMBER_SECONDS)
    limits.remember_key(digest)
    return client


def clear_cache() -> None:
    """Forget every remembered key."""
    _known.clear()
    _unknown.clear()


def hash_key(key: str) -> bytes:
    """Return what is stored of a key; keys are random, so a plain digest cannot be reversed."""
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
    import httpx  # late: with our own keys no request needs it

    try:
        answer = httpx.post(
            f"{settings().auth_service_url.rstrip('/')}/validate",
            headers={"X-API-Key": key},
            timeout=max(0.0, min(_TIMEOUT_SECONDS, time_limit.left())),
        )
        validated = answer.json()
        if answer.status_code == httpx.codes.UNAUTHORIZED or validated.get("valid") is False:
            raise AuthenticationError
        answer.raise_for_status()
        return Client(
            tenant_id=DEFAULT_TENANT,
            key_id=digest.hex()[:32],
            scopes=frozenset(
                _PERMISSIONS[name] for name in _PERMISSIONS if validated["permissions"].get(name)
            ),
            rate_limit=int(validated["rate_limit"]["limit"]),
        )
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnavailableError("The auth service does not answer; try again.") from error
