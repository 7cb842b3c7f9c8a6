"""Corrections of what a coach is owed, and absences that settle it."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from fairslot.platform.db import Connection
from tests.support.bookings import appointment_of, book
from tests.support.clock import HOUR, MINUTE, NOW
from tests.support.kinds import NOON, SATURDAY, add_with_kinds, check_kinds, ledgers, steps_of
from tests.support.tables import one_row
from tests.support.team import TENANT, add_calendar


def adjust(connection: Connection, coach_id: str, amount: int, **given: Any) -> None:
    """Correct a coach's credit."""
    connection.execute(
        "SELECT engine.adjust_credit("
        "p_tenant => %(tenant)s, p_calendar => %(calendar)s, p_coach => %(coach)s,"
        " p_kind => %(kind)s, p_amount => %(amount)s, p_reason => 'why', p_change => uuidv7(),"
        " p_now => %(now)s)",
        {
            "tenant": TENANT,
            "calendar": "cal",
            "coach": coach_id,
            "kind": "normal",
            "amount": amount,
            "now": NOW,
        }
        | given,
    )


def test_a_correction_is_paid_for_by_weight(connection: Connection) -> None:
    """In its kind alone; on record, replayed, and in what each is owed; ties stay as they were."""
    add_with_kinds(connection)
    connection.execute("UPDATE coach_calendars SET manual_weight = 3 WHERE coach_id = 'coach-03'")
    book(connection, SATURDAY)
    lasts = one_row(connection, "SELECT lasts FROM turns WHERE kind = 'weekend'")
    before = ledgers(connection)
    adjust(connection, "coach-02", 1_000_001, kind="weekend")
    after = ledgers(connection)
    moved = [now - was for now, was in zip(after["weekend"], before["weekend"], strict=True)]
    assert moved == [-250_001, 1_000_001, -750_000]
    assert one_row(connection, "SELECT lasts FROM turns WHERE kind = 'weekend'") == lasts
    assert {**after, "weekend": []} == {**before, "weekend": []}
    check_kinds(connection)
    assert appointment_of(book(connection, SATURDAY)).coach_id == "coach-02"
    check_kinds(connection)


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"tenant": "other"}, "FS404"),
        ({"calendar": "none"}, "FS404"),
        ({"coach": "none"}, "FS404"),
        ({"kind": "none"}, "FS400"),
        ({"calendar": "alone"}, "FS400"),
    ],
)
def test_what_cannot_be_corrected(connection: Connection, given: dict[str, str], state: str) -> None:
    """Another tenant's, an unknown coach or kind, a team of one: nothing changes."""
    add_with_kinds(connection)
    add_calendar(connection, "alone", ["coach-01"])
    with pytest.raises(psycopg.Error) as caught:
        adjust(connection, "coach-01", 1, **given)
    assert caught.value.sqlstate == state
    assert steps_of(connection) == []


def test_an_absence_can_settle(connection: Connection) -> None:
    """What the coach is owed, or owes, goes to the rest in each kind; on record, if there is something."""
    add_with_kinds(connection)
    for start in (NOON, SATURDAY, SATURDAY):
        book(connection, start)
    connection.execute(
        "SELECT engine.settle_absence(%s, 'coach-02', %s, 'ill', %s)", (TENANT, uuid4(), NOW + MINUTE)
    )
    assert {owed[1] for owed in ledgers(connection).values()} == {0}
    assert steps_of(connection)[3:] == [(4, "settled", "normal"), (5, "settled", "weekend")]
    check_kinds(connection)
    connection.execute("SELECT engine.settle_absence('other', 'coach-01', %s, '', %s)", (uuid4(), NOW))
    assert len(steps_of(connection)) == 5
    book(connection, SATURDAY + HOUR)
    check_kinds(connection)
