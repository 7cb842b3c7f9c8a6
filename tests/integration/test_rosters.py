"""Rosters follow whoever changes a team, and old versions stay for the decisions that used them."""

from typing import Any

import psycopg
import pytest

from fairslot.domain.fair_share import weights
from fairslot.platform.db import Connection
from tests.support.bookings import appointment_of, book, cancel, report_outcome
from tests.support.clock import HALF, NINE, NOW
from tests.support.invariants import check_invariants, check_replay
from tests.support.tables import count, one_row
from tests.support.team import TENANT, add_calendar, add_coach, add_team, set_calendar, set_coach, set_days


def roster(connection: Connection, calendar_id: str = "cal") -> dict[str, Any]:
    """Return the calendar's roster of now."""
    return one_row(
        connection,
        "SELECT roster.* FROM rosters AS roster JOIN turns USING (calendar_id)"
        " WHERE calendar_id = %s AND version = roster_version",
        (calendar_id,),
    )


def derived(connection: Connection, calendar_id: str = "cal") -> list[tuple[Any, ...]]:
    """Return the roster that the tables of the team give, without the database's own derivation."""
    rows = connection.execute(
        "SELECT * FROM coach_calendars JOIN calendars USING (calendar_id) JOIN coaches USING (coach_id)"
        " LEFT JOIN coach_syncs USING (coach_id) WHERE calendar_id = %s",
        (calendar_id,),
    ).fetchall()
    if not rows:
        return []
    found = weights(
        {row["coach_id"]: row["score"] for row in rows},
        gamma=rows[0]["weight_exponent"],
        low=rows[0]["weight_low"],
        high=rows[0]["weight_high"],
        manual={row["coach_id"]: row["manual_weight"] for row in rows},
    )
    return [
        (row["coach_id"], found[row["coach_id"]], row["score"], absence_of(row))
        for row in sorted(rows, key=lambda row: str(row["coach_id"]))
    ]


def absence_of(row: dict[str, Any]) -> str | None:
    """Return why a coach cannot be booked at all."""
    if not row["active"]:
        return "inactive"
    return "not_synced" if row["calendar_kind"] != "none" and row["synced_at"] is None else None


def check_roster(connection: Connection) -> None:
    """Assert that the roster is what the tables say, and that the turns have its length."""
    now = roster(connection)
    columns = (now["coach_ids"], now["weights"], now["scores"], now["absent"])
    assert list(zip(*columns, strict=True)) == derived(connection)
    shown = connection.execute(
        "SELECT coach_id FROM coach_credits WHERE calendar_id = 'cal' ORDER BY coach_id"
    ).fetchall()
    assert [row["coach_id"] for row in shown] == sorted(now["coach_ids"])
    check_invariants(connection)
    check_replay(connection)


CHANGES = {
    "a score": "UPDATE coaches SET score = 0.9 WHERE coach_id = 'coach-02'",
    "all scores": "UPDATE coaches SET score = 1 - score / 2",
    "who is active": "UPDATE coaches SET active = false WHERE coach_id = 'coach-02'",
    "an external calendar": "UPDATE coaches SET calendar_kind = 'calendar_api' WHERE coach_id = 'coach-01'",
    "a manual weight": "UPDATE coach_calendars SET manual_weight = 3 WHERE coach_id = 'coach-03'",
    "how weights are derived": "UPDATE calendars SET weight_exponent = 1, weight_high = 5",
    "who is in the team": (
        "INSERT INTO coach_calendars (calendar_id, coach_id) VALUES ('cal', 'b'), ('cal', 'z')"
    ),
    "who is not": "DELETE FROM coach_calendars WHERE coach_id IN ('coach-01', 'coach-03')",
    "who is there at all": "DELETE FROM coaches WHERE coach_id = 'spare'",
    "which team it is": "UPDATE coach_calendars SET calendar_id = 'other' WHERE coach_id = 'coach-02'",
}


@pytest.mark.parametrize("booked", [False, True], ids=["unused", "used"])
@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES.keys())
def test_rosters_follow_a_change_by_hand(
    connection: Connection,
    statement: str,
    booked: bool,  # noqa: FBT001 - a case, no switch
) -> None:
    """Credits sum to 0, the record replays, and the version that a decision used is as it was."""
    coaches = add_team(connection, 3)
    for coach_id in ("b", "z", "spare"):
        add_coach(connection, coach_id, score=0.4)
    connection.execute("INSERT INTO coach_calendars (calendar_id, coach_id) VALUES ('cal', 'spare')")
    add_calendar(connection, "other", [])
    set_coach(connection, coaches[0], score=0.6)
    if booked:
        for n in range(4):
            book(connection, NINE + n * HALF)
        cancel(connection, book(connection))
    before = roster(connection)
    connection.execute(statement.encode())
    check_roster(connection)
    now = roster(connection)
    kept = one_row(
        connection, "SELECT * FROM rosters WHERE calendar_id = 'cal' AND version = %s", (before["version"],)
    )
    # That a coach left is a decision too.
    used = booked or not set(before["coach_ids"]) <= set(now["coach_ids"])
    assert (now["version"] > before["version"]) == used
    assert (kept == before) == used
    book(connection, NINE + 10 * HALF)
    check_roster(connection)


def test_a_change_that_changes_no_roster_makes_no_version(connection: Connection) -> None:
    """Names, hours and readings after the first are none of its business."""
    add_team(connection, 2, kind="calendar_api")
    connection.execute("INSERT INTO coach_syncs (coach_id) SELECT coach_id FROM coaches")
    assert roster(connection)["absent"] == ["not_synced", "not_synced"]
    connection.execute("UPDATE coach_syncs SET synced_at = %s", (NOW,))
    check_roster(connection)
    set_days(connection, external="1" * 96 + "0" * 8)
    book(connection)
    before = roster(connection)
    set_coach(connection, name="Other", max_per_day=3)
    connection.execute("UPDATE coach_syncs SET synced_at = synced_at + interval '1 hour'")
    set_calendar(connection, "cal", name="Other", weight_low=0.5)
    assert roster(connection) == before
    assert count(connection, "rosters") == 1


def test_an_outcome_moves_the_weights_of_every_calendar(connection: Connection) -> None:
    """Each of the coach's calendars has a new roster, and none of the others."""
    coaches = add_team(connection, 2)
    add_calendar(connection, "hers", coaches[:1])
    add_calendar(connection, "his", coaches[1:])
    done = book(connection)
    assert appointment_of(done).coach_id == coaches[0]
    report_outcome(connection, done, "no_show")
    for calendar_id in ("cal", "hers", "his"):
        now = roster(connection, calendar_id)
        rows = zip(now["coach_ids"], now["weights"], now["scores"], now["absent"], strict=True)
        assert list(rows) == derived(connection, calendar_id)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM coaches WHERE coach_id = 'coach-01'",
        "DELETE FROM calendars WHERE calendar_id = 'cal'",
        "UPDATE coaches SET coach_id = 'x' WHERE coach_id = 'coach-01'",
        "UPDATE calendars SET calendar_id = 'x'",
    ],
)
def test_what_has_appointments_stays(connection: Connection, statement: str) -> None:
    """A coach or a calendar with appointments cannot be deleted or renamed, whatever their state."""
    add_team(connection, 1)
    cancel(connection, book(connection))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(statement.encode())
    check_roster(connection)


def test_a_calendar_goes_with_its_record(connection: Connection) -> None:
    """Without appointments it can be deleted; teams, turns and decisions go along."""
    coaches = add_team(connection, 2)
    connection.execute("SELECT engine.leave_team('cal', %s, %s)", (coaches[0], NOW))
    connection.execute("DELETE FROM calendars WHERE tenant_id = %s", (TENANT,))
    for table in ("rosters", "turns", "decisions", "coach_calendars"):
        assert count(connection, table) == 0, table
