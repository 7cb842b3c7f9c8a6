"""The audit: entries that are written in the transaction of their change. docs/decisions/0117."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from fairslot.domain.idempotency import Key
from fairslot.domain.json_written import write as written
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

type Json = Mapping[str, Any]

# Entries, and as many changes, per statement, each of which is a transaction of its own.
PORTION = 1_000

_SQL = queries("audit")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What was done to which resource; `before` and `after` as the API shows it, None where there was none.

    Neither has a secret, or data of a customer: that is named by the appointment's id.
    """

    resource: str
    resource_id: str | None
    action: str
    before: Json | None = None
    after: Json | None = None


def origin(key: Key) -> str | None:
    """Return the request of a key as the database takes it."""
    return None if key.origin is None else written(key.origin)


def act_for(connection: Connection, key: Key) -> None:
    """Have the changes of the current transaction be those of the key's request."""
    connection.execute(_SQL["act_for"], {"origin": origin(key)})


def write(connection: Connection, *, tenant_id: str, entries: Sequence[Entry], now: datetime | None) -> None:
    """Write entries in the current transaction, for the request that it acts for."""
    if entries:
        values = {"tenant": tenant_id, "entries": Jsonb([asdict(one) for one in entries]), "now": now}
        connection.execute(_SQL["write"], values)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which entries: None matches all; `actor` is the id of a key, a token's subject or a source.

    They are of [since, until).
    """

    actor: str | None = None
    resource: str | None = None
    resource_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def list_page(
    connection: Connection, *, tenant_id: str, where: Filter, after: UUID | None, limit: int
) -> Sequence[dict[str, Any]]:
    """Return up to `limit` entries, the newest first, after the given one."""
    values = {"tenant": tenant_id, **asdict(where), "after": after, "limit": limit}
    return connection.execute(_SQL["list_page"], values).fetchall()


def delete_expired(connection: Connection, *, now: datetime, deadline: float) -> int:
    """Delete the entries that are older than `KEEP_AUDIT_DAYS`, if that is set; return how many.

    Ends early when `deadline` (monotonic clock) has passed; the next run goes on.
    """
    days = settings().keep_audit_days
    before = now - timedelta(days=days)
    # Ids begin with the milliseconds (UUID version 7), so the primary key finds what is old.
    values = {"before": before, "first": UUID(int=int(before.timestamp() * 1000) << 80), "portion": PORTION}
    deleted, rows = 0, days
    while rows and (time.monotonic() < deadline or not deleted):
        row = connection.execute(_SQL["expire"], values).fetchone()
        rows = row["n"] if row else 0
        deleted += rows
    return deleted
