"""Our events in coaches' calendars: what is due, what may be written, and what readings saw of them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from fairslot.domain.slots import instant_of
from fairslot.messages.readings import FreeSlots, OwnEvent
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

# For so long after it was asked for may an event be written.
PERMITTED_SECONDS = 3.0

_SQL = queries("calendar_events")


def permit(connection: Connection, *, delivery_id: UUID) -> float:
    """Return for how many seconds a delivery may begin to write; 0 where it is not the one under way."""
    row = connection.execute(_SQL["permit"], {"delivery": delivery_id}).fetchone()
    return PERMITTED_SECONDS if row and row["permitted"] else 0.0


def send_due(connection: Connection, *, limit: int) -> list[dict[str, Any]]:
    """Make deliveries of events that are not as they are to be and have none; return their messages.

    They are those of a source that was added or connected again, and those that a reading found amiss.
    """
    row = connection.execute(_SQL["send_due"], {"limit": limit}).fetchone()
    messages: list[dict[str, Any]] = row["messages"] if row else []
    return messages


def compare(
    connection: Connection, *, source_id: UUID, generation: int | None, fetched_at: datetime, free: FreeSlots
) -> None:
    """Compare the events of ours that a reading saw with those that are to be there.

    What we have left there is removed by the next sweep. What the coach moved or deleted is told of once and
    stays so.
    """
    values: dict[str, Any] = {
        "source": source_id,
        "generation": generation,
        "fetched_at": fetched_at,
        "from": instant_of(free.window.first_slot),
        "to": instant_of(free.window.end_slot),
        "own": Jsonb([_json(one) for one in free.own]),
        "whole": free.own_is_whole,
    }
    connection.execute(_SQL["compare"], values)


def _json(one: OwnEvent) -> dict[str, Any]:
    return {
        "appointment_id": str(one.appointment_id),
        "generation": one.generation,
        "start": one.start.isoformat(),
        "end": one.end.isoformat(),
    }
