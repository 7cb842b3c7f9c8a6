"""Kinds of hours: which a start is of, and a ledger for each."""

from datetime import datetime

import pytest
from psycopg.types.json import Jsonb

from fairslot.booking import decisions
from fairslot.domain.idempotency import ChangeResult
from fairslot.domain.replay import ReplayError
from fairslot.platform.db import Connection
from tests.integration.model_kinds import Kind
from tests.integration.model_parts import Calendar
from tests.integration.model_team import Team
from tests.support.bookings import appointment_of, book, cancel, hold, reassign, release_hold, reschedule
from tests.support.clock import HALF, HOUR, NEW_YORK, NINE, NOW
from tests.support.kinds import (
    KINDS,
    NOON,
    SATURDAY,
    add_with_kinds,
    check_kinds,
    ledgers,
    steps_of,
    whole,
)
from tests.support.team import TENANT, add_calendar, set_calendar
from tools import replay

SMALL: list[Kind] = [{"name": "small", "from": "01:30", "before": "02:30"}]
NIGHT: list[Kind] = [{"name": "night", "from": "22:00", "before": "06:00"}]
TWICE: list[Kind] = [{"name": "x", "days": ["fri"], "from": "20:00"}, {"name": "x", "days": ["mon"]}]
AFTERNOON: list[Kind] = [{"name": "normal", "from": "12:00"}, {"name": "rest", "before": "24:00"}]
# Instants and their kind in New York, which skips 02:00 to 03:00 on March 8 and repeats 01:00 on November 1.
STARTS: list[tuple[list[Kind], str, str]] = [
    (KINDS, "2026-03-07T04:59:00Z", "late"),  # Friday, 23:59
    (KINDS, "2026-03-07T05:00:00Z", "weekend"),  # Saturday begins
    (KINDS, "2026-03-09T03:59:00Z", "weekend"),  # Sunday ends, in summer time by now
    (KINDS, "2026-03-09T04:00:00Z", "early"),
    (KINDS, "2026-03-09T13:59:00Z", "early"),
    (KINDS, "2026-03-09T14:00:00Z", "normal"),
    (KINDS, "2026-03-06T14:59:00Z", "early"),  # 09:59 in winter
    (KINDS, "2026-03-06T15:00:00Z", "normal"),
    (KINDS, "2026-03-06T21:00:00Z", "late"),
    (SMALL, "2026-03-08T06:30:00Z", "small"),
    (SMALL, "2026-03-08T07:00:00Z", "normal"),  # 03:00
    (SMALL, "2026-11-01T05:30:00Z", "small"),
    (SMALL, "2026-11-01T06:15:00Z", "normal"),  # 01:15 again
    (SMALL, "2026-11-01T07:15:00Z", "small"),  # 02:15
    (NIGHT, "2026-03-06T03:00:00Z", "night"),
    (NIGHT, "2026-03-06T10:59:00Z", "night"),
    (NIGHT, "2026-03-06T11:00:00Z", "normal"),
    (TWICE, "2026-03-09T15:00:00Z", "x"),
    (TWICE, "2026-03-06T15:00:00Z", "normal"),
    (AFTERNOON, "2026-03-09T16:00:00Z", "normal"),
    (AFTERNOON, "2026-03-09T15:45:00Z", "rest"),
    ([], "2026-03-07T05:00:00Z", "normal"),
]  # fmt: skip


@pytest.mark.parametrize(("kinds", "at", "kind"), STARTS)
def test_the_kind_is_that_of_the_local_time(
    connection: Connection, kinds: list[Kind], at: str, kind: str
) -> None:
    """In the calendar's zone, over midnight and changes of the clocks; the first that matches."""
    add_calendar(connection, "cal", [], time_zone=NEW_YORK.key, hour_kinds=Jsonb(kinds))
    start = datetime.fromisoformat(at)
    assert decisions.kind_of(connection, tenant_id=TENANT, calendar_id="cal", start_time=start) == kind
    model = Calendar(calendar_id="cal", team=Team(members={}), zone=NEW_YORK, kinds=kinds)
    assert model.kind_of(start) == kind


def test_nobody_works_more_weekends_than_their_share(connection: Connection) -> None:
    """Who had the weekday is not spared the weekend: each kind is shared by itself."""
    add_with_kinds(connection, 2)
    weekday = appointment_of(book(connection, NOON)).coach_id
    assert appointment_of(book(connection, SATURDAY)).coach_id == weekday
    assert ledgers(connection) == {
        "normal": [-500_000, 500_000],
        "weekend": [-500_000, 500_000],
        "early": [0, 0],
        "late": [0, 0],
    }
    assert appointment_of(book(connection, SATURDAY + HALF)).coach_id != weekday
    kinds = ["normal", "weekend", "weekend"]
    assert steps_of(connection) == [(seq, "assigned", kind) for seq, kind in enumerate(kinds, start=1)]
    check_kinds(connection)


def test_what_is_undone_is_undone_in_its_kind(connection: Connection) -> None:
    """A cancellation, a hold that is given back, a hand-over."""
    add_with_kinds(connection)
    first = book(connection, NOON)
    before = ledgers(connection)
    made = book(connection, SATURDAY)
    release_hold(connection, hold(connection, start=SATURDAY))
    cancel(connection, made)
    assert ledgers(connection) == before
    reassign(connection, book(connection, SATURDAY), None)
    assert ledgers(connection)["normal"] == before["normal"]
    cancel(connection, first)
    assert ledgers(connection)["normal"] == [0, 0, 0]
    check_kinds(connection)


@pytest.mark.parametrize("any_coach", [True, False])
def test_a_move_to_another_kind_is_a_reversal_and_a_decision(
    connection: Connection,
    any_coach: bool,  # noqa: FBT001 - a case, no switch
) -> None:
    """The old kind gets back what it gave, though the coach stays; within a kind nothing moves."""
    add_with_kinds(connection)
    made = book(connection, NOON)
    owed = ledgers(connection)
    reschedule(connection, made, NOON + HALF)
    assert (ledgers(connection), len(steps_of(connection))) == (owed, 1)
    moved = reschedule(connection, made, SATURDAY, any_coach=any_coach)
    assert appointment_of(moved).coach_id == appointment_of(made).coach_id
    assert steps_of(connection)[1:] == [(2, "reversed", "normal"), (3, "assigned", "weekend")]
    assert ledgers(connection)["normal"] == [0, 0, 0]
    # By name the coach was the only one in question, which moves no credit.
    assert ledgers(connection)["weekend"] == ([-666_666, 333_333, 333_333] if any_coach else [0, 0, 0])
    check_kinds(connection)
    cancel(connection, moved)
    assert {credit for owed in ledgers(connection).values() for credit in owed} == {0}
    check_kinds(connection)


def test_a_kind_that_is_removed_leaves_its_credits_to_normal(connection: Connection) -> None:
    """On record, and what is undone later is undone there; one of the same name begins anew."""
    add_with_kinds(connection)
    made = [book(connection, start) for start in (NOON, SATURDAY, SATURDAY, SATURDAY + HOUR)]
    before = ledgers(connection)
    set_calendar(connection, "cal", hour_kinds=Jsonb(KINDS[1:]))
    total = [normal + weekend for normal, weekend in zip(before["normal"], before["weekend"], strict=True)]
    assert ledgers(connection) == {"normal": total, "early": [0, 0, 0], "late": [0, 0, 0]}
    assert steps_of(connection)[4:] == [(5, "removed", "weekend")]
    check_kinds(connection)
    cancel(connection, made[1])
    assert steps_of(connection)[5:] == [(6, "reversed", "normal")]
    check_kinds(connection)
    set_calendar(connection, "cal", hour_kinds=Jsonb(KINDS))
    cancel(connection, made[2])
    assert ledgers(connection)["weekend"] == [0, 0, 0]
    book(connection, SATURDAY + HOUR)
    assert steps_of(connection)[6:] == [(7, "reversed", "normal"), (8, "assigned", "weekend")]
    # In today's kind of its start; what is undone was decided in the earlier one of the name.
    reassign(connection, made[3], None)
    assert steps_of(connection)[8:] == [(9, "reversed", "normal"), (10, "assigned", "weekend")]
    check_kinds(connection)


def test_joining_and_leaving_are_in_every_kind(connection: Connection) -> None:
    """A newcomer is at 0 in each, and who leaves leaves all of it to the rest."""
    coaches = add_with_kinds(connection)
    made = [book(connection, start) for start in (NINE, NOON, SATURDAY, SATURDAY, SATURDAY + HOUR)]
    connection.execute("SELECT engine.leave_team('cal', %s, %s)", (coaches[0], NOW))
    assert {kind: sum(owed) for kind, owed in ledgers(connection).items()} == dict.fromkeys(
        ledgers(connection), 0
    )
    assert {len(owed) for owed in ledgers(connection).values()} == {2}
    assert [kind for _, step, kind in steps_of(connection) if step == "left"] == [
        "early",
        "late",
        "normal",
        "weekend",
    ]
    check_kinds(connection)
    connection.execute("SELECT engine.join_team('cal', %s, 1)", (coaches[0],))
    assert {owed[0] for owed in ledgers(connection).values()} == {0}
    for one in made:
        cancel(connection, one)
        check_kinds(connection)


def test_a_decision_names_its_kind(connection: Connection) -> None:
    """In the record, and in words where it is not the normal one."""
    add_with_kinds(connection)

    def decision_of(done: ChangeResult) -> decisions.Decision:
        appointment_id = appointment_of(done).appointment_id
        return decisions.decision(connection, tenant_id=TENANT, appointment_id=appointment_id)

    normal, weekend = decision_of(book(connection, NOON)), decision_of(book(connection, SATURDAY))
    assert (normal.kind, weekend.kind) == ("normal", "weekend")
    assert normal.reason.startswith("3 coaches were free. Coach-01 was owed 0.00 bookings and this one added")
    assert weekend.reason.startswith(
        "3 coaches were free. Of the weekend bookings Coach-01 was owed 0.00 and this one added 0.33,"
    )


def test_the_distribution_is_told_in_all_and_by_kind(connection: Connection) -> None:
    """The bound in all is the sum of those of the kinds."""
    add_with_kinds(connection)
    for n in range(8):
        book(connection, NOON + n * HALF)
        book(connection, SATURDAY + n * HALF)
    found = whole(connection)
    assert [one.kind for one in found.kinds] == ["normal", "early", "late", "weekend"]
    assert (found.bound, [one.bound for one in found.kinds]) == (4.0, [1.0] * 4)
    assert sum(one.assigned for within in found.kinds for one in within.distribution) == 16
    assert found.max_deviation <= sum(one.max_deviation for one in found.kinds)
    check_kinds(connection)


TAMPERED = {
    "a kind": (
        "UPDATE decisions SET kind = 'late' WHERE seq = 2",
        "seq 3: credit of coach-02 in weekend: recorded 333333, replayed 0",
    ),
    "where it was undone": (
        "UPDATE decisions SET reversed_in = 'late' WHERE seq = 5",
        "seq 4: kind: recorded late, replayed normal",
    ),
    "what was moved": (
        "UPDATE decisions SET credits[1] = 7 WHERE seq = 8",
        "seq 8: credit of coach-01 in weekend: recorded 7, replayed -333333",
    ),
}


@pytest.mark.parametrize(("statement", "said"), TAMPERED.values(), ids=TAMPERED.keys())
def test_a_record_that_was_touched_is_found(connection: Connection, statement: str, said: str) -> None:
    """The kind is part of it."""
    add_with_kinds(connection)
    made = book(connection, NOON)
    for _ in range(2):
        book(connection, SATURDAY)
    reschedule(connection, made, SATURDAY + HOUR, any_coach=True)
    set_calendar(connection, "cal", hour_kinds=Jsonb([]))
    with connection.transaction():
        assert replay.replay(connection, "cal") == 8
    connection.execute(statement.encode())
    with pytest.raises(ReplayError) as caught, connection.transaction():
        replay.replay(connection, "cal")
    assert str(caught.value) == said
