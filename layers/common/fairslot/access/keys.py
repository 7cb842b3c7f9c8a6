"""Who is calling: API keys from our own table, or from the auth service where one is given."""

import hashlib
import re
import time
from collections import OrderedDict
from dataclasses import dataclass

from fairslot.domain.errors import AuthenticationError, UnavailableError
from fairslot.platform import cache, db, time_limit
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("api_keys")
_REMEMBER_SECONDS = 30.0
_REMEMBER_AT_MOST = 10_000
_TIMEOUT_SECONDS = 2.0
# A refusal is not remembered for longer: a key may have been made since.
_REMEMBER_UNKNOWN_SECONDS = 5.0
# Visible ASCII; the gateway joins headers that come twice with commas.
_WELL_FORMED = re.compile(r"[!-+\--~]{1,256}")
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


class _Memory[T]:
    """What was found out about keys, each for a while, and not of too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[float, T]] = OrderedDict()

    def get(self, digest: bytes) -> T | None:
        until, value = self._kept.get(digest, (0.0, None))
        return value if time.monotonic() < until else None

    def keep(self, digest: bytes, value: T, seconds: float) -> None:
        self._kept[digest] = (time.monotonic() + seconds, value)
        self._kept.move_to_end(digest)
        while len(self._kept) > _REMEMBER_AT_MOST:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()


_known = _Memory[Client]()
_unknown = _Memory[bool]()


def authenticate(key: str, address: str) -> Client:
    """Return whose key this is; an answer is remembered for half a minute, a refusal for some seconds.

    What is not remembered is looked up, as long as the address has not tried too many unknown keys.

    Raises:
        AuthenticationError: nobody's, or revoked.
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
    cache.check_unknown_keys(address, digest, limit)
    try:
        client = _ask_service(key, digest) if settings().auth_service_url else _look_up(digest)
    except AuthenticationError:
        _unknown.keep(digest, True, _REMEMBER_UNKNOWN_SECONDS)  # noqa: FBT003
        cache.count_unknown_key(address, limit)
        cache.note_key(digest, found=False)
        raise
    _known.keep(digest, client, _REMEMBER_SECONDS)
    cache.note_key(digest, found=True)
    return client


def clear_cache() -> None:
    """Forget every remembered key."""
    _known.clear()
    _unknown.clear()


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
            timeout=max(0.0, min(_TIMEOUT_SECONDS, time_limit.left())),
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
