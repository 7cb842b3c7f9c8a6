"""Calendars that are asked once more, about the appointment's time, before somebody is booked."""

import time
from collections.abc import Iterator
from datetime import datetime
from threading import Event
from uuid import UUID

import psycopg
import pytest

from fairslot.booking import decisions
from fairslot.coach_time import recheck
from fairslot.coach_time.days import extend_days
from fairslot.domain.errors import SlotUnavailableError
from fairslot.domain.idempotency import ChangeResult
from fairslot.domain.slots import slot_of
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import FreeSlots, Reading
from fairslot.platform.db import Connection
from tests.support.availability import list_page, reasons
from tests.support.bookings import book, hold
from tests.support.clock import HALF, HOUR, MINUTE, NINE, NOW, SECOND, stop_clock
from tests.support.fetching import Answer, Fetching, fetching
from tests.support.fixtures import Environment
from tests.support.invariants import check_invariants, check_replay
from tests.support.readings import store_reading
from tests.support.sources import add_source
from tests.support.team import TENANT, add_calendar, add_coach

LATER = NOW + MINUTE  # than the last reading by more than ten seconds


@pytest.fixture
def function(environment: Environment) -> Iterator[Fetching]:
    """What asks calendars; all of them are free."""
    with fetching() as server:
        environment(**server.environment)
        recheck.clear_cache()
        server.answer = free
        yield server
    recheck.clear_cache()


@pytest.fixture
def team(connection: Connection, function: Fetching) -> Connection:
    """Ana, whose turn it is first, and Ben, each with a feed that was read at NOW."""
    for coach_id in ("ana", "ben"):
        add_coach(connection, coach_id)
    add_calendar(connection, "cal", ["ana", "ben"], on_unverified="recheck")
    extend_days(connection, now=NOW)
    for coach_id in ("ana", "ben"):
        source_id = str(add_source(connection, coach_id))
        store_reading(connection, NOW, coach_id=coach_id, source_id=source_id, generation=1)
    stop_clock(connection, LATER)
    return connection


def answered(request: FetchRequest, bits: int) -> str:
    """Return the reading of a request, as of LATER."""
    free = FreeSlots(window=request.window, bits=bits)
    return Reading.of(request, fetched_at=LATER, free=free).to_json()


def free(request: FetchRequest) -> str:
    """Answer that everything is free."""
    return answered(request, (1 << request.slot_count) - 1)


def busy_for(*coaches: str) -> Answer:
    """Return what answers that these coaches have no time, and all others have."""
    return lambda request: answered(request, 0) if request.coach_id in coaches else free(request)


def booked(connection: Connection, start: datetime = NINE) -> ChangeResult:
    """Book as the API does."""
    return recheck.having_asked(connection, lambda: book(connection, start, now=LATER))


def coach_of(made: ChangeResult) -> str:
    """Return who was booked or held."""
    return str(made.answer["coach_id"])


def excluded(connection: Connection, made: ChangeResult) -> dict[str, str | None]:
    """Return why each coach was not in the choice."""
    found = decisions.decision(
        connection, tenant_id=TENANT, appointment_id=UUID(made.answer["appointment_id"])
    )
    return {one.coach_id: one.excluded_reason for one in found.candidates}


def test_only_who_is_chosen_is_asked_about_that_time(team: Connection, function: Fetching) -> None:
    """Once; and again where it is another time, or ten seconds later."""
    assert coach_of(booked(team)) == "ana"
    [asked] = function.asked
    assert (asked.coach_id, asked.first_slot, asked.slot_count) == ("ana", slot_of(NINE), 2)
    assert coach_of(booked(team, NINE + HOUR)) == "ben"
    assert [one.coach_id for one in function.asked] == ["ana", "ben"]


def test_who_is_busy_now_is_not_booked_and_not_passed_over(team: Connection, function: Fetching) -> None:
    """The next fair coach is; the record says why, and the busy time is offered no more."""
    function.answer = busy_for("ana")
    made = booked(team)
    assert coach_of(made) == "ben"
    assert excluded(team, made) == {"ana": "busy_external", "ben": None}
    rows = team.execute("SELECT coach_id, credit FROM coach_credits ORDER BY coach_id").fetchall()
    assert {row["coach_id"]: row["credit"] for row in rows} == {"ana": 0, "ben": 0}
    listed = {one.slot for one in list_page(team, start=NINE, days=1, now=LATER).starts}
    assert slot_of(NINE) not in listed
    assert slot_of(NINE + HALF) in listed
    check_replay(team)
    check_invariants(team)


def test_who_cannot_be_asked_is_as_one_who_is_not_verified(team: Connection, function: Fetching) -> None:
    """It is the next coach's turn; where nobody can be asked nobody is booked, and their time stays."""
    function.answer = lambda request: free(request) if request.coach_id == "ben" else None
    made = booked(team)
    assert coach_of(made) == "ben"
    assert excluded(team, made) == {"ana": "unverified", "ben": None}
    function.answer = lambda _: None
    with pytest.raises(psycopg.Error, match="no coach is free"):
        booked(team, NINE + HOUR)
    listed = {one.slot for one in list_page(team, start=NINE, days=1, now=LATER).starts}
    assert slot_of(NINE + HOUR) in listed
    check_replay(team)


def test_asking_takes_three_seconds_at_most_and_locks_nothing(
    team: Connection, function: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else books meanwhile; after the time it is as if the calendar could not be asked."""
    monkeypatch.setattr(recheck, "MOST_SECONDS", 1.0)
    function.hangs = Event()
    begun = time.monotonic()
    try:
        with pytest.raises((SlotUnavailableError, psycopg.Error)):
            booked(team)
        assert time.monotonic() - begun < 3.5
    finally:
        function.hangs.set()


def test_a_reading_that_began_before_does_not_free_it(team: Connection, function: Fetching) -> None:
    """One that began afterwards does."""
    function.answer = busy_for("ana", "ben")
    with pytest.raises(psycopg.Error, match="no coach is free"):
        booked(team)

    def is_free() -> bool:
        page = list_page(team, start=NINE, days=1, now=LATER)
        return slot_of(NINE) in {one.slot for one in page.starts}

    def read(at: datetime) -> None:
        row = team.execute("SELECT source_id FROM calendar_sources WHERE coach_id = 'ana'").fetchone()
        assert row is not None
        store_reading(team, at, coach_id="ana", source_id=str(row["source_id"]), generation=1)

    read(LATER - SECOND)
    assert not is_free()
    read(LATER + SECOND)
    assert is_free()


def test_a_hold_asks_too_and_its_booking_does_not(team: Connection, function: Fetching) -> None:
    """What is held is the coach's."""
    function.answer = busy_for("ana")
    held = recheck.having_asked(team, lambda: hold(team, start=NINE, now=LATER))
    assert coach_of(held) == "ben"
    asked = len(function.asked)
    made = recheck.having_asked(team, lambda: book(team, NINE, now=LATER, held=held))
    assert coach_of(made) == "ben"
    assert len(function.asked) == asked


def test_who_has_no_calendar_is_not_asked(team: Connection, function: Fetching) -> None:
    """Nor who was read within ten seconds."""
    team.execute("DELETE FROM calendar_sources WHERE coach_id = 'ana'")
    assert coach_of(booked(team)) == "ana"
    team.execute("UPDATE calendar_sources SET synced_at = %s", (LATER - 9 * SECOND,))
    assert coach_of(booked(team)) == "ben"
    assert function.asked == []


def test_what_is_free_there_opens_nothing(team: Connection, function: Fetching) -> None:
    """The answer is about an hour; what was read before of the calendar stands until it is read again."""
    row = team.execute("SELECT source_id FROM calendar_sources WHERE coach_id = 'ana'").fetchone()
    assert row is not None
    known = row["source_id"]
    store_reading(team, NOW + SECOND, (NINE, NINE + HOUR), coach_id="ana", source_id=str(known), generation=1)
    slots = (1 << 4) - 1
    team.execute(
        "SELECT engine.store_check(p_coach => 'ana', p_source => %s, p_generation => 1, p_checked_at => %s,"
        " p_first => %s, p_count => 4, p_free => %s::varbit)",
        (known, LATER, slot_of(NINE), format(slots, "04b")),
    )
    team.execute("SELECT engine.combine_sources(p_coach => 'ana')")
    assert reasons(team, NINE, now=LATER)["ana"] == "busy_external"
