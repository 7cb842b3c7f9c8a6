"""Coaches whose calendars were not read lately, in a calendar that does not book them."""

from datetime import datetime
from uuid import UUID

import psycopg
import pytest

from fairslot.booking import decisions
from fairslot.coach_time.days import extend_days
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.platform.db import Connection
from tests.support.availability import list_page, reasons
from tests.support.bookings import appointment_of, book, hold, reschedule
from tests.support.clock import HOUR, MINUTE, NINE, NOW
from tests.support.invariants import check_replay
from tests.support.readings import store_message, store_reading
from tests.support.sources import add_source, failed
from tests.support.team import TENANT, add_calendar, add_coach, set_calendar

OLD, YOUNG = NOW - 16 * MINUTE, NOW - 14 * MINUTE


@pytest.fixture
def team(connection: Connection) -> Connection:
    """Ana has a feed and a Google calendar, which was not read for 16 minutes; Ben has no calendar."""
    add_coach(connection, "ana")
    add_coach(connection, "ben")
    add_calendar(connection, "cal", ["ana", "ben"], on_unverified="block")
    extend_days(connection, now=NOW)
    read(connection, add_source(connection), YOUNG)
    read(connection, add_source(connection, kind="google"), OLD)
    return connection


def read(connection: Connection, source_id: UUID, at: datetime) -> None:
    """Store a reading of one of Ana's sources in which everything is free."""
    store_reading(connection, at, source_id=str(source_id), generation=1)


def google(connection: Connection) -> UUID:
    """Return Ana's Google calendar."""
    row = connection.execute("SELECT source_id FROM calendar_sources WHERE kind = 'google'").fetchone()
    assert row is not None
    source_id: UUID = row["source_id"]
    return source_id


def listed(connection: Connection, at: datetime = NOW, kept: KeptTeams | None = None) -> set[tuple[str, ...]]:
    """Return who is listed for the starts of a day."""
    page = list_page(connection, start=NINE, days=1, now=at, with_coaches=True, kept=kept)
    return {one.coach_ids or () for one in page.starts}


def test_nobody_is_booked_by_what_is_not_known(team: Connection) -> None:
    """Neither listed, nor held, nor booked; the page stays stale on account of it."""
    assert listed(team) == {("ben",)}
    assert reasons(team) == {"ana": "unverified", "ben": None}
    assert list_page(team, start=NINE, days=1, now=NOW).stale
    assert hold(team, start=NINE).answer["coach_id"] == "ben"
    with pytest.raises(psycopg.Error, match="no coach is free"):
        book(team, NINE)
    assert appointment_of(book(team, NINE + HOUR)).coach_id == "ben"


def test_by_default_what_is_known_counts(team: Connection) -> None:
    """As it was before there was a choice."""
    set_calendar(team, "cal", on_unverified="allow")
    assert listed(team) == {("ana", "ben")}
    assert reasons(team) == {"ana": None, "ben": None}


def test_a_reading_ends_it_and_time_begins_it(team: Connection) -> None:
    """Also of a page that is kept: the same team is listed otherwise when a quarter of an hour is over."""
    kept = KeptTeams()
    assert listed(team, kept=kept) == {("ben",)}
    read(team, google(team), NOW)
    assert listed(team, kept=kept) == {("ana", "ben")}
    store_message(team, failed(google(team), NOW + MINUTE))
    later = YOUNG + 15 * MINUTE
    assert listed(team, later, kept) == {("ana", "ben")}
    assert listed(team, later + MINUTE, kept) == {("ben",)}


def test_who_is_not_verified_is_not_passed_over(team: Connection) -> None:
    """Not free is no turn: the record says so, and replaying it gives the same."""
    made = book(team, NINE)
    found = decisions.decision(team, tenant_id=TENANT, appointment_id=UUID(made.answer["appointment_id"]))
    assert {one.coach_id: one.excluded_reason for one in found.candidates} == {
        "ana": "unverified",
        "ben": None,
    }
    rows = team.execute("SELECT coach_id, credit FROM coach_credits ORDER BY coach_id").fetchall()
    assert {row["coach_id"]: row["credit"] for row in rows} == {"ana": 0, "ben": 0}
    check_replay(team)


def test_an_appointment_moves_to_who_is_verified(team: Connection) -> None:
    """With the same coach it is refused where the coach is not."""
    set_calendar(team, "cal", on_unverified="allow")
    made = [book(team, NINE + number * HOUR) for number in range(2)]
    of_ana = next(one for one in made if appointment_of(one).coach_id == "ana")
    set_calendar(team, "cal", on_unverified="block")
    with pytest.raises(psycopg.Error, match="no coach is free"):
        reschedule(team, of_ana, NINE + 4 * HOUR, any_coach=False)
    moved = reschedule(team, of_ana, NINE + 4 * HOUR, any_coach=True)
    assert moved.answer["coach_id"] == "ben"
