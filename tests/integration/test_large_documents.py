"""What many coaches have in common is done once for all of them."""

from typing import Any

import psycopg
import pytest

from admin.plan_models import Document
from fairslot.coach_time.days import extend_days
from fairslot.platform.db import Connection
from fairslot.team import document
from fairslot.team.changes import ChangeRequest
from tests.support.clock import DAY, NINE, NOW
from tests.support.invariants import check_invariants, check_replay
from tests.support.readings import begin_absence
from tests.support.tables import count, one_row
from tests.support.team import EVERY_DAY, TENANT, add_coach


def team(size: int, *, weight: float = 1, reads: bool = False, leaves: bool = False) -> dict[str, Any]:
    """Return a document of coaches who are in one team, or leave it; with `reads` each has two sources."""
    coaches = [f"coach-{number:03}" for number in range(size)]
    coach: dict[str, Any] = {
        "name": "Ann",
        "time_zone": "Europe/Berlin",
        "working_hours": EVERY_DAY,
        "score": 0.5,
    }
    if reads:
        coach["sources"] = [{"kind": "google"}, {"kind": "icalendar", "url": "https://feeds.test/a"}]
    members = {} if leaves else {coach_id: {"weight": weight} for coach_id in coaches}
    wanted = {
        "coaches": dict.fromkeys(coaches, coach),
        "calendars": {"cal": {"name": "Cal", "slot_duration": 30, "team": members}},
    }
    return Document.model_validate(wanted).model_dump(mode="json")


def apply(connection: Connection, wanted: dict[str, Any]) -> int:
    """Apply a document and return how many statements that took."""
    statements: list[object] = []
    execute = psycopg.Connection.execute

    def counted(self: Connection, query: Any, *args: Any, **more: Any) -> Any:
        statements.append(query)
        return execute(self, query, *args, **more)

    asked = ChangeRequest(tenant_id=TENANT, now=NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Connection, "execute", counted)
        document.apply(connection, asked, document=wanted, prune=False)
    return len(statements)


def statements_by_change(connection: Connection, size: int) -> list[int]:
    """Return how many statements a team of a size takes when it is new, changes, and leaves."""
    changes: list[dict[str, Any]] = [{}, {"weight": 2}, {"reads": True}, {"leaves": True}]
    with connection.transaction(force_rollback=True):
        counts = [apply(connection, team(size, **change)) for change in changes]
        check_invariants(connection)
        check_replay(connection)
    return counts


def test_ten_times_the_coaches_take_as_many_statements(connection: Connection) -> None:
    """No statement is one coach's."""
    assert statements_by_change(connection, 50) == statements_by_change(connection, 5)


def test_a_roster_is_made_once_for_the_sources_of_all(connection: Connection) -> None:
    """A coach whose calendar was never read is not booked; a whole team has one roster that says so."""
    made = "SELECT n_tup_ins + n_tup_upd AS n FROM pg_stat_xact_user_tables WHERE relname = 'rosters'"
    with connection.transaction():
        apply(connection, team(5))
        before = one_row(connection, made)["n"]
        apply(connection, team(5, reads=True))
        assert one_row(connection, made)["n"] == before + 1
    assert one_row(connection, "SELECT absent FROM rosters")["absent"] == ["not_synced"] * 5


def test_who_is_away_is_away_on_new_days(connection: Connection) -> None:
    """One of two coaches whose days are made of the same."""
    for coach_id in ("ann", "ben"):
        add_coach(connection, coach_id)
    begin_absence(connection, "ann", NINE, NINE + 2 * DAY)
    extend_days(connection, now=NOW, coach_ids=["ann", "ben"])
    days = "local_date BETWEEN '2026-03-02' AND '2026-03-08'"
    closed = f"{days} AND free <> working"
    assert count(connection, "coach_slots", f"coach_id = 'ann' AND {closed}") == 2
    assert count(connection, "coach_slots", f"coach_id = 'ben' AND {days} AND free = working") == 7
