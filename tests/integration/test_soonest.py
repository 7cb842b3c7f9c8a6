"""The earliest starts over calendars are those of the calendars' pages, and no more is read than it takes."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairslot.coach_time.days import extend_days
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.coach_time.soonest import Soonest, soonest
from fairslot.domain.errors import NotFoundError
from fairslot.platform.db import Connection
from tests.support.availability import list_page
from tests.support.clock import NINE, NOW
from tests.support.fixtures import Environment
from tests.support.readings import begin_absence
from tests.support.tables import clear_tables
from tests.support.team import (
    ALWAYS,
    TENANT,
    add_calendar,
    add_coach,
    add_team,
    close_days,
    set_attributes,
    set_calendar,
    set_coach,
)

GERMAN = ["language:de"]


def ask(connection: Any, calendar_ids: list[str] | None = None, **more: Any) -> Soonest:
    """Ask for the earliest starts, five by default."""
    asked: dict[str, Any] = {"tenant_id": TENANT, "requires": (), "limit": 5, "now": NOW, "clock": NOW}
    return soonest(connection, calendar_ids=calendar_ids, **asked | more)


def starts(found: Soonest) -> list[tuple[int, str, int]]:
    """Return each start in order: the slot, the calendar and how many coaches."""
    return sorted(
        (slot, one.calendar_id, count)
        for one in found.calendars
        for slot, count in zip(one.slots, one.counts, strict=True)
    )


def expected(
    connection: Connection, calendar_ids: list[str], limit: int, requires: list[str]
) -> list[tuple[int, str, int]]:
    """Return the same by the pages of the calendars, of all days that can be booked."""
    listed = [
        (one.slot, one.calendar_id, one.available_coaches)
        for calendar_id in calendar_ids
        for one in list_page(connection, calendar_id, days=366, requires=requires).starts
    ]
    return sorted(listed)[:limit]


class Watched:
    """A connection that notes how many bytes of each coach's days are read."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.read: list[int] = []

    def execute(self, query: bytes, values: Any = None, **how: Any) -> Any:
        """Execute a statement."""
        if b"engine.load_teams(" in query:
            self.read.append(values["bytes"])
        return self.connection.execute(query, values, **how)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_soonest_are_the_first_of_all(
    connection: Connection, environment: Environment, data: st.DataObject
) -> None:
    """For any calendars, coaches, absences and requirements, kept or not."""
    environment(HORIZON_DAYS="30")
    clear_tables(connection)
    languages = st.lists(st.sampled_from(["de", "en"]), unique=True)
    coaches = ["ana", "ben", "cy"]
    for coach_id in coaches:
        add_coach(connection, coach_id, time_zone=data.draw(st.sampled_from(["UTC", "Asia/Kathmandu"])))
        set_attributes(connection, coach_id, language=data.draw(languages))
    names = ["a", "b", "c"][: data.draw(st.integers(1, 3))]
    for name in names:
        add_calendar(
            connection,
            name,
            data.draw(st.lists(st.sampled_from(coaches), unique=True)),
            slot_interval=data.draw(st.sampled_from([15, 60, 240])),
            min_notice_minutes=data.draw(st.sampled_from([0, 600, 20_000])),
            horizon_days=data.draw(st.sampled_from([1, 7, 60])),
            requires=data.draw(st.sampled_from([[], [], GERMAN])),
        )
    extend_days(connection, now=NOW)
    for coach_id in coaches:
        if away := data.draw(st.sampled_from([0, 0, 2, 5, 20])):
            begin_absence(connection, coach_id, NOW, NOW + timedelta(days=away))
    kept = KeptTeams()
    for _ in range(3):
        limit = data.draw(st.sampled_from([1, 5, 40, 300]))
        requires = data.draw(st.sampled_from([[], GERMAN, ["language:de", "language:en"]]))
        wanted = expected(connection, names, limit, requires)
        for named, copy in ((names, kept), (names, None), (None, None)):
            assert starts(ask(connection, named, limit=limit, requires=requires, kept=copy)) == wanted


def test_who_lets_them_in(connection: Connection) -> None:
    """Each calendar's starts have the coaches who meet both, and what the calendar requires."""
    coaches = add_team(connection, 3, requires=GERMAN)
    add_calendar(connection, "other", coaches)
    set_attributes(connection, coaches[0], language="de", tier=3)
    set_attributes(connection, coaches[1], tier=3)
    found = ask(connection, requires=["tier:3"], limit=4)
    who = {one.calendar_id: (one.requires, one.free_coaches()(one.slots[0])) for one in found.calendars}
    assert who == {"cal": (GERMAN, [coaches[0]]), "other": ([], coaches[:2])}


def test_little_is_read_for_what_is_near(connection: Connection) -> None:
    """Five starts of tomorrow take some days of each coach, not all that are stored."""
    add_team(connection, 2)
    for asked in (None, ["cal"]):
        watched = Watched(connection)
        assert len(starts(ask(watched, asked))) == 5
        assert [size * 8 < 5 * 96 for size in watched.read] == [True]


def test_more_is_read_where_nothing_is_near(connection: Connection) -> None:
    """As far as the calendar is open, and no further; each time at least three times as far."""
    add_team(connection, 2, horizon_days=40)
    set_coach(connection, working_hours="{}")
    close_days(connection)
    watched = Watched(connection)
    assert starts(ask(watched)) == []
    assert [size // 12 for size in watched.read] == [4, 13, 61]
    assert ask(connection, ["cal"]).calendars == []


def test_the_first_start_after_weeks(connection: Connection) -> None:
    """It is found however long nobody is free before it."""
    add_team(connection, 1)
    begin_absence(connection, "coach-01", NOW, NINE + timedelta(days=20))
    found = starts(ask(connection))
    assert found == expected(connection, ["cal"], 5, [])
    assert len(found) == 5


def test_what_another_tenant_has_is_not_there(connection: Connection) -> None:
    """Neither by name nor among all."""
    add_team(connection, 1)
    add_coach(connection, "theirs", tenant_id="other", working_hours=ALWAYS)
    add_calendar(connection, "foreign", ["theirs"], tenant_id="other")
    extend_days(connection, now=NOW)
    assert {one.calendar_id for one in ask(connection, limit=100).calendars} == {"cal"}
    with pytest.raises(NotFoundError):
        ask(connection, ["cal", "foreign"])
    set_calendar(connection, "cal", active=False)
    assert ask(connection).calendars == []
    with pytest.raises(NotFoundError):
        ask(connection, ["cal"])


def test_how_fresh_the_soonest_are(connection: Connection) -> None:
    """Whose calendar was never read, and meets what is asked for, makes the answer stale."""
    coaches = add_team(connection, 2)
    set_attributes(connection, coaches[0], language="de")
    set_coach(connection, coaches[1], calendar_kind="calendar_api")
    assert (ask(connection).stale, ask(connection).unread) == (True, ["cal"])
    german = ask(connection, requires=GERMAN)
    assert (german.stale, german.unread) == (False, [])
