"""When coaches are away: it holds whatever their calendars say, until it is over or they are back sooner."""

from datetime import datetime
from uuid import UUID

from fairslot.platform import db
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

_SQL = queries("absences")


def begin_absence(
    connection: Connection,
    *,
    tenant_id: str,
    coach_id: str,
    start: datetime | str,
    end: datetime | str,
    event_id: UUID,
) -> None:
    """Close every slot that [start, end) touches; `event_id` is the inbound event that says so."""
    values = {"tenant": tenant_id, "coach": coach_id, "from": start, "to": end, "event": event_id}
    connection.execute(_SQL["begin_absence"], values)


def end_absence(
    connection: Connection, *, tenant_id: str, coach_id: str, start: datetime, end: datetime
) -> None:
    """End the coach's absences within [start, end).

    A coach without an external calendar is free then; the calendar of any other must be read again.
    """
    values = {"tenant": tenant_id, "coach": coach_id, "from": start, "to": end}
    connection.execute(_SQL["end_absence"], values)


def delete_old_absences(connection: Connection, *, before: int) -> int:
    """Delete the absences that were over before a slot; return how many."""
    return db.number(connection, _SQL["delete_old"], {"before": before})
