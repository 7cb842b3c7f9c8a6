"""A block that meets one of ours waits for its release and is no conflict."""

from functools import partial

import pytest

from fairslot.platform.db import Connection
from tests.support.attempts import block_of, delivery_state, release_of, sweep
from tests.support.blocks import blocked, record, refuse
from tests.support.bookings import appointment_now, book, cancel, reschedule
from tests.support.clock import HALF, HOUR, MINUTE, NINE, NOW, QUARTER, SECOND
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants
from tests.support.race import at_once

pytestmark = pytest.mark.usefixtures("ana")


def test_a_block_waits_for_the_release_that_it_met(connection: Connection) -> None:
    """Moved by a quarter: the refusal is no conflict, and the block goes out again after the release."""
    made = blocked(connection)
    moved = reschedule(connection, made, NINE + QUARTER)
    release, block = release_of(moved), block_of(moved)
    assert refuse(connection, block, NOW + 2 * MINUTE) == []
    assert delivery_state(connection, block) == ("pending", "awaits_release")
    assert record(connection, release, "retrying", at=NOW + 2 * MINUTE, error="http_503") == []
    [again] = record(connection, release, at=NOW + 3 * MINUTE)
    assert again == block | {"attempts": 1}
    assert delivery_state(connection, block) == ("pending", None)
    assert record(connection, again, at=NOW + 4 * MINUTE, block="b-2") == []
    found = appointment_now(connection, made)
    assert (found.external_calendar_id, found.conflict, found.version) == ("b-2", False, 2)
    check_invariants(connection)


def test_a_block_of_the_next_customer_waits_too(connection: Connection) -> None:
    """One cancels, another books the same time: the second is no conflict either."""
    release = release_of(cancel(connection, blocked(connection)))
    other = book(connection)
    block = block_of(other)
    assert refuse(connection, block, NOW + 2 * MINUTE) == []
    assert appointment_now(connection, other).conflict is False
    assert record(connection, release, at=NOW + 3 * MINUTE) == [block | {"attempts": 1}]


def test_what_was_released_meanwhile_is_tried_at_once(connection: Connection) -> None:
    """The release may be recorded before the refusal that it was too late for."""
    release = release_of(cancel(connection, blocked(connection)))
    other = book(connection)
    block = block_of(other)
    record(connection, release, at=NOW + 2 * MINUTE, seconds=5)
    assert refuse(connection, block, NOW + 2 * MINUTE + SECOND) == [block | {"attempts": 1}]
    assert appointment_now(connection, other).conflict is False


def test_a_refusal_after_the_release_is_a_conflict(connection: Connection) -> None:
    """Who has the time after our block is gone is somebody else."""
    release = release_of(cancel(connection, blocked(connection)))
    other = book(connection)
    block = block_of(other)
    record(connection, release, at=NOW + 2 * MINUTE, seconds=5)
    [told] = refuse(connection, block, NOW + 2 * MINUTE + 7 * SECOND)
    assert (told["type"], delivery_state(connection, block)) == (
        "appointment.conflict",
        ("failed", "already_blocked"),
    )
    assert appointment_now(connection, other).conflict is True


def test_a_release_of_other_time_excuses_nothing(connection: Connection) -> None:
    """A block that is being released next to it is not what the calendar means."""
    made = blocked(connection)
    moved = reschedule(connection, made, NINE + HALF)
    [told] = refuse(connection, block_of(moved), NOW + 2 * MINUTE)
    assert told["type"] == "appointment.conflict"


def test_a_release_that_fails_for_good_ends_the_waiting(connection: Connection) -> None:
    """The block is tried once more; what it meets then is a conflict."""
    release = release_of(cancel(connection, blocked(connection)))
    block = block_of(book(connection))
    refuse(connection, block, NOW + 2 * MINUTE)
    [again] = record(connection, release, "failed", at=NOW + 3 * MINUTE, error="http_500")
    [told] = refuse(connection, again, NOW + 4 * MINUTE)
    assert told["type"] == "appointment.conflict"


def test_a_block_that_comes_to_be_released_is_waited_for(connection: Connection) -> None:
    """Cancelled before its block was known: the next one waits for that, and then for its release."""
    first = book(connection)
    early = block_of(first)
    cancel(connection, first)
    block = block_of(book(connection))
    assert refuse(connection, block, NOW + 2 * MINUTE) == []
    [release] = record(connection, early, at=NOW + 2 * MINUTE, block="b-1")
    assert release["data"]["action"] == "release"
    assert delivery_state(connection, block) == ("pending", "awaits_release")
    assert record(connection, release, at=NOW + 3 * MINUTE) == [block | {"attempts": 1}]


def test_who_waits_for_what_fails_is_sent_again(connection: Connection) -> None:
    """Where somebody else has the time, the block that nobody wants any more ends the other's waiting."""
    first = book(connection)
    early = block_of(first)
    cancel(connection, first)
    block = block_of(book(connection))
    assert refuse(connection, block, NOW + 2 * MINUTE) == []
    [again] = refuse(connection, early, NOW + 2 * MINUTE)
    assert again == block | {"attempts": 1}
    [told] = refuse(connection, again, NOW + 3 * MINUTE)
    assert told["type"] == "appointment.conflict"


def test_nobody_waits_for_one_who_waits(connection: Connection) -> None:
    """Moved away and back, and both blocks refused for somebody else's time: that is a conflict."""
    made = book(connection)
    first = block_of(made)
    reschedule(connection, made, NINE + HOUR)
    second = block_of(reschedule(connection, made, NINE))
    assert refuse(connection, first, NOW + 2 * MINUTE) == []
    told, again = refuse(connection, second, NOW + 2 * MINUTE)
    assert (told["type"], again) == ("appointment.conflict", first | {"attempts": 1})
    assert refuse(connection, again, NOW + 3 * MINUTE) == []
    assert delivery_state(connection, first) == ("failed", "already_blocked")


def test_an_appointment_that_has_its_block_needs_no_other(connection: Connection) -> None:
    """Moved away and back before the first block was known: the second is refused for the first."""
    made = book(connection)
    first = block_of(made)
    reschedule(connection, made, NINE + HOUR)
    second = block_of(reschedule(connection, made, NINE))
    record(connection, first, at=NOW + 2 * MINUTE, block="b-1")
    assert refuse(connection, second, NOW + 3 * MINUTE) == []
    found = appointment_now(connection, made)
    assert (found.external_calendar_id, found.conflict) == ("b-1", False)


def test_whatever_waits_is_looked_after(connection: Connection) -> None:
    """A release whose result is lost: the sweep sends the block again, as anything that is silent."""
    cancel(connection, blocked(connection))
    block = block_of(book(connection))
    refuse(connection, block, NOW + 2 * MINUTE)
    for minutes, found in ((61, False), (63, True)):
        sent = [one["delivery_id"] for one in sweep(connection, NOW + minutes * MINUTE)]
        assert (block["delivery_id"] in sent) is found


def test_refusal_and_release_that_are_recorded_at_once(connection: Connection, connect: Connect) -> None:
    """Whichever comes first, the block goes out again exactly once."""
    clients = connect(), connect()
    for number in range(10):
        start = NINE + number * HOUR
        release = release_of(cancel(connection, blocked(connection, start)))
        block = block_of(book(connection, start))
        at = NOW + 2 * MINUTE
        done = at_once(
            [
                partial(refuse, clients[0], block, at),
                partial(record, clients[1], release, at=at, seconds=2.0),
            ]
        )
        assert [one for part in done for one in part] == [block | {"attempts": 1}]
        assert delivery_state(connection, block) == ("pending", None)
