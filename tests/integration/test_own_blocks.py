"""Our own blocks in a coach's calendar are neither somebody else's busy time nor a conflict."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from fairslot import bookings, decisions, outbox, sync
from fairslot.bookings import Change
from fairslot.db import Connection
from fairslot.errors import SlotUnavailableError
from fairslot.slots import hex_of, slot_of, span
from fairslot.webhooks.messages import Attempt
from tests.race import Connect, at_once
from tests.refusals import refused
from tests.world import (
    ALWAYS,
    NINE,
    NOW,
    TENANT,
    Coach,
    add_calendar,
    add_coach,
    add_endpoint,
    book,
    cancel,
    check,
    reschedule,
    shut,
)

MINUTE = timedelta(minutes=1)
QUARTER, HALF, HOUR = 15 * MINUTE, 30 * MINUTE, 60 * MINUTE
SECOND = timedelta(seconds=1)

type Span = tuple[datetime, datetime]
type Message = dict[str, Any]


@pytest.fixture(autouse=True)
def ana(connection: Connection) -> None:
    """Ana, alone on a calendar of half hours, whose own calendar is behind the calendar API and was read."""
    add_coach(connection, Coach(coach_id="ana", kind="calendar_api", working_hours=ALWAYS, max_per_day=99))
    add_calendar(connection, "cal", ["ana"])
    add_endpoint(connection, "calendar_api", "appointment.*")
    add_endpoint(connection, "crm", "appointment.conflict")
    sync.extend(connection, now=NOW)
    read(connection, NOW)


def read(connection: Connection, began: datetime, *busy: Span) -> None:
    """Store a reading of ana's calendar that began at an instant and has these busy times."""
    [fetch] = sync.request(connection, coach_ids=["ana"], now=NOW)
    first, width = fetch.first_slot, fetch.slot_count
    free = (1 << width) - 1
    for start, end in busy:
        free &= ~span(slot_of(start) - first, slot_of(end) - slot_of(start), width)
    told = {"coach_id": "ana", "ok": True, "fetched_at": began.isoformat(), "first_slot": first}
    sync.store(connection, told | {"slot_count": width, "free": hex_of(free, width)})


def record(
    connection: Connection,
    message: Message,
    outcome: str = "delivered",
    *,
    at: datetime = NOW + MINUTE,
    seconds: float = 0.5,
    block: str | None = None,
    error: str | None = None,
) -> list[Message]:
    """Record an attempt that began at an instant and was answered so much later; return what follows."""
    done = Attempt(
        delivery_id=UUID(message["delivery_id"]),
        event_id=UUID(message["event_id"]),
        kind=message["kind"],
        type=message["type"],
        attempt=message.get("attempts", 0) + 1,
        at=at,
        outcome=outcome,  # type: ignore[arg-type]
        latency_ms=round(seconds * 1000),
        error=error,
        answer={"block_id": block} if block else {},
    )
    return outbox.record(connection, attempt=done)[0]


def refuse(connection: Connection, message: Message, at: datetime) -> list[Message]:
    """Record that the calendar refused a block because the time is blocked; return what follows."""
    return record(connection, message, "failed", at=at, error="already_blocked")


def actions(messages: Sequence[Message], action: str) -> list[Message]:
    """Return the messages that ask the calendar for something."""
    return [one for one in messages if one["data"].get("action") == action]


def blocked(connection: Connection, start: datetime = NINE) -> Change:
    """Book a time and have it blocked."""
    made = book(connection, start)
    [block] = actions(made.messages, "block")
    assert record(connection, block, block="b-1") == []
    return made


def reason(connection: Connection, start: datetime) -> str | None:
    """Return what explain says of ana."""
    [one] = decisions.explain(connection, tenant_id=TENANT, calendar_id="cal", start_time=start, now=NOW)
    return one.reason


def shown(connection: Connection, made: Change) -> bookings.Appointment:
    """Return an appointment as it is now."""
    return bookings.get(connection, tenant_id=TENANT, appointment_id=made.appointment.appointment_id)


def state(connection: Connection, message: Message) -> tuple[str, str | None]:
    """Return a delivery's status and reason."""
    row = connection.execute(
        "SELECT status, reason FROM webhook_deliveries WHERE delivery_id = %s", (message["delivery_id"],)
    ).fetchone()
    assert row is not None
    return row["status"], row["reason"]


def test_an_appointment_may_move_into_its_own_block(connection: Connection) -> None:
    """The block that a reading shows is the appointment's, and is told as such."""
    made = blocked(connection)
    read(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
    assert reason(connection, NINE) == "booked"
    assert reschedule(connection, made, NINE + QUARTER).answer["coach_id"] == "ana"
    check(connection)


def test_a_block_on_its_way_is_ours_too(connection: Connection) -> None:
    """A reading may see a block before we have heard of it."""
    made = book(connection)
    read(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
    assert reason(connection, NINE) == "booked"
    assert reschedule(connection, made, NINE + QUARTER).answer["coach_id"] == "ana"
    check(connection)


def test_cancelled_time_is_open_at_once(connection: Connection) -> None:
    """Neither before the release nor by a reading that began before its answer is the block busy time."""
    made = blocked(connection)
    own = (NINE, NINE + HALF)
    read(connection, NOW + 2 * MINUTE, own)
    [release] = actions(cancel(connection, made).messages, "release")
    assert reason(connection, NINE) is None
    read(connection, NOW + 3 * MINUTE, own)
    assert reason(connection, NINE) is None
    record(connection, release, at=NOW + 4 * MINUTE, seconds=1.0)
    read(connection, NOW + 4 * MINUTE + SECOND / 2, own)
    assert reason(connection, NINE) is None
    read(connection, NOW + 4 * MINUTE + 2 * SECOND, own)
    assert reason(connection, NINE) == "busy_external", "what is there after the release is somebody else's"
    check(connection)


def test_what_was_moved_away_is_open_at_once(connection: Connection) -> None:
    """The old time of an appointment is not busy for the block that goes, the new one not for what comes."""
    made = blocked(connection)
    reschedule(connection, made, NINE + HOUR)
    read(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF), (NINE + HOUR, NINE + HOUR + HALF))
    assert (reason(connection, NINE), reason(connection, NINE + HOUR)) == (None, "booked")


def test_only_our_own_time_is_ours(connection: Connection) -> None:
    """What is busy around a block stays busy."""
    made = blocked(connection)
    read(connection, NOW + 2 * MINUTE, (NINE - HALF, NINE + HOUR))
    assert reason(connection, NINE - HALF) == reason(connection, NINE + HALF) == "busy_external"
    assert isinstance(refused(partial(reschedule, connection, made, NINE + QUARTER)), SlotUnavailableError)
    cancel(connection, made)
    assert reason(connection, NINE) is None
    assert reason(connection, NINE + QUARTER) == "busy_external"


def test_a_block_that_was_refused_is_somebody_elses(connection: Connection) -> None:
    """Where the calendar did not take our block, what it says is busy."""
    made = book(connection)
    [block] = actions(made.messages, "block")
    refuse(connection, block, NOW + MINUTE)
    read(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
    cancel(connection, made)
    assert reason(connection, NINE) == "busy_external"


def test_a_block_that_could_not_be_released_is_busy(connection: Connection) -> None:
    """A release that failed for good leaves the time taken there, and nobody is promised it."""
    made = blocked(connection)
    [release] = actions(cancel(connection, made).messages, "release")
    record(connection, release, "failed", error="http_500")
    read(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
    assert reason(connection, NINE) == "busy_external"


def test_an_absence_goes_before_what_is_ours(connection: Connection) -> None:
    """The time of an appointment is not open again because its block is ours, if the coach is not there."""
    made = blocked(connection)
    shut(connection, "ana", NINE, NINE + HALF)
    read(connection, NOW + 2 * MINUTE, (NINE, NINE + HALF))
    cancel(connection, made)
    assert reason(connection, NINE) == "busy_external"


def test_a_block_waits_for_the_release_that_it_met(connection: Connection) -> None:
    """Moved by a quarter: the refusal is no conflict, and the block goes out again after the release."""
    made = blocked(connection)
    moved = reschedule(connection, made, NINE + QUARTER)
    [release], [block] = actions(moved.messages, "release"), actions(moved.messages, "block")
    assert refuse(connection, block, NOW + 2 * MINUTE) == []
    assert state(connection, block) == ("pending", "awaits_release")
    assert record(connection, release, "retrying", at=NOW + 2 * MINUTE, error="http_503") == []
    [again] = record(connection, release, at=NOW + 3 * MINUTE)
    assert again == block | {"attempts": 1}
    assert state(connection, block) == ("pending", None)
    assert record(connection, again, at=NOW + 4 * MINUTE, block="b-2") == []
    found = shown(connection, made)
    assert (found.external_calendar_id, found.conflict, found.version) == ("b-2", False, 2)
    check(connection)


def test_a_block_of_the_next_customer_waits_too(connection: Connection) -> None:
    """One cancels, another books the same time: the second is no conflict either."""
    [release] = actions(cancel(connection, blocked(connection)).messages, "release")
    other = book(connection)
    [block] = actions(other.messages, "block")
    assert refuse(connection, block, NOW + 2 * MINUTE) == []
    assert shown(connection, other).conflict is False
    assert record(connection, release, at=NOW + 3 * MINUTE) == [block | {"attempts": 1}]


def test_what_was_released_meanwhile_is_tried_at_once(connection: Connection) -> None:
    """The release may be recorded before the refusal that it was too late for."""
    [release] = actions(cancel(connection, blocked(connection)).messages, "release")
    other = book(connection)
    [block] = actions(other.messages, "block")
    record(connection, release, at=NOW + 2 * MINUTE, seconds=5)
    assert refuse(connection, block, NOW + 2 * MINUTE + SECOND) == [block | {"attempts": 1}]
    assert shown(connection, other).conflict is False


def test_a_refusal_after_the_release_is_a_conflict(connection: Connection) -> None:
    """Who has the time after our block is gone is somebody else."""
    [release] = actions(cancel(connection, blocked(connection)).messages, "release")
    other = book(connection)
    [block] = actions(other.messages, "block")
    record(connection, release, at=NOW + 2 * MINUTE, seconds=5)
    [told] = refuse(connection, block, NOW + 2 * MINUTE + 7 * SECOND)
    assert (told["type"], state(connection, block)) == (
        "appointment.conflict",
        ("failed", "already_blocked"),
    )
    assert shown(connection, other).conflict is True


def test_a_release_of_other_time_excuses_nothing(connection: Connection) -> None:
    """A block that is being released next to it is not what the calendar means."""
    made = blocked(connection)
    moved = reschedule(connection, made, NINE + HALF)
    [told] = refuse(connection, actions(moved.messages, "block")[0], NOW + 2 * MINUTE)
    assert told["type"] == "appointment.conflict"


def test_a_release_that_fails_for_good_ends_the_waiting(connection: Connection) -> None:
    """The block is tried once more; what it meets then is a conflict."""
    [release] = actions(cancel(connection, blocked(connection)).messages, "release")
    [block] = actions(book(connection).messages, "block")
    refuse(connection, block, NOW + 2 * MINUTE)
    [again] = record(connection, release, "failed", at=NOW + 3 * MINUTE, error="http_500")
    [told] = refuse(connection, again, NOW + 4 * MINUTE)
    assert told["type"] == "appointment.conflict"


def test_a_block_that_comes_to_be_released_is_waited_for(connection: Connection) -> None:
    """Cancelled before its block was known: the next one waits for that, and then for its release."""
    first = book(connection)
    [early] = actions(first.messages, "block")
    cancel(connection, first)
    [block] = actions(book(connection).messages, "block")
    assert refuse(connection, block, NOW + 2 * MINUTE) == []
    [release] = record(connection, early, at=NOW + 2 * MINUTE, block="b-1")
    assert release["data"]["action"] == "release"
    assert state(connection, block) == ("pending", "awaits_release")
    assert record(connection, release, at=NOW + 3 * MINUTE) == [block | {"attempts": 1}]


def test_who_waits_for_what_fails_is_sent_again(connection: Connection) -> None:
    """Where somebody else has the time, the block that nobody wants any more ends the other's waiting."""
    first = book(connection)
    [early] = actions(first.messages, "block")
    cancel(connection, first)
    [block] = actions(book(connection).messages, "block")
    assert refuse(connection, block, NOW + 2 * MINUTE) == []
    [again] = refuse(connection, early, NOW + 2 * MINUTE)
    assert again == block | {"attempts": 1}
    [told] = refuse(connection, again, NOW + 3 * MINUTE)
    assert told["type"] == "appointment.conflict"


def test_nobody_waits_for_one_who_waits(connection: Connection) -> None:
    """Moved away and back, and both blocks refused for somebody else's time: that is a conflict."""
    made = book(connection)
    [first] = actions(made.messages, "block")
    reschedule(connection, made, NINE + HOUR)
    [second] = actions(reschedule(connection, made, NINE).messages, "block")
    assert refuse(connection, first, NOW + 2 * MINUTE) == []
    told, again = refuse(connection, second, NOW + 2 * MINUTE)
    assert (told["type"], again) == ("appointment.conflict", first | {"attempts": 1})
    assert refuse(connection, again, NOW + 3 * MINUTE) == []
    assert state(connection, first) == ("failed", "already_blocked")


def test_an_appointment_that_has_its_block_needs_no_other(connection: Connection) -> None:
    """Moved away and back before the first block was known: the second is refused for the first."""
    made = book(connection)
    [first] = actions(made.messages, "block")
    reschedule(connection, made, NINE + HOUR)
    [second] = actions(reschedule(connection, made, NINE).messages, "block")
    record(connection, first, at=NOW + 2 * MINUTE, block="b-1")
    assert refuse(connection, second, NOW + 3 * MINUTE) == []
    found = shown(connection, made)
    assert (found.external_calendar_id, found.conflict) == ("b-1", False)


def test_whatever_waits_is_looked_after(connection: Connection) -> None:
    """A release whose result is lost: the sweep sends the block again, as anything that is silent."""
    actions(cancel(connection, blocked(connection)).messages, "release")
    [block] = actions(book(connection).messages, "block")
    refuse(connection, block, NOW + 2 * MINUTE)
    sent: list[str] = []
    outbox.sweep(connection, send=sent.extend, now=NOW + 61 * MINUTE)
    assert not any(block["delivery_id"] in one for one in sent)
    outbox.sweep(connection, send=sent.extend, now=NOW + 63 * MINUTE)
    assert any(block["delivery_id"] in one for one in sent)


def test_refusal_and_release_that_are_recorded_at_once(connection: Connection, connect: Connect) -> None:
    """Whichever comes first, the block goes out again exactly once."""
    clients = connect(), connect()
    for number in range(10):
        start = NINE + number * HOUR
        [release] = actions(cancel(connection, blocked(connection, start)).messages, "release")
        [block] = actions(book(connection, start).messages, "block")
        at = NOW + 2 * MINUTE
        done = at_once(
            [
                partial(refuse, clients[0], block, at),
                partial(record, clients[1], release, at=at, seconds=2.0),
            ]
        )
        assert [one for part in done for one in part] == [block | {"attempts": 1}]
        assert state(connection, block) == ("pending", None)
