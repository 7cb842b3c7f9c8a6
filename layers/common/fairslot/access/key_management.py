"""A tenant's API keys: made, listed, rotated and revoked. A key itself never comes here, only its hash."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fairslot.access import limits
from fairslot.domain.errors import ConflictError, NotFoundError, UnavailableError, ValidationError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform import db, idempotent
from fairslot.platform.audit import Entry
from fairslot.platform.db import Connection
from fairslot.platform.idempotent import Effect
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("api_keys")
_NOT_TOLD = (
    "The change is stored, but the cache did not answer: a process that still reaches it may take the old key"
    " for 30 seconds. Send the request again."
)


@dataclass(frozen=True, kw_only=True)
class Secret:
    """What is stored of a key: its hash, and the first characters, by which people recognize it."""

    hash: bytes
    start: str


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a key is for: `calendars` None is every calendar; instants and limits as in the API."""

    label: str
    scopes: Collection[str]
    calendars: Collection[str] | None
    rate_limit: int
    expires_at: datetime | None


def create(
    connection: Connection, *, tenant_id: str, secret: Secret, grant: Grant, key: Key, now: datetime
) -> ChangeResult:
    """Make a key; the answer is the key's resource, for a known idempotency key as it is now.

    Raises:
        ValidationError: it would have expired, the tenant lacks one of the calendars, or a key that manages
            the tenant would be limited to some.

    """
    _check(connection, tenant_id, grant, now)
    values = {
        "tenant": tenant_id,
        "hash": secret.hash,
        "start": secret.start,
        "label": grant.label,
        "scopes": sorted(grant.scopes),
        "calendars": None if grant.calendars is None else sorted(grant.calendars),
        "rate_limit": grant.rate_limit,
        "expires_at": grant.expires_at,
        "now": now,
    }

    def work() -> Effect:
        row = connection.execute(_SQL["create"], values).fetchone()
        key_id = row["key_id"] if row else UUID(int=0)
        return Effect(
            answer={"key_id": str(key_id)},
            entries=[entry(connection, tenant_id, key_id, now, "created", None)],
        )

    done = idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)
    return _with_resource(connection, tenant_id, done, now)


def list_page(
    connection: Connection, *, tenant_id: str, after: UUID | None, limit: int, now: datetime
) -> list[dict[str, Any]]:
    """Return up to `limit` keys, the newest first, after the given one."""
    values = {"tenant": tenant_id, "after": after, "limit": limit, "now": now}
    return [row["key"] for row in connection.execute(_SQL["list_page"], values)]


def get(connection: Connection, *, tenant_id: str, key_id: UUID, now: datetime) -> dict[str, Any]:
    """Return one key, revoked or not. Raises NotFoundError."""
    row = connection.execute(_SQL["get"], {"tenant": tenant_id, "key_id": key_id, "now": now}).fetchone()
    if row is None:
        raise NotFoundError("There is no such API key.")
    found: dict[str, Any] = row["key"]
    return found


def rotate(
    connection: Connection,
    *,
    tenant_id: str,
    key_id: UUID,
    secret: Secret,
    overlap: timedelta,
    key: Key,
    now: datetime,
) -> ChangeResult:
    """Replace a key; the current one stays valid for `overlap`, without one it ends at once.

    Raises:
        NotFoundError: the tenant has no such key.
        ConflictError: it is revoked or expired, or the key before the current one is still valid.
        UnavailableError: it is replaced, but some process may not have heard of it.

    """
    values = {
        "tenant": tenant_id,
        "key_id": key_id,
        "hash": secret.hash,
        "start": secret.start,
        "until": now + overlap if overlap else None,
        "now": now,
    }

    def work() -> Effect:
        known = connection.execute(_SQL["lock"], values).fetchone()
        if known is None:
            raise NotFoundError("There is no such API key.")
        before = get(connection, tenant_id=tenant_id, key_id=key_id, now=now)
        if known["ended"]:
            raise ConflictError("The API key is revoked or expired; make another one.")
        if known["is_rotating"] and overlap:
            raise ConflictError(
                "The key before this one is valid until `previous_key_until`; rotate then, or with"
                " `overlap_hours` 0, which ends both."
            )
        connection.execute(_SQL["rotate"], values)
        rotated = entry(connection, tenant_id, key_id, now, "rotated", before)
        return Effect(answer={"key_id": str(key_id)}, entries=[rotated])

    done = idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)
    _tell(connection, tenant_id)
    return _with_resource(connection, tenant_id, done, now)


def revoke(connection: Connection, *, tenant_id: str, key_id: UUID, key: Key, now: datetime) -> ChangeResult:
    """Revoke a key; from the answer on no process takes it. Done again it changes nothing.

    Raises:
        NotFoundError: the tenant has no such key.
        UnavailableError: it is revoked, but some process may not have heard of it.

    """
    values = {"tenant": tenant_id, "key_id": key_id, "now": now}

    def work() -> Effect:
        if connection.execute(_SQL["lock"], values).fetchone() is None:
            raise NotFoundError("There is no such API key.")
        before = get(connection, tenant_id=tenant_id, key_id=key_id, now=now)
        if db.number(connection, _SQL["revoke"], values) == 0:
            return Effect(answer={}, entries=[])
        return Effect(answer={}, entries=[entry(connection, tenant_id, key_id, now, "revoked", before)])

    done = idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)
    _tell(connection, tenant_id)
    return done


def entry(
    connection: Connection,
    tenant_id: str,
    key_id: UUID,
    now: datetime,
    action: str,
    before: dict[str, Any] | None,
) -> Entry:
    """Return the audit's entry of what was done to a key; the key itself is in none."""
    after = get(connection, tenant_id=tenant_id, key_id=key_id, now=now)
    return Entry(resource="key", resource_id=str(key_id), action=action, before=before, after=after)


def _check(connection: Connection, tenant_id: str, grant: Grant, now: datetime) -> None:
    if grant.expires_at is not None and grant.expires_at <= now:
        raise ValidationError("expires_at is past.", [("body.expires_at", "not_in_future")])
    if grant.calendars is None:
        return
    if "admin" in grant.scopes:
        raise ValidationError(
            "A key with the scope `admin` sees every calendar; leave `calendars` out.",
            [("body.calendars", "not_with_admin")],
        )
    values = {"tenant": tenant_id, "calendars": sorted(grant.calendars)}
    if connection.execute(_SQL["unknown_calendars"], values).fetchone() is not None:
        raise ValidationError("There is no such calendar.", [("body.calendars", "unknown")])


def _tell(connection: Connection, tenant_id: str) -> None:
    """Have every process look the tenant's keys up anew, also where that failed for an earlier request."""
    row = connection.execute(_SQL["version"], {"tenant": tenant_id}).fetchone()
    told = limits.publish_version(tenant_id, row["version"] if row else 0)
    if settings().redis_url and not told:
        raise UnavailableError(_NOT_TOLD)


def _with_resource(connection: Connection, tenant_id: str, done: ChangeResult, now: datetime) -> ChangeResult:
    key_id = UUID(done.answer["key_id"])
    resource = get(connection, tenant_id=tenant_id, key_id=key_id, now=now)
    return ChangeResult(answer=resource, replayed=done.replayed)
