"""What is measured in the database itself, for alarms and the dashboard: docs/watching.md."""

from datetime import datetime, timedelta
from typing import NamedTuple

from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("gauges")


class EachMinute(NamedTuple):
    """How things stand, over all tenants.

    Stale are external calendars that were not read for `STALE_AFTER_SECONDS`; `calendar_age` is the seconds
    since the reading of the oldest. Ended are those that are not read before somebody acts. Endpoints count
    that were turned off by failures in the last day.
    """

    deliveries_pending: int
    calendars_stale: int
    calendars_ended: int
    calendar_age: float
    endpoints_disabled: int


def each_minute(connection: Connection, *, now: datetime) -> EachMinute:
    """Return how things stand."""
    values = {"now": now, "stale_before": now - timedelta(seconds=settings().stale_after_seconds)}
    row = connection.execute(_SQL["each_minute"], values).fetchone()
    return EachMinute(**row) if row else EachMinute(0, 0, 0, 0.0, 0)


def fairness_deviation(connection: Connection) -> float:
    """Return how many bookings the coach who is furthest from a fair share is away from it."""
    row = connection.execute(_SQL["fairness_deviation"]).fetchone()
    return float(row["deviation"]) if row else 0.0
