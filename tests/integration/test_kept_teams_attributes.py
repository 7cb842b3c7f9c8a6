"""A page with requirements is answered from what is kept of the team, as exactly as one without."""

from collections.abc import Callable
from typing import Any

import pytest

from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.platform.db import Connection
from tests.support.availability import list_page
from tests.support.bookings import book
from tests.support.clock import NOW
from tests.support.fixtures import Connect, Environment
from tests.support.team import (
    TENANT,
    add_coach,
    add_team,
    set_attributes,
    set_calendar,
    set_coach,
)

GERMAN = ["language:de"]
# Each makes another page of those who speak German; the first coach is one, the second is not.
CHANGES: dict[str, Callable[[Connection], Any]] = {
    "a coach learns": lambda connection: set_attributes(connection, "coach-02", language=["en", "de"]),
    "a coach forgets": lambda connection: set_attributes(connection, "coach-01"),
    "the calendar requires": lambda connection: set_calendar(connection, requires=["tier:2"]),
    "a booking": lambda connection: book(connection, requires=GERMAN),
    "joining": lambda connection: connection.execute("SELECT engine.join_team('cal', 'more', 1)"),
    "an inactive coach": lambda connection: set_coach(connection, "coach-01", active=False),
}


@pytest.fixture
def team(connection: Connection, environment: Environment) -> Connection:
    """Three coaches, of whom the first speaks German, and another one who does, not in the team."""
    add_coach(connection, "more")
    add_team(connection, 3)
    for coach_id in ("coach-01", "more"):
        set_attributes(connection, coach_id, language="de")
    return connection


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_is_taken_over(team: Connection, change: Callable[[Connection], Any]) -> None:
    """It makes another page, and what is kept gives that, with requirements and without."""
    kept = KeptTeams()
    list_page(team, kept=kept)
    before = list_page(team, with_coaches=True, kept=kept, requires=GERMAN)
    assert {one.coach_ids for one in before.starts} == {("coach-01",)}
    change(team)
    after = list_page(team, with_coaches=True, requires=GERMAN)
    assert after != before
    for requires in (GERMAN, [], ["language:fr"], GERMAN):
        fresh = list_page(team, with_coaches=True, requires=requires)
        assert list_page(team, with_coaches=True, requires=requires, kept=kept) == fresh


def test_what_the_calendar_requires_is_taken_over_without_a_request(team: Connection) -> None:
    """Also where nobody asks for anything."""
    kept = KeptTeams()
    list_page(team, kept=kept)
    set_calendar(team, "cal", requires=GERMAN)
    page = list_page(team, with_coaches=True, kept=kept)
    assert {one.coach_ids for one in page.starts} == {("coach-01",)}
    set_attributes(team, "coach-03", language="de")
    page = list_page(team, with_coaches=True, kept=kept)
    assert {one.coach_ids for one in page.starts} == {("coach-01", "coach-03")}


def test_attributes_that_change_between_two_statements(team: Connection, connect: Connect) -> None:
    """The next page has them, whoever was read with the team."""
    other, kept = connect(), KeptTeams()

    class Slow:
        """A connection on which another session is quicker between two statements."""

        def execute(self, query: bytes, *values: Any, **how: Any) -> Any:
            if b"engine.team_changes(" in query:
                set_attributes(other, "coach-02", language="de")
                set_attributes(other, "coach-01", language="en")
            return team.execute(query, *values, **how)

    list_page(Slow(), kept=kept, requires=GERMAN)  # type: ignore[arg-type]
    page = list_page(team, with_coaches=True, kept=kept, requires=GERMAN)
    assert {one.coach_ids for one in page.starts} == {("coach-02",)}
    assert page == list_page(team, with_coaches=True, requires=GERMAN)


def test_readings_of_others_do_not_count(team: Connection) -> None:
    """Whether a page is stale depends on those who may be booked."""
    set_coach(team, "coach-02", calendar_kind="calendar_api")
    kept = KeptTeams()
    for copy in (kept, kept, None):
        assert list_page(team, kept=copy).stale
        assert not list_page(team, kept=copy, requires=GERMAN).stale
    set_calendar(team, "cal", requires=GERMAN)
    for copy in (kept, None):
        assert not list_page(team, kept=copy).stale


def test_what_is_kept_of_requirements_is_bounded(team: Connection) -> None:
    """However many are asked for: those of the last ones, and their size counts."""
    kept = KeptTeams()
    list_page(team, kept=kept)
    kept.weigh(TENANT, "cal")
    bare = kept.size
    for number in range(20):
        list_page(team, kept=kept, requires=[f"tier:{number}"])
        kept.weigh(TENANT, "cal")
    found = kept.find(team, TENANT, "cal", now=NOW)
    assert found is not None
    assert [*found.parts] == [(f"tier:{number}",) for number in range(16, 20)]
    assert kept.size > bare + 4 * found.window.width * 8
