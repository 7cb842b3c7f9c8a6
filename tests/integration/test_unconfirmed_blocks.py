"""A refusal that may be our own block's is no conflict, in whatever round the result was lost."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection
from fairslot.webhooks import deliveries, outbox
from tests.support.blocks_world import (
    HALF,
    HOUR,
    MINUTE,
    SECOND,
    Message,
    actions,
    add_ana,
    record,
    refuse,
    shown,
    state,
    sweep,
)
from tests.support.world import NINE, NOW, TENANT, book, cancel, check, reschedule

LATER = NOW + 2 * HOUR

type Sending = Callable[[Connection, Message], Message]


@pytest.fixture(autouse=True)
def ana(connection: Connection) -> None:
    """Ana, alone on a calendar, whose own calendar is behind the calendar API and was read."""
    add_ana(connection)


def block_of(change: ChangeResult) -> Message:
    """Return the message that asks for a change's block."""
    [block] = actions(change.messages, "block")
    return block


def published(connection: Connection, change: ChangeResult) -> Message:
    """Put a change's messages on the queue; return the one that asks for its block."""
    outbox.publish(connection, messages=change.messages, send=lambda _: None, now=NOW)
    return block_of(change)


def swept(connection: Connection, block: Message) -> Message:
    """Send a block again whose results are lost, as the sweep does after an hour."""
    [again] = actions(sweep(connection, NOW + 61 * MINUTE), "block")
    assert again["delivery_id"] == block["delivery_id"]
    return again


def buried(connection: Connection, block: Message, now: datetime = NOW + MINUTE) -> None:
    """Have a block's message end as a dead letter without a result."""
    letter = (UUID(block["delivery_id"]), block["round"])
    assert deliveries.mark_dead_letters_failed(connection, letters=[letter], now=now) == 1


def replayed(connection: Connection, block: Message, now: datetime = NOW + HOUR) -> Message:
    """Begin another round of a block's delivery, as a person or a redrive does."""
    done = deliveries.replay(
        connection,
        tenant_id=TENANT,
        delivery_id=UUID(block["delivery_id"]),
        key=Key(value=None, fingerprint=b""),
        now=now,
    )
    [again] = done.messages
    return again


def sent_at_another_revision(connection: Connection, block: Message) -> Message:
    """Have another message take a block's place, as the endpoint has changed; the old one may live on."""
    record(connection, block, "retrying", error="http_503")
    connection.execute("UPDATE webhook_endpoints SET concurrency = 3 WHERE kind = 'calendar_api'")
    row = connection.execute(
        "SELECT engine.drop_or_replace_message(%s, 1, %s, 1, %s) AS done",
        (block["delivery_id"], NOW + MINUTE, block["revision"]),
    ).fetchone()
    assert row is not None
    [again] = row["done"]["messages"]
    return dict(again)


def dead_and_replayed(connection: Connection, block: Message) -> Message:
    """Have a block's message end as a dead letter, and replay it."""
    buried(connection, block)
    return replayed(connection, block)


def turned_off_and_replayed(connection: Connection, block: Message) -> Message:
    """Give a block up that waits for an endpoint that is turned off, and replay it."""
    connection.execute("UPDATE webhook_endpoints SET enabled = false WHERE kind = 'calendar_api'")
    outbox.sweep_all(connection, send=lambda _: None, now=NOW + 61 * MINUTE, deadline=0.0)
    assert state(connection, block) == ("failed", "endpoint_disabled")
    connection.execute("UPDATE webhook_endpoints SET enabled = true WHERE kind = 'calendar_api'")
    return replayed(connection, block, NOW + 62 * MINUTE)


def failed_and_replayed(connection: Connection, block: Message) -> Message:
    """Have a block's last attempt end without an answer, and replay it."""
    record(connection, block, "failed", error="timeout")
    return replayed(connection, block)


SENDINGS = [swept, dead_and_replayed, turned_off_and_replayed, failed_and_replayed, sent_at_another_revision]


@pytest.mark.parametrize("send", SENDINGS)
def test_what_an_earlier_sending_may_have_blocked_is_no_conflict(
    connection: Connection, send: Sending
) -> None:
    """The result of the first is lost, and the second is refused: nobody took the time."""
    made = book(connection)
    again = send(connection, published(connection, made))
    assert refuse(connection, again, LATER) == []
    found = shown(connection, made)
    assert (found.conflict, found.version, found.external_block) == (False, 1, "unconfirmed")
    assert state(connection, again) == ("failed", "block_unconfirmed")
    assert outbox.unconfirmed_blocks(connection, now=LATER) == 1
    assert outbox.unconfirmed_blocks(connection, now=NINE + HOUR) == 0, "nobody misses it when it is over"


def test_what_the_outbox_does_not_know_to_be_sent_may_be(connection: Connection) -> None:
    """The function died between the queue's answer and its note: two copies are on their way."""
    made = book(connection)
    connection.execute("UPDATE webhook_deliveries SET created_at = %s", (NOW,))
    [again] = actions(sweep(connection, NOW + MINUTE), "block")
    assert refuse(connection, again, LATER) == []
    assert shown(connection, made).external_block == "unconfirmed"


@pytest.mark.parametrize("error", ["http_500", "http_502", "http_504", "internal"])
def test_an_error_does_not_say_that_nothing_was_blocked(connection: Connection, error: str) -> None:
    """What is between us and the calendar may fail after the calendar has done it."""
    made = book(connection)
    block = block_of(made)
    record(connection, block, "retrying", error=error)
    assert refuse(connection, block | {"attempts": 1}, LATER) == []
    assert shown(connection, made).external_block == "unconfirmed"


def test_an_attempt_is_lost_of_what_is_held_back_to_the_end(connection: Connection) -> None:
    """It was held back after an attempt of which nobody told, and not tried again."""
    made = book(connection)
    record(connection, block_of(made), "failed", error="circuit_open")
    assert state(connection, block_of(made)) == ("failed", "block_unconfirmed")
    assert refuse(connection, replayed(connection, block_of(made)), LATER) == []


def test_a_round_that_is_known_says_that_it_blocked_nothing(connection: Connection) -> None:
    """Every attempt of the round before was answered with a refusal to do it: this is a conflict."""
    made = book(connection)
    record(connection, published(connection, made), "failed", error="http_503")
    [told] = refuse(connection, replayed(connection, block_of(made)), LATER)
    assert told["type"] == "appointment.conflict"
    assert (shown(connection, made).external_block, state(connection, block_of(made))) == (
        None,
        ("failed", "already_blocked"),
    )


def test_a_block_is_confirmed_by_a_late_result(connection: Connection) -> None:
    """What nobody heard of in time arrives after all."""
    made = book(connection)
    block = published(connection, made)
    refuse(connection, swept(connection, block), LATER)
    assert record(connection, block, block="b-1") == []
    found = shown(connection, made)
    assert (found.external_calendar_id, found.external_block) == ("b-1", "confirmed")
    assert state(connection, block) == ("delivered", None)
    assert outbox.unconfirmed_blocks(connection, now=LATER) == 0


def test_a_block_that_the_calendar_lists_is_adopted(connection: Connection) -> None:
    """It is at the coach's very time and nobody else's of ours, and an attempt may have made it."""
    made = book(connection)
    again = swept(connection, published(connection, made))
    assert refuse(connection, again, LATER, listed="b-1") == []
    found = shown(connection, made)
    assert (found.external_calendar_id, found.external_block, found.version) == ("b-1", "confirmed", 1)
    assert state(connection, again) == ("delivered", None)
    [release] = actions(cancel(connection, made).messages, "release")
    assert release["data"]["block_id"] == "b-1"
    assert shown(connection, made).external_block is None


def test_a_block_whose_appointment_has_gone_is_released_when_it_is_found(connection: Connection) -> None:
    """Cancelled before anybody knew of the block."""
    made = book(connection)
    block = published(connection, made)
    cancel(connection, made)
    [release] = refuse(connection, swept(connection, block), LATER, listed="b-1")
    assert (release["data"]["action"], release["data"]["block_id"]) == ("release", "b-1")
    assert shown(connection, made).external_calendar_id is None


def test_a_block_that_is_none_of_ours_is_a_conflict(connection: Connection) -> None:
    """No attempt but the refused one was made: who is listed at that very time is somebody else."""
    made = book(connection)
    [told] = refuse(connection, block_of(made), LATER, listed="b-1")
    assert told["type"] == "appointment.conflict"
    assert shown(connection, made).external_calendar_id is None


def test_a_list_without_our_block_shows_the_conflict(connection: Connection) -> None:
    """Though a result is lost: somebody has a part of the time, and it is not ours."""
    made = book(connection)
    [told] = refuse(connection, swept(connection, published(connection, made)), LATER, listed="")
    assert told["type"] == "appointment.conflict"
    assert shown(connection, made).external_block is None


def test_a_list_that_cannot_be_read_delays_no_conflict(connection: Connection) -> None:
    """Where no attempt of ours can have got through there is nothing to look for."""
    made = book(connection)
    [told] = record(connection, block_of(made), "retrying", at=LATER, error="already_blocked")
    assert told["type"] == "appointment.conflict"
    row = connection.execute(
        "SELECT engine.drop_or_replace_message(%s, 1, %s, 1, 1) AS done",
        (block_of(made)["delivery_id"], LATER),
    ).fetchone()
    assert row is not None
    assert row["done"] == {"drop": True, "messages": []}, "its message has nothing more to do"


def test_a_list_that_cannot_be_read_is_read_again(connection: Connection) -> None:
    """Where one can, the delivery stays on its way."""
    made = book(connection)
    again = swept(connection, published(connection, made))
    assert record(connection, again, "retrying", at=LATER, error="already_blocked") == []
    assert (state(connection, again), shown(connection, made).conflict) == (("pending", None), False)
    refuse(connection, again | {"attempts": 1}, LATER + SECOND, listed="b-1")
    assert shown(connection, made).external_calendar_id == "b-1"


def test_a_block_that_is_being_released_is_not_adopted(connection: Connection) -> None:
    """The calendar still lists the last customer's block: the next one's waits until it is gone."""
    first = book(connection)
    record(connection, block_of(first), block="b-1")
    [release] = actions(cancel(connection, first).messages, "release")
    other = book(connection)
    again = swept(connection, published(connection, other))
    assert refuse(connection, again, LATER, listed="b-1") == []
    assert (state(connection, again), shown(connection, other).external_calendar_id) == (
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
    assert shown(connection, other).external_calendar_id == "b-1"
    check(connection)


def test_a_block_beside_the_one_that_an_appointment_has_is_released(connection: Connection) -> None:
    """Moved away and back: two rounds made one block each, and only one is needed."""
    made = book(connection)
    first = block_of(made)
    reschedule(connection, made, NINE + HOUR)
    second = block_of(reschedule(connection, made, NINE))
    record(connection, second, block="b-2")
    [release] = record(connection, first, block="b-1")
    assert (release["data"]["action"], release["data"]["block_id"]) == ("release", "b-1")
    assert shown(connection, made).external_calendar_id == "b-2"


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


def lost_and_cancelled(connection: Connection) -> tuple[ChangeResult, Message]:
    """Book, lose what the calendar said of the block for good, and cancel; return the block's message."""
    made = book(connection)
    block = published(connection, made)
    buried(connection, block)
    cancel(connection, made)
    assert shown(connection, made).external_block == "unconfirmed"
    return made, block


def test_an_unconfirmed_block_that_nobody_wants_is_looked_for(connection: Connection) -> None:
    """And released when it is found."""
    made, block = lost_and_cancelled(connection)
    [find] = outbox.look_for_blocks(connection, now=NOW + HOUR)
    assert (find["data"]["action"], find["round"]) == ("find", block["round"] + 1)
    assert outbox.look_for_blocks(connection, now=NOW + HOUR) == []
    [release] = record(connection, find, at=LATER, listed="b-1")
    assert (release["data"]["action"], release["data"]["block_id"]) == ("release", "b-1")
    assert (shown(connection, made).external_block, state(connection, block)) == (None, ("delivered", None))


def test_a_block_that_is_not_there_is_not_missed(connection: Connection) -> None:
    """The list has none at that time: none was made."""
    made, _ = lost_and_cancelled(connection)
    [find] = outbox.look_for_blocks(connection, now=NOW + HOUR)
    assert record(connection, find, at=LATER, listed="") == []
    assert shown(connection, made).external_block is None
    assert outbox.unconfirmed_blocks(connection, now=LATER) == 0


def test_a_partner_without_a_list_is_asked_once_a_day(connection: Connection) -> None:
    """The block stays unconfirmed, and the partner is left alone."""
    made, block = lost_and_cancelled(connection)
    connection.execute(
        'UPDATE webhook_deliveries SET params = params || \'{"end_time": "2099-01-01T00:00:00Z"}\''
    )
    [find] = outbox.look_for_blocks(connection, now=NOW + HOUR)
    assert record(connection, find, "failed", at=LATER, error="cannot_list") == []
    assert state(connection, block) == ("failed", "block_unconfirmed")
    assert shown(connection, made).external_block == "unconfirmed"
    row = connection.execute(
        "SELECT failing_since FROM webhook_endpoints WHERE kind = 'calendar_api'"
    ).fetchone()
    assert row == {"failing_since": None}
    assert outbox.look_for_blocks(connection, now=NOW + 24 * HOUR) == []
    assert len(outbox.look_for_blocks(connection, now=NOW + 26 * HOUR)) == 1


def test_who_does_not_know_how_to_look_finds_nothing_out(connection: Connection) -> None:
    """A dispatcher of the release before takes the message for one that is not for the calendar."""
    made, block = lost_and_cancelled(connection)
    [find] = outbox.look_for_blocks(connection, now=NOW + HOUR)
    assert record(connection, find, at=LATER) == []
    assert state(connection, block) == ("failed", "block_unconfirmed")
    assert shown(connection, made).external_block == "unconfirmed"


def test_a_block_that_is_wanted_is_not_taken_away(connection: Connection) -> None:
    """It may be there, which is what it is for."""
    made = book(connection)
    buried(connection, published(connection, made))
    assert shown(connection, made).external_block == "unconfirmed"
    assert outbox.look_for_blocks(connection, now=NOW + HOUR) == []


def test_the_next_customer_waits_for_what_is_looked_for(connection: Connection) -> None:
    """What refuses their block may be the one before's, which nobody has the id of: no conflict."""
    _, lost = lost_and_cancelled(connection)
    other = book(connection)
    block = block_of(other)
    [find] = refuse(connection, block, LATER, listed="b-1")
    assert (find["delivery_id"], find["data"]["action"]) == (lost["delivery_id"], "find")
    assert state(connection, block) == ("pending", "awaits_release")
    [release] = record(connection, find, at=LATER + SECOND, listed="b-1")
    assert state(connection, block) == ("pending", "awaits_release")
    [again] = record(connection, release, at=LATER + MINUTE)
    assert again == block | {"attempts": 1}
    record(connection, again, at=LATER + 2 * MINUTE, block="b-2")
    found = shown(connection, other)
    assert (found.external_calendar_id, found.conflict, found.version) == ("b-2", False, 1)


def test_the_next_customer_meets_somebody_after_all(connection: Connection) -> None:
    """What was looked for is not there: the refusal is a conflict."""
    lost_and_cancelled(connection)
    other = book(connection)
    [find] = refuse(connection, block_of(other), LATER, listed="")
    [again] = record(connection, find, at=LATER + SECOND, listed="")
    [told] = refuse(connection, again, LATER + MINUTE, listed="")
    assert told["type"] == "appointment.conflict"


def test_without_a_list_the_next_customers_block_is_unconfirmed_too(connection: Connection) -> None:
    """It cannot be told whose block is there."""
    lost_and_cancelled(connection)
    other = book(connection)
    assert refuse(connection, block_of(other), LATER) == []
    found = shown(connection, other)
    assert (found.conflict, found.external_block) == (False, "unconfirmed")


def test_time_beside_an_unconfirmed_block_is_another_matter(connection: Connection) -> None:
    """What does not touch it is refused by somebody else."""
    lost_and_cancelled(connection)
    other = book(connection, NINE + HALF)
    [told] = refuse(connection, block_of(other), LATER)
    assert told["type"] == "appointment.conflict"


def test_a_delivery_that_ends_shows_what_it_may_have_done(connection: Connection) -> None:
    """A calendar that never answered may hold the block; one that always refused to do it does not."""
    silent, busy = book(connection), book(connection, NINE + HOUR)
    record(connection, block_of(silent), "failed", error="timeout")
    record(connection, block_of(busy), "failed", error="http_503")
    assert state(connection, block_of(silent)) == ("failed", "block_unconfirmed")
    assert state(connection, block_of(busy)) == ("failed", "http_503")
    assert [shown(connection, one).external_block for one in (silent, busy)] == ["unconfirmed", None]


def test_results_that_overtake_one_another_end_with_what_they_say(connection: Connection) -> None:
    """The last attempt is recorded first: until the other is known the block is unconfirmed."""
    made = book(connection)
    block = block_of(made)
    record(connection, block | {"attempts": 1}, "failed", at=NOW + timedelta(minutes=2), error="http_503")
    assert shown(connection, made).external_block == "unconfirmed"
    record(connection, block, "retrying", error="http_503")
    assert (shown(connection, made).external_block, state(connection, block)) == (
        None,
        ("failed", "http_503"),
    )
