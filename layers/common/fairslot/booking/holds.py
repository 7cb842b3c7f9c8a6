"""Holds: a coach's time, reserved for some minutes while the customer decides."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection
from fairslot.platform.idempotent import call
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings


def hold(
    connection: Connection,
    *,
    tenant_id: str,
    client_id: str,
    calendar_id: str,
    start_time: datetime,
    minutes: int,
    key: Key,
    now: datetime | None = None,
    requires: Sequence[str] = (),
) -> ChangeResult:
    """Hold the time of the coach whose turn it is; the answer is the hold.

    It counts and is refused like a booking, and its decision stands until it expires or is released. Without
    `now` the database's clock counts.

    Raises:
        SlotUnavailableError: no coach of the team is free then.
        HoldLimitError: the client has `MAX_HOLDS_PER_CLIENT` holds already.
        NotFoundError, ValidationError: as for booking.

    """
    values = {
        "tenant": tenant_id,
        "client": client_id,
        "limit": settings().max_holds_per_client,
        "calendar": calendar_id,
        "start": start_time,
        "for": timedelta(minutes=minutes),
        "now": now,
        "requires": [*requires] or None,
    }
    return call(connection, "holds", "hold", values, key)


def release(
    connection: Connection, *, tenant_id: str, hold_id: UUID, key: Key, now: datetime | None = None
) -> ChangeResult:
    """Release a hold; NotFoundError when the tenant has no such live hold."""
    return call(connection, "holds", "release", {"tenant": tenant_id, "hold": hold_id, "now": now}, key)


def expire(connection: Connection, *, now: datetime | None = None) -> int:
    """Release every hold that has expired; return how many. Without `now` the database's clock counts."""
    row = connection.execute(queries("holds")["expire"], {"now": now}).fetchone()
    return int(row["n"]) if row else 0
