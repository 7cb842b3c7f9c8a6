"""A refusal that may be our own block's is no conflict, in whatever round the result was lost."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.attempts import (
    Message,
    actions,
    block_of,
    delivery_state,
    release_of,
    replay_delivery,
    sweep,
)
from tests.support.blocks import dead_lettered, published, record, refuse
from tests.support.bookings import appointment_now, book, cancel, reschedule
from tests.support.clock import HOUR, MINUTE, NINE, NOW, SECOND
from tests.support.endpoints import set_delivery, set_endpoint
from tests.support.invariants import check_invariants
from tests.support.tables import one_row

pytestmark = pytest.mark.usefixtures("ana")

LATER = NOW + 2 * HOUR

type Sending = Callable[[Connection, Message], Message]


def swept(connection: Connection, block: Message) -> Message:
    """Send a block again whose results are lost, as the sweep does after an hour."""
    [again] = actions(sweep(connection, NOW + 61 * MINUTE), "block")
    assert again["delivery_id"] == block["delivery_id"]
    return again


def sent_at_another_revision(connection: Connection, block: Message) -> Message:
    """Have another message take a block's place, as the endpoint has changed; the old one may live on."""
    record(connection, block, "retrying", error="http_503")
    set_endpoint(connection, "calendar_api", concurrency=3)
    row = one_row(
        connection,
        "SELECT engine.drop_or_replace_message(%s, 1, %s, 1, %s) AS done",
        (block["delivery_id"], NOW + MINUTE, block["revision"]),
    )
    [again] = row["done"]["messages"]
    return dict(again)


def dead_and_replayed(connection: Connection, block: Message) -> Message:
    """Have a block's message end as a dead letter, and replay it."""
    dead_lettered(connection, block)
    return replay_delivery(connection, block)


def turned_off_and_replayed(connection: Connection, block: Message) -> Message:
    """Give a block up that waits for an endpoint that is turned off, and replay it."""
    set_endpoint(connection, "calendar_api", enabled=False)
    outbox.sweep_all(connection, send=lambda _: None, now=NOW + 61 * MINUTE, deadline=0.0)
    assert delivery_state(connection, block) == ("failed", "endpoint_disabled")
    set_endpoint(connection, "calendar_api", enabled=True)
    return replay_delivery(connection, block, NOW + 62 * MINUTE)


def failed_and_replayed(connection: Connection, block: Message) -> Message:
    """Have a block's last attempt end without an answer, and replay it."""
    record(connection, block, "failed", error="timeout")
    return replay_delivery(connection, block)


SENDINGS = [swept, dead_and_replayed, turned_off_and_replayed, failed_and_replayed, sent_at_another_revision]


@pytest.mark.parametrize("send", SENDINGS)
def test_what_an_earlier_sending_may_have_blocked_is_no_conflict(
    connection: Connection, send: Sending
) -> None:
    """The result of the first is lost, and the second is refused: nobody took the time."""
    made = book(connection)
    again = send(connection, published(connection, made))
    assert refuse(connection, again, LATER) == []
    found = appointment_now(connection, made)
    assert (found.conflict, found.version, found.external_block) == (False, 1, "unconfirmed")
    assert delivery_state(connection, again) == ("failed", "block_unconfirmed")
    assert outbox.unconfirmed_blocks(connection, now=LATER) == 1
    assert outbox.unconfirmed_blocks(connection, now=NINE + HOUR) == 0, "nobody misses it when it is over"


def test_what_the_outbox_does_not_know_to_be_sent_may_be(connection: Connection) -> None:
    """The function died between the queue's answer and its note: two copies are on their way."""
    made = book(connection)
    set_delivery(connection, created_at=NOW)
    [again] = actions(sweep(connection, NOW + MINUTE), "block")
    assert refuse(connection, again, LATER) == []
    assert appointment_now(connection, made).external_block == "unconfirmed"


@pytest.mark.parametrize("error", ["http_500", "http_502", "http_504", "internal"])
def test_an_error_does_not_say_that_nothing_was_blocked(connection: Connection, error: str) -> None:
    """What is between us and the calendar may fail after the calendar has done it."""
    made = book(connection)
    block = block_of(made)
    record(connection, block, "retrying", error=error)
    assert refuse(connection, block | {"attempts": 1}, LATER) == []
    assert appointment_now(connection, made).external_block == "unconfirmed"


def test_an_attempt_is_lost_of_what_is_held_back_to_the_end(connection: Connection) -> None:
    """It was held back after an attempt of which nobody told, and not tried again."""
    made = book(connection)
    record(connection, block_of(made), "failed", error="circuit_open")
    assert delivery_state(connection, block_of(made)) == ("failed", "block_unconfirmed")
    assert refuse(connection, replay_delivery(connection, block_of(made)), LATER) == []


def test_a_round_that_is_known_says_that_it_blocked_nothing(connection: Connection) -> None:
    """Every attempt of the round before was answered with a refusal to do it: this is a conflict."""
    made = book(connection)
    record(connection, published(connection, made), "failed", error="http_503")
    [told] = refuse(connection, replay_delivery(connection, block_of(made)), LATER)
    assert told["type"] == "appointment.conflict"
    assert (appointment_now(connection, made).external_block, delivery_state(connection, block_of(made))) == (
        None,
        ("failed", "already_blocked"),
    )


def test_a_block_is_confirmed_by_a_late_result(connection: Connection) -> None:
    """What nobody heard of in time arrives after all."""
    made = book(connection)
    block = published(connection, made)
    refuse(connection, swept(connection, block), LATER)
    assert record(connection, block, block="b-1") == []
    found = appointment_now(connection, made)
    assert (found.external_calendar_id, found.external_block) == ("b-1", "confirmed")
    assert delivery_state(connection, block) == ("delivered", None)
    assert outbox.unconfirmed_blocks(connection, now=LATER) == 0


def test_a_block_that_the_calendar_lists_is_adopted(connection: Connection) -> None:
    """It is at the coach's very time and nobody else's of ours, and an attempt may have made it."""
    made = book(connection)
    again = swept(connection, published(connection, made))
    assert refuse(connection, again, LATER, listed="b-1") == []
    found = appointment_now(connection, made)
    assert (found.external_calendar_id, found.external_block, found.version) == ("b-1", "confirmed", 1)
    assert delivery_state(connection, again) == ("delivered", None)
    release = release_of(cancel(connection, made))
    assert release["data"]["block_id"] == "b-1"
    assert appointment_now(connection, made).external_block is None


def test_a_block_whose_appointment_has_gone_is_released_when_it_is_found(connection: Connection) -> None:
    """Cancelled before anybody knew of the block."""
    made = book(connection)
    block = published(connection, made)
    cancel(connection, made)
    [release] = refuse(connection, swept(connection, block), LATER, listed="b-1")
    assert (release["data"]["action"], release["data"]["block_id"]) == ("release", "b-1")
    assert appointment_now(connection, made).external_calendar_id is None


def test_a_block_that_is_none_of_ours_is_a_conflict(connection: Connection) -> None:
    """No attempt but the refused one was made: who is listed at that very time is somebody else."""
    made = book(connection)
    [told] = refuse(connection, block_of(made), LATER, listed="b-1")
    assert told["type"] == "appointment.conflict"
    assert appointment_now(connection, made).external_calendar_id is None


def test_a_list_without_our_block_shows_the_conflict(connection: Connection) -> None:
    """Though a result is lost: somebody has a part of the time, and it is not ours."""
    made = book(connection)
    [told] = refuse(connection, swept(connection, published(connection, made)), LATER, listed="")
    assert told["type"] == "appointment.conflict"
    assert appointment_now(connection, made).external_block is None


def test_a_list_that_cannot_be_read_delays_no_conflict(connection: Connection) -> None:
    """Where no attempt of ours can have got through there is nothing to look for."""
    made = book(connection)
    [told] = record(connection, block_of(made), "retrying", at=LATER, error="already_blocked")
    assert told["type"] == "appointment.conflict"
    row = one_row(
        connection,
        "SELECT engine.drop_or_replace_message(%s, 1, %s, 1, 1) AS done",
        (block_of(made)["delivery_id"], LATER),
    )
    assert row["done"] == {"drop": True, "messages": []}, "its message has nothing more to do"


def test_a_list_that_cannot_be_read_is_read_again(connection: Connection) -> None:
    """Where one can, the delivery stays on its way."""
    made = book(connection)
    again = swept(connection, published(connection, made))
    assert record(connection, again, "retrying", at=LATER, error="already_blocked") == []
    assert (delivery_state(connection, again), appointment_now(connection, made).conflict) == (
        ("pending", None),
        False,
    )
    refuse(connection, again | {"attempts": 1}, LATER + SECOND, listed="b-1")
    assert appointment_now(connection, made).external_calendar_id == "b-1"


def test_a_block_that_is_being_released_is_not_adopted(connection: Connection) -> None:
    """The calendar still lists the last customer's block: the next one's waits until it is gone."""
    first = book(connection)
    record(connection, block_of(first), block="b-1")
    release = release_of(cancel(connection, first))
    other = book(connection)
    again = swept(connection, published(connection, other))
    assert refuse(connection, again, LATER, listed="b-1") == []
    assert (delivery_state(connection, again), appointment_now(connection, other).external_calendar_id) == (
        ("pending", "awaits_release"),
        None,
    )
    [once_more] = record(connection, release, at=LATER + MINUTE)
    assert once_more["delivery_id"] == again["delivery_id"]


def test_what_one_adopted_another_does_not_release(connection: Connection) -> None:
    """Both may have made it; whichever has it keeps it, also when the other's result arrives."""
    first = book(connection)
    lost = published(connection, first)
    cancel(connection, first)
    other = book(connection)
    block = published(connection, other)
    [again] = [
        one for one in sweep(connection, NOW + 61 * MINUTE) if one["delivery_id"] == block["delivery_id"]
    ]
    refuse(connection, again, LATER, listed="b-1")
    assert record(connection, lost, at=LATER, block="b-1") == []
    assert appointment_now(connection, other).external_calendar_id == "b-1"
    check_invariants(connection)


def test_a_block_beside_the_one_that_an_appointment_has_is_released(connection: Connection) -> None:
    """Moved away and back: two rounds made one block each, and only one is needed."""
    made = book(connection)
    first = block_of(made)
    reschedule(connection, made, NINE + HOUR)
    second = block_of(reschedule(connection, made, NINE))
    record(connection, second, block="b-2")
    [release] = record(connection, first, block="b-1")
    assert (release["data"]["action"], release["data"]["block_id"]) == ("release", "b-1")
    assert appointment_now(connection, made).external_calendar_id == "b-2"


def test_a_block_that_another_copy_made_is_released_too(connection: Connection) -> None:
    """The sweep sent more than one, and the last came to the calendar after the first block was gone."""
    made = book(connection)
    block = published(connection, made)
    cancel(connection, made)
    [first] = refuse(connection, swept(connection, block), LATER, listed="b-1")
    record(connection, first, at=LATER + MINUTE)
    [second] = record(connection, block, at=LATER + 2 * MINUTE, block="b-2")
    assert (second["data"]["action"], second["data"]["block_id"]) == ("release", "b-2")
    assert record(connection, block, at=LATER + 3 * MINUTE, block="b-2") == []


def test_a_delivery_that_ends_shows_what_it_may_have_done(connection: Connection) -> None:
    """A calendar that never answered may hold the block; one that always refused to do it does not."""
    silent, busy = book(connection), book(connection, NINE + HOUR)
    record(connection, block_of(silent), "failed", error="timeout")
    record(connection, block_of(busy), "failed", error="http_503")
    assert delivery_state(connection, block_of(silent)) == ("failed", "block_unconfirmed")
    assert delivery_state(connection, block_of(busy)) == ("failed", "http_503")
    assert [appointment_now(connection, one).external_block for one in (silent, busy)] == [
        "unconfirmed",
        None,
    ]


def test_results_that_overtake_one_another_end_with_what_they_say(connection: Connection) -> None:
    """The last attempt is recorded first: until the other is known the block is unconfirmed."""
    made = book(connection)
    block = block_of(made)
    record(connection, block | {"attempts": 1}, "failed", at=NOW + timedelta(minutes=2), error="http_503")
    assert appointment_now(connection, made).external_block == "unconfirmed"
    record(connection, block, "retrying", error="http_503")
    assert (appointment_now(connection, made).external_block, delivery_state(connection, block)) == (
        None,
        ("failed", "http_503"),
    )
