"""A block of which nobody knows whether it was made is looked for, and released or found missing."""

import pytest

from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.attempts import Message, actions, block_of, delivery_state, sweep
from tests.support.blocks import dead_lettered, published, record, refuse
from tests.support.bookings import appointment_now, book, cancel
from tests.support.clock import HALF, HOUR, MINUTE, NINE, NOW, SECOND

pytestmark = pytest.mark.usefixtures("ana")

LATER = NOW + 2 * HOUR


def lost_and_cancelled(connection: Connection) -> tuple[ChangeResult, Message]:
    """Book, lose what the calendar said of the block for good, and cancel; return the block's message."""
    made = book(connection)
    block = published(connection, made)
    dead_lettered(connection, block)
    cancel(connection, made)
    assert appointment_now(connection, made).external_block == "unconfirmed"
    return made, block


def test_an_unconfirmed_block_that_nobody_wants_is_looked_for(connection: Connection) -> None:
    """And released when it is found."""
    made, block = lost_and_cancelled(connection)
    [find] = outbox.look_for_blocks(connection, now=NOW + HOUR)
    assert (find["data"]["action"], find["round"]) == ("find", block["round"] + 1)
    assert outbox.look_for_blocks(connection, now=NOW + HOUR) == []
    [release] = record(connection, find, at=LATER, listed="b-1")
    assert (release["data"]["action"], release["data"]["block_id"]) == ("release", "b-1")
    assert (appointment_now(connection, made).external_block, delivery_state(connection, block)) == (
        None,
        ("delivered", None),
    )


def test_a_block_that_is_not_there_is_not_missed(connection: Connection) -> None:
    """The list has none at that time: none was made."""
    made, _ = lost_and_cancelled(connection)
    [find] = outbox.look_for_blocks(connection, now=NOW + HOUR)
    assert record(connection, find, at=LATER, listed="") == []
    assert appointment_now(connection, made).external_block is None
    assert outbox.unconfirmed_blocks(connection, now=LATER) == 0


def test_a_partner_without_a_list_is_asked_once_a_day(connection: Connection) -> None:
    """The block stays unconfirmed, and the partner is left alone."""
    made, block = lost_and_cancelled(connection)
    connection.execute(
        'UPDATE webhook_deliveries SET params = params || \'{"end_time": "2099-01-01T00:00:00Z"}\''
    )
    [find] = outbox.look_for_blocks(connection, now=NOW + HOUR)
    assert record(connection, find, "failed", at=LATER, error="cannot_list") == []
    assert delivery_state(connection, block) == ("failed", "block_unconfirmed")
    assert appointment_now(connection, made).external_block == "unconfirmed"
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
    assert delivery_state(connection, block) == ("failed", "block_unconfirmed")
    assert appointment_now(connection, made).external_block == "unconfirmed"


def test_a_block_that_is_wanted_is_not_taken_away(connection: Connection) -> None:
    """It may be there, which is what it is for."""
    made = book(connection)
    dead_lettered(connection, published(connection, made))
    assert appointment_now(connection, made).external_block == "unconfirmed"
    assert outbox.look_for_blocks(connection, now=NOW + HOUR) == []


def test_the_next_customer_waits_for_what_is_looked_for(connection: Connection) -> None:
    """What refuses their block may be the one before's, which nobody has the id of: no conflict."""
    _, lost = lost_and_cancelled(connection)
    other = book(connection)
    block = block_of(other)
    [find] = refuse(connection, block, LATER, listed="b-1")
    assert (find["delivery_id"], find["data"]["action"]) == (lost["delivery_id"], "find")
    assert delivery_state(connection, block) == ("pending", "awaits_release")
    [release] = record(connection, find, at=LATER + SECOND, listed="b-1")
    assert delivery_state(connection, block) == ("pending", "awaits_release")
    [again] = record(connection, release, at=LATER + MINUTE)
    assert again == block | {"attempts": 1}
    record(connection, again, at=LATER + 2 * MINUTE, block="b-2")
    found = appointment_now(connection, other)
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
    found = appointment_now(connection, other)
    assert (found.conflict, found.external_block) == (False, "unconfirmed")


def test_time_beside_an_unconfirmed_block_is_another_matter(connection: Connection) -> None:
    """What does not touch it is refused by somebody else."""
    lost_and_cancelled(connection)
    other = book(connection, NINE + HALF)
    [told] = refuse(connection, block_of(other), LATER)
    assert told["type"] == "appointment.conflict"


def blocked_while_sent_again(connection: Connection) -> tuple[ChangeResult, Message]:
    """Book; the block's message is sent again while the first is under way, which makes the block."""
    made = book(connection)
    block = published(connection, made)
    sent_again_at = NOW + 61 * MINUTE
    [copy] = actions(sweep(connection, sent_again_at), "block")
    assert record(connection, block, at=sent_again_at - SECOND, block="b-1") == []
    return made, copy


def test_the_block_of_a_second_copy_is_looked_for(connection: Connection) -> None:
    """The first one's is released; then the copy makes another, and what the calendar said of it is lost."""
    made, _ = blocked_while_sent_again(connection)
    found = appointment_now(connection, made)
    assert (found.external_calendar_id, found.external_block) == ("b-1", "confirmed")
    assert outbox.unconfirmed_blocks(connection, now=LATER) == 0
    assert outbox.look_for_blocks(connection, now=NOW + 3 * HOUR) == []
    [release] = actions(cancel(connection, made).messages, "release")
    record(connection, release, at=LATER)
    assert outbox.unconfirmed_blocks(connection, now=LATER) == 1
    assert outbox.look_for_blocks(connection, now=LATER) == [], "the copy may still come"
    [find] = outbox.look_for_blocks(connection, now=NOW + 3 * HOUR)
    [release] = record(connection, find, at=NOW + 3 * HOUR, listed="b-2")
    assert (release["data"]["action"], release["data"]["block_id"]) == ("release", "b-2")
    assert outbox.look_for_blocks(connection, now=NOW + 30 * HOUR) == []


def test_a_second_copy_that_made_no_block_is_looked_for_once(connection: Connection) -> None:
    """The calendar lists none: nothing is left to look for."""
    made, _ = blocked_while_sent_again(connection)
    cancel(connection, made)
    [find] = outbox.look_for_blocks(connection, now=NOW + 3 * HOUR)
    assert record(connection, find, at=NOW + 3 * HOUR, listed="") == []
    assert outbox.look_for_blocks(connection, now=NOW + 30 * HOUR) == []
    assert appointment_now(connection, made).external_block is None


def test_the_first_copy_may_come_last(connection: Connection) -> None:
    """The second has made the block: the queue promises no order."""
    made = book(connection)
    published(connection, made)
    [copy] = actions(sweep(connection, NOW + 61 * MINUTE), "block")
    record(connection, copy, at=NOW + 62 * MINUTE, block="b-1")
    cancel(connection, made)
    assert len(outbox.look_for_blocks(connection, now=NOW + 4 * HOUR)) == 1


def test_a_block_sent_once_is_not_looked_for(connection: Connection) -> None:
    """There is no other copy of its message."""
    made = book(connection)
    record(connection, published(connection, made), block="b-1")
    cancel(connection, made)
    assert outbox.look_for_blocks(connection, now=NOW + 4 * HOUR) == []
