"""Each kind of change is taken over by what is kept of a team."""

from collections.abc import Callable
from typing import Any

import pytest

from fairslot.coach_time.days import extend_days
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.coach_time.read_model import fold_changes
from fairslot.domain.errors import NotFoundError
from fairslot.platform.db import Connection
from tests.support.availability import list_page
from tests.support.bookings import book, hold
from tests.support.clock import HOUR, MINUTE, NINE, NOW
from tests.support.fixtures import Connect, Environment
from tests.support.readings import store_message, store_reading
from tests.support.team import add_coach, add_team, set_calendar, set_coach, set_days, set_member


def read_again(connection: Connection, *, fails: bool = False) -> None:
    """Read the calendar of the first coach, with nothing new in it."""
    message = {"coach_id": "coach-01", "fetched_at": (NOW - MINUTE).isoformat()}
    if fails:
        store_message(connection, {**message, "ok": False, "error": "timeout"})
    else:
        store_reading(connection, NOW - MINUTE, coach_id="coach-01")


def move_away(connection: Connection) -> None:
    """Let a coach move to another zone."""
    set_coach(connection, "coach-01", time_zone="Asia/Kathmandu")
    extend_days(connection, now=NOW)


CHANGES: dict[str, Callable[[Connection], Any]] = {
    "booking": book,
    "holding": hold,
    "a full day": lambda connection: set_days(connection, "coach-01", max_per_day=0),
    "a reading": read_again,
    "a reading that fails": lambda connection: read_again(connection, fails=True),
    "another zone": move_away,
    "days that are deleted": lambda connection: connection.execute(
        "DELETE FROM coach_slots WHERE local_date > '2026-03-04'"
    ),
    "a day that is deleted": lambda connection: connection.execute(
        "DELETE FROM coach_slots WHERE local_date = '2026-03-04'"
    ),
    "an inactive coach": lambda connection: set_coach(connection, "coach-01", active=False),
    "a calendar elsewhere": lambda connection: set_coach(
        connection, "coach-02", calendar_kind="calendar_api"
    ),
    "joining": lambda connection: connection.execute("SELECT engine.join_team('cal', 'more', 1)"),
    "leaving": lambda connection: connection.execute(
        "SELECT engine.leave_team('cal', 'coach-01', %s)", (NOW,)
    ),
    "a longer appointment": lambda connection: set_calendar(connection, slot_duration=60),
    "a buffer": lambda connection: set_calendar(connection, buffer_after=60),
    "a grid": lambda connection: set_calendar(connection, slot_interval=45),
    "notice": lambda connection: set_calendar(connection, min_notice_minutes=1500),
    "a horizon": lambda connection: set_calendar(connection, horizon_days=1),
    "a coach's buffer": lambda connection: set_coach(connection, "coach-01", buffer_after=60),
    "a coach's notice": lambda connection: set_coach(connection, "coach-01", min_notice_minutes=1500),
    "a buffer in the team": lambda connection: set_member(connection, "cal", "coach-01", buffer_before=60),
    "a notice in the team": lambda connection: set_member(
        connection, "cal", "coach-01", min_notice_minutes=1500
    ),
    "a week that is full": lambda connection: set_coach(connection, "coach-01", max_per_week=0),
    "a month that is full": lambda connection: set_coach(connection, "coach-01", max_per_month=0),
    "a week without minutes": lambda connection: set_coach(connection, "coach-01", max_minutes_per_week=15),
    "a blocked date": lambda connection: set_calendar(connection, blocked_dates=["2026-03-03"]),
    "a maximum": lambda connection: set_calendar(connection, max_per_day=0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_is_taken_over(
    connection: Connection, environment: Environment, change: Callable[[Connection], Any]
) -> None:
    """It makes another page, and what is kept gives that."""
    add_coach(connection, "more")
    add_team(connection, 2)
    set_coach(connection, "coach-01", calendar_kind="calendar_api")
    store_reading(connection, NOW - 2 * MINUTE, coach_id="coach-01")
    book(connection, NINE + HOUR)
    kept = KeptTeams()
    before = list_page(connection, with_coaches=True, kept=kept)
    change(connection)
    after = list_page(connection, with_coaches=True)
    assert after != before
    assert list_page(connection, with_coaches=True, kept=kept) == after
    fold_changes(connection)
    assert list_page(connection, with_coaches=True) == after


def test_a_first_reading_is_taken_over(connection: Connection, environment: Environment) -> None:
    """Until it is there, a coach is not listed, whatever the days say."""
    add_team(connection, 2)
    set_coach(connection, "coach-01", calendar_kind="calendar_api")
    kept = KeptTeams()
    first = list_page(connection, with_coaches=True, kept=kept)
    book(connection)
    assert first.stale
    assert {one.coach_ids for one in list_page(connection, with_coaches=True, kept=kept).starts} == {
        ("coach-02",)
    }
    read_again(connection)
    page = list_page(connection, with_coaches=True, kept=kept)
    assert not page.stale
    assert page == list_page(connection, with_coaches=True)
    assert {one.coach_ids for one in page.starts} > {("coach-01", "coach-02")}


def test_none_of_many_changes_is_missed(connection: Connection, environment: Environment) -> None:
    """Most of them alike, and more than are read: the one that comes after all of them is taken over too."""
    add_team(connection, 2)
    fold_changes(connection)
    kept = KeptTeams()
    list_page(connection, with_coaches=True, kept=kept)
    connection.execute(
        "INSERT INTO availability_changes (coach_id, of_days, first_slot, slot_count)"
        " SELECT coach_id, true, first_slot, slot_count FROM generate_series(1, 2500)"
        " CROSS JOIN (SELECT * FROM coach_slots WHERE coach_id = 'coach-02' LIMIT 1) AS day"
    )
    connection.execute("UPDATE coach_slots SET max_per_day = 0 WHERE coach_id = 'coach-01'")
    page = list_page(connection, with_coaches=True, kept=kept)
    assert {one.coach_ids for one in page.starts} == {("coach-02",)}
    assert page == list_page(connection, with_coaches=True)


def test_a_hold_that_expires_is_listed_again(connection: Connection, environment: Environment) -> None:
    """At the moment at which it does, also in what is kept."""
    add_team(connection, 1)
    kept = KeptTeams()
    whole = list_page(connection, kept=kept)
    hold(connection, minutes=5)
    assert list_page(connection, kept=kept, now=NOW + 4 * MINUTE).total < whole.total
    assert list_page(connection, kept=kept, now=NOW + 5 * MINUTE).starts[:30] == whole.starts[:30]


def test_a_calendar_that_is_gone_is_not_there(connection: Connection, environment: Environment) -> None:
    """Kept or not."""
    add_team(connection, 1)
    kept = KeptTeams()
    list_page(connection, kept=kept)
    set_calendar(connection, active=False)
    with pytest.raises(NotFoundError):
        list_page(connection, kept=kept)
    set_calendar(connection, active=True)
    assert list_page(connection, kept=kept) == list_page(connection)


@pytest.mark.parametrize("is_kept", [False, True], ids=["not kept", "kept"])
def test_a_buffer_that_comes_between_two_statements(
    connection: Connection,
    connect: Connect,
    environment: Environment,
    is_kept: bool,  # noqa: FBT001 - a parameter
) -> None:
    """The team was read without what buffers need, and its rules with them."""
    kept = KeptTeams() if is_kept else None
    add_team(connection, 2)
    book(connection, NINE + HOUR)
    other = connect()

    class Slow:
        """A connection on which another session is quicker between two statements, once."""

        def execute(self, query: bytes, *values: Any, **how: Any) -> Any:
            if b"engine.team_changes(" in query:
                set_calendar(other, buffer_after=60)
            return connection.execute(query, *values, **how)

    expected = list_page(Slow(), with_coaches=True, kept=kept)  # type: ignore[arg-type]
    assert expected == list_page(connection, with_coaches=True)
    assert expected == list_page(connection, with_coaches=True, kept=kept)
    assert expected.total > 0
