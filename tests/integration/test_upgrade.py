"""A database that is in use is brought up to date, and what was booked before counts as before."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from fairslot import db, sync
from fairslot.migrate import migrate, migrations
from local import replay
from local.postgres import EmbeddedPostgres
from tests.world import ALWAYS, NINE, NOW, Coach, add_calendar, add_coach, add_endpoint, book, cancel, check

# The last migration of what was in use when this was written.
IN_USE = "0010_inbound.sql"
COACHES = ["coach-01", "coach-02", "coach-03"]
DAYS = """
    INSERT INTO coach_slots (coach_id, first_slot, slot_count, local_date, working, external, max_per_day)
    SELECT coach_id, slot_of(day::timestamp AT TIME ZONE 'UTC'), 96, day, whole, whole, 10
      FROM coaches, span_mask(0, 96, 96) AS whole,
           generate_series('2026-03-02'::date, '2026-03-04', '1 day') AS day"""
KNOWN = (
    "SELECT calendar_id, coach_id, credit, last_assigned_seq FROM coach_calendars ORDER BY 1, 2",
    "SELECT coach_id, first_slot, taken::text, booked FROM coach_slots ORDER BY 1, 2",
    "SELECT delivery_id, event_id, status FROM webhook_deliveries ORDER BY 1",
)


@pytest.fixture
def url_in_use(postgres: EmbeddedPostgres) -> str:
    """A database as an earlier version left it, with a team and its days."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS in_use")
        connection.execute("CREATE DATABASE in_use")
    url = postgres.url_of("in_use")
    migrate(url, [one for one in migrations() if one[0] <= IN_USE])
    with db.connect(url) as connection:
        for coach_id in COACHES:
            add_coach(connection, Coach(coach_id=coach_id, time_zone="UTC", working_hours=ALWAYS))
        add_calendar(connection, "cal", COACHES)
        add_endpoint(connection, "crm", "appointment.*")
        connection.execute(DAYS.encode())
    return url


def known(connection: db.Connection) -> list[list[Any]]:
    """Return credits, days and deliveries."""
    return [connection.execute(query.encode()).fetchall() for query in KNOWN]


def test_what_was_booked_before_counts_as_before(url_in_use: str) -> None:
    """Credits, days and deliveries stay, the whole record replays, and old bookings can be cancelled."""
    with db.connect(url_in_use) as connection:
        old = [book(connection, NINE + number * timedelta(minutes=30)) for number in range(8)]
        cancel(connection, old[3])
        before = known(connection)
    assert migrate(url_in_use)
    with db.connect(url_in_use) as connection:
        assert known(connection) == before
        sync.extend(connection, now=NOW)
        cancel(connection, old[5])
        for number in range(8):
            book(connection, NINE + number * timedelta(minutes=30))
        check(connection)
        with connection.transaction():
            assert replay.replay(connection, "cal") == 8 + 8 + 2
