"""A database to measure booking in, and the work to measure: a booking, and the bare commit beside it."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from fairslot.booking import appointments
from fairslot.coach_time.days import extend_days
from fairslot.domain.idempotency import Key
from fairslot.platform import db
from fairslot.platform.migrate import migrate
from local.postgres import EmbeddedPostgres
from tests.support.endpoints import add_endpoint
from tests.support.team import ALWAYS, TENANT, add_calendar, add_coach

TEAM = 6
CALENDARS = 8
CLIENTS = 8
# A calendar with a coach for each client, so that all can book the same start.
HOT = "hot"
PARTNERS = ("crm", "calendar_api")


@contextmanager
def database(partners: Sequence[str] = PARTNERS) -> Iterator[EmbeddedPostgres]:
    """Start a Postgres with eight calendars of six coaches, a hot one of eight, and a table to commit to."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        migrate(server.url)
        with db.connect(server.url) as connection:
            connection.execute(
                "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)"
            )
            for kind in partners:
                add_endpoint(connection, kind, "appointment.*")
            for name, size in [*((f"cal-{n}", TEAM) for n in range(CALENDARS)), (HOT, CLIENTS)]:
                coaches = [f"{name}-coach-{member}" for member in range(size)]
                for coach_id in coaches:
                    add_coach(connection, coach_id, time_zone="UTC", max_per_day=10_000, working_hours=ALWAYS)
                add_calendar(connection, name, coaches, duration=15)
            extend_days(connection, now=datetime.now(UTC))
        yield server


def starts() -> list[datetime]:
    """Return every quarter of an hour of 55 days from tomorrow on."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    return [first + number * timedelta(minutes=15) for number in range(96 * 55)]


def book(connection: db.Connection, calendar_id: str, start: datetime, requires: Sequence[str] = ()) -> bool:
    """Book with a new key; return False if no coach is free."""
    try:
        appointments.book(
            connection,
            tenant_id=TENANT,
            calendar_id=calendar_id,
            start_time=start,
            contact=appointments.Contact(name="Customer", email="customer@example.com", requires=requires),
            metadata={},
            key=Key(value=os.urandom(8).hex(), fingerprint=b"f" * 32),
        )
    except psycopg.Error as error:
        if error.sqlstate != "FS409":
            raise
        return False
    return True


def bare(connection: db.Connection, _: int) -> Callable[[], bool]:
    """Return work that inserts a row and commits; returns whether it did."""
    return lambda: connection.execute("INSERT INTO bare (note) VALUES ('x')").rowcount == 1
