"""Who is calling: API keys from our own table, or from the auth service if one is configured.

What is remembered of a key of ours is good for one version of its tenant's keys: see Remembered and
docs/decisions/0114-api-keys.md.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime

from fairslot.access import guesses, key_form, limits
from fairslot.access.guesses import Address
from fairslot.access.memory import Memory
from fairslot.domain.errors import AuthenticationError, UnavailableError
from fairslot.platform import clock, db, time_limit
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("api_keys")
_REMEMBER_SECONDS = 30.0
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

    `calendars` are those that it may see, None that it sees all. `message_id` is the id of a signed request,
    which its signature covers. `issuer` and `subject` are those of a token.
    """

    tenant_id: str
    key_id: str
    scopes: frozenset[str]
    rate_limit: int
    calendars: frozenset[str] | None = None
    message_id: str | None = None
    issuer: str | None = None
    subject: str | None = None

    def actor(self) -> dict[str, str]:
        """Return who it is for the audit: `kind` (key, token, source), `id`, and the `issuer` of a token."""
        if self.issuer is not None:
            return {"kind": "token", "id": self.subject or "", "issuer": self.issuer}
        kind, _, name = self.key_id.rpartition(":")
        return {"kind": kind or "key", "id": name}


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What a look-up found: whose key it is, until when, and the version of the tenant's keys.

    The auth service tells neither of the last two.
    """

    client: Client
    version: int | None = None
    valid_until: datetime | None = None

    def is_valid(self) -> bool:
        return self.valid_until is None or clock.now() < self.valid_until


_known = Memory[bytes, _Found]()
_unknown = Memory[bytes, bool]()


class Remembered:
    """A key of ours that is taken as it was looked up; `fresh`: for this request.

    It is good for one version of the tenant's keys. Whoever finds that there is another one, or cannot tell,
    looks it up anew.
    """

    def __init__(self, digest: bytes, found: _Found, *, fresh: bool) -> None:
        self._digest = digest
        self.fresh = fresh
        self.version = found.version

    def renew(self) -> None:
        """Look the key up anew. Raises AuthenticationError: it is not valid any more."""
        self.version, self.fresh = _find(self._digest).version, True


def authenticate(key: str, address: Address) -> tuple[Client, Remembered | None]:
    """Return whose key this is; a known key is remembered for 30 seconds, an unknown one for 5.

    A key that is not remembered is looked up unless its address has tried too many unknown keys. What can be
    no key is never looked up. A key of the auth service has no version, and so None.

    Raises:
        AuthenticationError: unknown, expired or revoked.
        RateLimitError: too many unknown keys from this address.
        UnavailableError: the auth service does not answer, or this cannot be counted: see Address.

    """
    digest = hash_key(key)
    found, fresh = _known.get(digest), False
    if found is None or not found.is_valid():
        if not _is_well_formed(key):
            raise AuthenticationError(reason="malformed" if key else "missing")
        found, fresh = _find_unless_guessing(key, digest, address), True
    return found.client, None if found.version is None else Remembered(digest, found, fresh=fresh)


def _is_well_formed(key: str) -> bool:
    """Tell whether a text may be a key, ours or one of the auth service, without looking it up."""
    of_ours = not (settings().auth_service_url or settings().any_key_form)
    return key_form.is_key(key) if of_ours else bool(_WELL_FORMED.fullmatch(key))


def _find_unless_guessing(key: str, digest: bytes, address: Address) -> _Found:
    if _unknown.get(digest):
        raise AuthenticationError
    is_new = address.check(digest)
    try:
        found = _find(digest, key if settings().auth_service_url else None)
    except AuthenticationError:
        address.count_wrong()
        raise
    if is_new:
        address.count_right()
    return found


def _find(digest: bytes, asked: str | None = None) -> _Found:
    """Return what is known of a key now, `asked` of the auth service, and remember it."""
    try:
        found = _look_up(digest) if asked is None else _Found(client=_ask_service(asked, digest))
    except AuthenticationError:
        _known.drop(digest)
        _unknown.keep(digest, True, _REMEMBER_UNKNOWN_SECONDS)  # noqa: FBT003
        guesses.forget_key(digest)
        raise
    _known.keep(digest, found, _REMEMBER_SECONDS)
    guesses.remember_key(digest)
    if found.version is not None:
        limits.publish_version(found.client.tenant_id, found.version)
    return found


def clear_cache() -> None:
    """Forget every remembered key."""
    _known.clear()
    _unknown.clear()


def hash_key(key: str) -> bytes:
    """Return what is stored of a key; keys are random, so a plain digest cannot be reversed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _look_up(digest: bytes) -> _Found:
    values = {"hash": digest, "now": clock.now()}
    row = db.run(lambda connection: connection.execute(_SQL["find"], values).fetchone())
    if row is None or not hmac.compare_digest(row["hash"], digest):
        raise AuthenticationError
    client = Client(
        tenant_id=row["tenant_id"],
        key_id=str(row["key_id"]),
        scopes=frozenset(row["scopes"]),
        rate_limit=row["rate_limit"],
        calendars=None if row["calendars"] is None else frozenset(row["calendars"]),
    )
    return _Found(client=client, version=row["version"], valid_until=row["valid_until"])


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
