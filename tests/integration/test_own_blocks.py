"""Our own blocks in a coach's calendar are not somebody else's busy time."""

from collections.abc import Callable
from functools import partial

import pytest

from fairslot.domain.errors import SlotUnavailableError
from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from tests.support.attempts import block_of, release_of
from tests.support.blocks import blocked, record, refuse, unavailable_reason
from tests.support.bookings import book, cancel, reschedule
from tests.support.clock import HALF, HOUR, MINUTE, NINE, NOW, QUARTER, SECOND
from tests.support.invariants import check_invariants
from tests.support.race import refused
from tests.support.readings import begin_absence, store_reading

pytestmark = pytest.mark.usefixtures("ana")


@pytest.mark.parametrize("make", [blocked, book])
def test_an_appointment_may_move_into_its_own_block(
    connection: Connection, make: Callable[[Connection], ChangeResult]
) -> None:
    """A reading shows the block, perhaps before we have heard of it: it is ours, and told as such."""
    made = make(connection)
    store_reading(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
    assert unavailable_reason(connection, NINE) == "booked"
    assert reschedule(connection, made, NINE + QUARTER).answer["coach_id"] == "ana"
    check_invariants(connection)


def test_cancelled_time_is_open_at_once(connection: Connection) -> None:
    """Neither before the release nor by a reading that began before its answer is the block busy time."""
    made = blocked(connection)
    own = (NINE, NINE + HALF)
    store_reading(connection, NOW + 2 * MINUTE, own)
    release = release_of(cancel(connection, made))
    assert unavailable_reason(connection, NINE) is None
    store_reading(connection, NOW + 3 * MINUTE, own)
    assert unavailable_reason(connection, NINE) is None
    record(connection, release, at=NOW + 4 * MINUTE, seconds=1.0)
    store_reading(connection, NOW + 4 * MINUTE + SECOND / 2, own)
    assert unavailable_reason(connection, NINE) is None
    store_reading(connection, NOW + 4 * MINUTE + 2 * SECOND, own)
    assert unavailable_reason(connection, NINE) == "busy_external", (
        "what is there after the release is somebody else's"
    )
    check_invariants(connection)


def test_what_was_moved_away_is_open_at_once(connection: Connection) -> None:
    """The old time of an appointment is not busy for the block that goes, the new one not for what comes."""
    made = blocked(connection)
    reschedule(connection, made, NINE + HOUR)
    store_reading(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF), (NINE + HOUR, NINE + HOUR + HALF))
    assert (unavailable_reason(connection, NINE), unavailable_reason(connection, NINE + HOUR)) == (
        None,
        "booked",
    )


def test_only_our_own_time_is_ours(connection: Connection) -> None:
    """What is busy around a block stays busy."""
    made = blocked(connection)
    store_reading(connection, NOW + 2 * MINUTE, (NINE - HALF, NINE + HOUR))
    assert (
        unavailable_reason(connection, NINE - HALF)
        == unavailable_reason(connection, NINE + HALF)
        == "busy_external"
    )
    assert isinstance(refused(partial(reschedule, connection, made, NINE + QUARTER)), SlotUnavailableError)
    cancel(connection, made)
    assert unavailable_reason(connection, NINE) is None
    assert unavailable_reason(connection, NINE + QUARTER) == "busy_external"


def test_a_block_that_was_refused_is_somebody_elses(connection: Connection) -> None:
    """Where the calendar did not take our block, what it says is busy."""
    made = book(connection)
    block = block_of(made)
    refuse(connection, block, NOW + MINUTE)
    store_reading(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
    cancel(connection, made)
    assert unavailable_reason(connection, NINE) == "busy_external"


def test_a_block_that_could_not_be_released_is_busy(connection: Connection) -> None:
    """A release that failed for good leaves the time taken there, and nobody is promised it."""
    made = blocked(connection)
    release = release_of(cancel(connection, made))
    record(connection, release, "failed", error="http_500")
    store_reading(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
    assert unavailable_reason(connection, NINE) == "busy_external"


def test_an_absence_goes_before_what_is_ours(connection: Connection) -> None:
    """The time of an appointment is not open again because its block is ours, if the coach is not there."""
    made = blocked(connection)
    begin_absence(connection, "ana", NINE, NINE + HALF)
    store_reading(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
    cancel(connection, made)
    assert unavailable_reason(connection, NINE) == "busy_external"
