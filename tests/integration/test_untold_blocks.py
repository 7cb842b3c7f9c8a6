"""Blocks of changes whose deliveries are not made yet count like those that are on their way."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.attempts import Message, actions, block_of, delivery_state, record_attempt
from tests.support.blocks import blocked, record, refuse, unavailable_reason
from tests.support.bookings import appointment_now, book, cancel, reschedule
from tests.support.clock import HALF, HOUR, MINUTE, NINE, NOW, QUARTER
from tests.support.endpoints import set_endpoint
from tests.support.fixtures import Connect
from tests.support.readings import store_reading

pytestmark = pytest.mark.usefixtures("ana")


@contextmanager
def untold(connect: Connect) -> Iterator[None]:
    """Keep the changes of now from being told of, as a process does that makes their deliveries."""
    other = connect()
    with other.transaction():
        held = other.execute("SELECT FROM changes WHERE NOT told FOR NO KEY UPDATE")
        assert held.rowcount > 0
        yield


def cancel_untold(connection: Connection, change: ChangeResult) -> None:
    """Cancel, and tell nobody yet."""
    with connection.transaction():
        cancel(connection, change)


def move_untold(connection: Connection, change: ChangeResult, start: datetime) -> None:
    """Move, and tell nobody yet."""
    with connection.transaction():
        reschedule(connection, change, start)


def release(connection: Connection) -> Message:
    """Tell of what is untold; return the message of the one release."""
    [found] = actions(outbox.make_deliveries(connection, limit=9).messages, "release")
    return found


def test_a_block_waits_for_a_release_that_is_not_made_yet(connection: Connection, connect: Connect) -> None:
    """One cancels, another books the time and is told of first: the refusal is no conflict."""
    cancel_untold(connection, blocked(connection))
    with untold(connect):
        other = book(connection)
        block = block_of(other)
        assert refuse(connection, block, NOW + 2 * MINUTE) == []
        assert delivery_state(connection, block) == ("pending", "awaits_release")
    [again] = record(connection, release(connection), at=NOW + 3 * MINUTE)
    assert again == block | {"attempts": 1}
    assert record(connection, again, at=NOW + 4 * MINUTE, block="b-2") == []
    found = appointment_now(connection, other)
    assert (found.external_calendar_id, found.conflict) == ("b-2", False)


def test_a_block_is_not_sent_again_before_the_last_release(connection: Connection, connect: Connect) -> None:
    """Where one of two blocks in the way is released, the other keeps the third waiting, told of or not."""
    first, second = blocked(connection), book(connection, NINE + HALF)
    record(connection, block_of(second), block="b-2")
    cancelled = cancel(connection, first)
    cancel_untold(connection, second)
    with untold(connect):
        block = block_of(book(connection, NINE + QUARTER))
        refuse(connection, block, NOW + 2 * MINUTE)
        [gone] = actions(cancelled.messages, "release")
        assert record(connection, gone, at=NOW + 3 * MINUTE) == []
        assert delivery_state(connection, block) == ("pending", "awaits_release")
    assert record(connection, release(connection), at=NOW + 4 * MINUTE) == [block | {"attempts": 1}]


def test_a_block_that_will_be_released_is_not_adopted(connection: Connection, connect: Connect) -> None:
    """The calendar lists the block of an appointment that has moved: it is not the next one's."""
    move_untold(connection, blocked(connection), NINE + HOUR)
    with untold(connect):
        other = book(connection)
        block = block_of(other)
        record_attempt(connection, block, "timeout", outcome="retrying")
        again = block | {"attempts": 1}
        assert refuse(connection, again, NOW + 2 * MINUTE, listed="b-1") == []
        assert delivery_state(connection, block) == ("pending", "awaits_release")
        assert appointment_now(connection, other).external_calendar_id is None


@pytest.mark.parametrize("moves", [False, True])
def test_a_reading_in_between_knows_our_block(
    connection: Connection, connect: Connect, *, moves: bool
) -> None:
    """What the calendar shows of a cancelled or moved appointment is not busy time before it is told of."""
    made = blocked(connection)
    if moves:
        move_untold(connection, made, NINE + HOUR)
    else:
        cancel_untold(connection, made)
    with untold(connect):
        store_reading(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
        assert unavailable_reason(connection, NINE) is None


def test_a_conflict_that_is_cancelled_frees_nothing(connection: Connection, connect: Connect) -> None:
    """An appointment that never had a block leaves somebody else's time busy."""
    made = book(connection)
    refuse(connection, block_of(made), NOW + MINUTE)
    cancel_untold(connection, made)
    with untold(connect):
        store_reading(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
        assert unavailable_reason(connection, NINE) == "busy_external"


def test_a_partner_that_will_not_be_told_is_not_waited_for(connection: Connection, connect: Connect) -> None:
    """Where the calendar API gets no events any more, a release will not come."""
    cancel_untold(connection, blocked(connection))
    with untold(connect):
        block = block_of(book(connection))
        set_endpoint(connection, "calendar_api", enabled=False)
        [told] = refuse(connection, block, NOW + 2 * MINUTE)
        assert told["type"] == "appointment.conflict"
