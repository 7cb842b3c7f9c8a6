"""Booking with a team of 100 and of 1,000 coaches, against a team of six, in one run.

PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.booking_teams
"""

import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg

from bench.booking_database import book, database, starts
from fairslot.coach_time.days import extend_days
from fairslot.platform import db
from tests.support.team import ALWAYS, add_calendar, add_coach

BASE = "cal-0"


def growth(sizes: Sequence[int] = (100, 1_000), count: int = 150) -> dict[int, float]:
    """Return by size of the team the ratio of the medians of a booking's time; teams take turns."""
    with database() as server, db.connect(server.url) as connection:
        for size in sizes:
            _add_team(connection, size)
        extend_days(connection, now=datetime.now(UTC))
        with psycopg.connect(server.url, autocommit=True) as cleaner:
            cleaner.execute("VACUUM ANALYZE")
        calendars = {6: BASE} | {size: _name(size) for size in sizes}
        took: dict[int, list[float]] = {size: [] for size in calendars}
        for instant in starts()[:count]:
            for size, calendar_id in calendars.items():
                began = time.perf_counter()
                book(connection, calendar_id, instant)
                took[size].append(time.perf_counter() - began)
        medians = {size: statistics.median(values[count // 5 :]) for size, values in took.items()}
        return {size: medians[size] / medians[6] for size in sizes}


def _name(size: int) -> str:
    return f"team-of-{size}"


def _add_team(connection: db.Connection, size: int) -> None:
    coaches = [f"{_name(size)}-{number}" for number in range(size)]
    for coach_id in coaches:
        add_coach(connection, coach_id, time_zone="UTC", max_per_day=10_000, working_hours=ALWAYS)
    add_calendar(connection, _name(size), coaches, duration=15)


if __name__ == "__main__":
    print(growth())
