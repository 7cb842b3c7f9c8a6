"""Hold a coach's time for some minutes while a customer makes up their mind."""

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
) -> ChangeResult:
    """Claim the time of the coach whose turn it is; the answer is the hold.

    It is counted and refused like a booking, and its decision stands until it expires or is released. Without
    `now` the database's clock decides when that is.

    Raises:
        SlotUnavailableError: no coach of the team is free then.
        HoldLimitError: the client holds `MAX_HOLDS_PER_CLIENT` times already.
        NotFoundError, ValidationError: as for booking.

    """
    values = {
        "tenant": tenant_id,
        "client": client_id,
        "most": settings().max_holds_per_client,
        "calendar": calendar_id,
        "start": start_time,
        "for": timedelta(minutes=minutes),
        "now": now,
    }
    return call(connection, "holds", "hold", values, key)


def release(
    connection: Connection, *, tenant_id: str, hold_id: UUID, key: Key, now: datetime | None = None
) -> ChangeResult:
    """Give a held time back; NotFoundError when the tenant has no such live hold."""
    return call(connection, "holds", "release", {"tenant": tenant_id, "hold": hold_id, "now": now}, key)


def expire(connection: Connection, *, now: datetime | None = None) -> int:
    """Give back every held time that has expired; return how many."""
    row = connection.execute(queries("holds")["expire"], {"now": now}).fetchone()
    return int(row["n"]) if row else 0
