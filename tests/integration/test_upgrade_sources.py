"""The external calendars of the last release become sources, and its code goes on with them."""

from collections.abc import Iterator

import psycopg
import pytest

from fairslot.coach_time import sync
from fairslot.coach_time.days import extend_days
from fairslot.platform import db
from fairslot.platform.db import Connection
from fairslot.platform.migrate import migrate
from local.postgres import EmbeddedPostgres
from tests.support.availability import reasons
from tests.support.clock import HOUR, MINUTE, NINE, NOW
from tests.support.invariants import check_invariants
from tests.support.readings import reading_of
from tests.support.releases import last_release, read_with_last_release, restore

TEN = NINE + HOUR


@pytest.fixture
def url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The last release's database, in which two coaches have calendars, of which one was read."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE with_calendars")
    url = postgres.url_of("with_calendars")
    restore(url, last_release())
    with db.connect(url) as connection:
        connection.execute(
            "UPDATE coaches SET calendar_kind = 'calendar_api' WHERE coach_id = 'coach-01';"
            "UPDATE coaches SET calendar_kind = 'icalendar', calendar_url = 'https://feeds.example.com/a'"
            " WHERE coach_id = 'coach-02'"
        )
    read_with_last_release(url, NOW, reading_of(NOW, (NINE + 2 * HOUR, NINE + 3 * HOUR), coach_id="coach-01"))
    yield url
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE with_calendars WITH (FORCE)")


def external(connection: Connection) -> list[dict[str, str]]:
    """Return what the calendars leave free on each stored day."""
    return connection.execute(
        "SELECT coach_id, first_slot, external FROM coach_slots ORDER BY coach_id, first_slot"
    ).fetchall()


def test_a_calendar_is_a_source_with_its_last_answer(url: str) -> None:
    """What it left free stays, and making the days of it again changes nothing."""
    with db.connect(url) as connection:
        before = external(connection)
    migrate(url)
    with db.connect(url) as connection:
        assert external(connection) == before
        found = connection.execute(
            "SELECT coach_id, kind, url, reads, writes, synced_at FROM calendar_sources ORDER BY coach_id"
        ).fetchall()
        assert [tuple(one.values()) for one in found] == [
            ("coach-01", "calendar_api", None, True, True, NOW),
            ("coach-02", "icalendar", "https://feeds.example.com/a", True, False, None),
        ]
        connection.execute("SELECT engine.combine_sources(p_coach => 'coach-01')")
        assert external(connection) == before
        assert {fetch.coach_id for fetch in sync.due(connection, now=NOW + 6 * MINUTE)} == {
            "coach-01",
            "coach-02",
        }
        check_invariants(connection)


def test_the_last_release_reads_and_stores_on_the_new_schema(url: str) -> None:
    """Its messages name no source, and its columns say which calendars there are."""
    migrate(url)
    reading = reading_of(NOW + MINUTE, (NINE, TEN), coach_id="coach-01")
    assert read_with_last_release(url, NOW + 6 * MINUTE, reading) == ["coach-01", "coach-02"]
    with db.connect(url) as connection:
        extend_days(connection, now=NOW)
        row = connection.execute(
            "SELECT synced_at FROM calendar_sources WHERE coach_id = 'coach-01'"
        ).fetchone()
        assert row == {"synced_at": NOW + MINUTE}
        assert reasons(connection, NINE)["coach-01"] in {"busy_external", "booked"}
        assert reasons(connection, NINE + 2 * HOUR)["coach-01"] != "busy_external"
        check_invariants(connection)
