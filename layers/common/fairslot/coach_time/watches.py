"""Which providers are asked to tell of changes, and what they answered: docs/decisions/0148.

Reading goes on whatever they say: a channel only lets a source be read sooner, and less often without need.
"""

from datetime import datetime
from typing import Any

from fairslot.messages.watches import WatchAnswer, WatchRequest
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("watches")
# In one run of the schedule: more would keep the calendars waiting that are to be read.
_MOST = 500


def due(connection: Connection, *, now: datetime) -> list[WatchRequest]:
    """Claim the channels that are to be made, renewed or stopped; none where notifications have no address.

    A request that gets no answer is made again later, so a channel whose answer was lost has a successor.
    """
    base = settings().push_url
    if not base:
        return []
    values = {"now": now, "most": _MOST}
    rows = [row for name in ("due", "ended") for row in connection.execute(_SQL[name], values).fetchall()]
    return [_request(row, base) for row in rows]


def store(connection: Connection, answer: WatchAnswer, *, now: datetime) -> None:
    """Store what became of a request. Answers may be lost, come late, twice, and in any order."""
    values = {
        "source": answer.source_id,
        "generation": answer.generation,
        "channel": answer.channel_id,
        "resource": answer.resource_id,
        "expires_at": answer.expires_at,
        "error": answer.error,
        "after": answer.after,
        "gone": answer.gone,
        "now": now,
    }
    if answer.action == "stop":
        # What could not be stopped is tried again: it was not deleted when it was claimed.
        if answer.error is None:
            connection.execute(_SQL["stopped"], values)
    elif answer.expires_at is None:
        connection.execute(_SQL["failed"], values)
    else:
        connection.execute(_SQL["store"], values)


def _request(row: dict[str, Any], base: str) -> WatchRequest:
    return WatchRequest(
        action=row["action"],
        source_id=row["source_id"],
        generation=row["generation"],
        calendar_kind=row["kind"],
        calendar_ref=row["calendar_ref"],
        credentials=row["credentials"],
        address=f"{base.rstrip('/')}/calendar-push/{row['kind']}",
        channel_id=row["channel_id"],
        resource_id=row["resource_id"],
        expires_at=row["expires_at"],
    )
