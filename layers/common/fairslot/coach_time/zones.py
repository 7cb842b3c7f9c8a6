"""Whether Python and Postgres count the days of a time zone alike."""

from datetime import datetime
from zoneinfo import ZoneInfo

from fairslot.domain.slots import WALL_SLOTS, day_of, days_between, slot_of
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

_SQL = queries("zones")
_LOOK_AHEAD_DAYS = 400  # a calendar's horizon has at most 366


def zones_apart(connection: Connection, *, now: datetime) -> list[str]:
    """Return the zones of calendars whose coming days begin at other instants in Postgres than in Python.

    Postgres' zones decide what a calendar's blocked dates and daily maximum mean, Python's where coaches'
    days begin. A zone that one side does not know counts as apart.
    """
    apart = []
    for row in connection.execute(_SQL["calendar_zones"]).fetchall():
        try:
            zone = ZoneInfo(row["time_zone"])
        except (OSError, ValueError, KeyError):
            apart.append(row["time_zone"])
            continue
        today = slot_of(now)
        days = days_between(zone, today, today + _LOOK_AHEAD_DAYS * WALL_SLOTS)
        firsts = [day_of(zone, day)[0] for day in days]
        values = {"time_zone": zone.key, "dates": days, "first_slots": firsts}
        if not row["known"] or connection.execute(_SQL["days_apart"], values).fetchall():
            apart.append(zone.key)
    return apart
