"""Events leave the database exactly as often as they must, whatever dies on the way."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from fairslot.domain.errors import QueueError
from fairslot.domain.idempotency import ChangeResult
from fairslot.messages.deliveries import Delivery
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.attempts import attempt_of, sweep
from tests.support.bookings import appointment_of, book, cancel
from tests.support.clock import DAY, HOUR, MINUTE, NINE, NOW
from tests.support.endpoints import add_endpoint
from tests.support.readings import connect_calendars
from tests.support.team import add_calendar, add_team, set_coach

LATER = NOW + timedelta(days=3650)  # rows are stamped by the database's own clock
BEFORE = NOW - timedelta(days=3650)


@pytest.fixture
def team(connection: Connection) -> list[str]:
    """Two coaches behind the calendar API, and both partners told of what happens."""
    coaches = add_team(connection, 2)
    connect_calendars(connection)
    add_endpoint(connection, "crm", "appointment.*")
    add_endpoint(connection, "calendar_api", "appointment.*")
    return coaches


def message_for(change: ChangeResult, kind: str) -> dict[str, Any]:
    """Return the message that a change has for one partner."""
    return next(message for message in change.messages if message["kind"] == kind)


def fail_to_send(_: Sequence[str]) -> None:
    """Stand for a queue that is down."""
    raise QueueError


def test_a_booking_tells_both_partners(connection: Connection, team: list[str]) -> None:
    """Its messages are what the dispatcher reads, with the event's id as the partners' key."""
    done = book(connection)
    deliveries = [Delivery.from_json(json.dumps(message)) for message in done.messages]
    assert {one.kind for one in deliveries} == {"crm", "calendar_api"}
    assert len({one.event_id for one in deliveries}) == 1
    assert all(one.appointment().appointment_id == done.answer["appointment_id"] for one in deliveries)


def test_a_coach_without_the_calendar_api_is_not_blocked_there(
    connection: Connection, team: list[str]
) -> None:
    """Only the CRM is told of a coach who has another kind of calendar."""
    set_coach(connection, calendar_kind="none")
    assert [message["kind"] for message in book(connection).messages] == ["crm"]


def test_what_is_published_is_not_swept(connection: Connection, team: list[str]) -> None:
    """After publishing, the sweep has nothing to do."""
    sent: list[str] = []
    outbox.publish(connection, messages=book(connection).messages, send=sent.extend, now=LATER)
    assert len(sent) == 2
    assert sweep(connection, LATER) == []


def test_what_was_not_published_is_swept_once(connection: Connection, team: list[str]) -> None:
    """A booking whose process died before it had sent the messages is sent by the sweep."""
    done = book(connection)
    assert sweep(connection, BEFORE) == [], "not before its time"
    swept = sweep(connection, LATER)
    assert sorted(one["delivery_id"] for one in swept) == sorted(one["delivery_id"] for one in done.messages)
    assert sweep(connection, LATER) == []


def test_a_queue_that_is_down_loses_nothing(connection: Connection, team: list[str]) -> None:
    """A sweep that cannot send leaves everything for the next."""
    book(connection)
    with pytest.raises(QueueError):
        outbox.sweep(connection, send=fail_to_send, now=LATER)
    assert len(sweep(connection, LATER)) == 2


def test_what_the_queue_did_not_take_does_not_count_as_sent(connection: Connection, team: list[str]) -> None:
    """A booking whose events could not be published is swept a minute later."""
    with pytest.raises(QueueError):
        outbox.publish(connection, messages=book(connection).messages, send=fail_to_send, now=LATER)
    assert len(sweep(connection, LATER + MINUTE)) == 2


def test_two_sweeps_share_the_work(
    connection: Connection, team: list[str], connect: Callable[[], Connection]
) -> None:
    """A sweep passes over what another has claimed and does not wait for it."""
    book(connection)
    other = connect()
    seen: list[dict[str, Any]] = []

    def meanwhile(_: Sequence[str]) -> None:
        seen.extend(sweep(other, LATER))

    assert outbox.sweep(connection, send=meanwhile, now=LATER) == 2
    assert seen == []


def test_a_transaction_that_commits_late_is_not_passed_over(
    connection: Connection, team: list[str], connect: Callable[[], Connection]
) -> None:
    """An event that is older than others but committed later is told of all the same."""
    add_calendar(connection, "other", team[1:])
    late = connect()
    with late.transaction():
        older = book(late)
        assert older.answer["coach_id"] == team[0]  # whose day is locked until then
        younger = book(connection, NINE + HOUR, calendar_id="other")
        assert {one["data"]["appointment_id"] for one in younger.messages} == {
            younger.answer["appointment_id"]
        }
        assert outbox.make_deliveries(connection, limit=9) == (0, [])
    events, messages = outbox.make_deliveries(connection, limit=9)
    assert events == 1
    assert {one["data"]["appointment_id"] for one in messages} == {older.answer["appointment_id"]}
    assert sorted(one["kind"] for one in messages) == ["calendar_api", "crm"]


def test_silence_is_not_trusted_for_ever(connection: Connection, team: list[str]) -> None:
    """A delivery that was queued and never heard of again is queued again."""
    done = book(connection)
    outbox.publish(connection, messages=done.messages, send=lambda _: None, now=NOW)
    assert sweep(connection, NOW + timedelta(minutes=59)) == []
    assert len(sweep(connection, NOW + timedelta(minutes=61))) == 2


def test_the_crms_id_is_kept(connection: Connection, team: list[str]) -> None:
    """What the CRM calls the customer stands on the appointment, and a late failure does not undo it."""
    message = message_for(book(connection), "crm")
    outbox.record(connection, attempt=attempt_of(message, answer={"crm_id": "crm-7"}))
    outbox.record(connection, attempt=attempt_of(message, "http_503", attempt=2, status_code=503))
    row = connection.execute(
        "SELECT crm_contact_id, delivery.status"
        "  FROM coach_appointments JOIN changes USING (appointment_id)"
        "  JOIN webhook_deliveries AS delivery ON event_id = change_id WHERE delivery_id = %s",
        (message["delivery_id"],),
    ).fetchone()
    assert row == {"crm_contact_id": "crm-7", "status": "delivered"}


def test_a_failed_delivery_is_marked(connection: Connection, team: list[str]) -> None:
    """After the last attempt the delivery is failed, with every attempt on record, and is not swept."""
    message = message_for(book(connection), "crm")
    sweep(connection, LATER)
    for number in (1, 2):
        outcome = "retrying" if number == 1 else "failed"
        report = attempt_of(message, "http_503", outcome=outcome, attempt=number, status_code=503)
        outbox.record(connection, attempt=report)
        outbox.record(connection, attempt=report)
    row = connection.execute(
        "SELECT status, (SELECT count(*) FROM webhook_attempts AS a WHERE a.delivery_id = d.delivery_id) AS n"
        "  FROM webhook_deliveries AS d WHERE delivery_id = %s",
        (message["delivery_id"],),
    ).fetchone()
    assert row == {"status": "failed", "n": 2}
    again = sweep(connection, LATER + DAY)
    assert message["delivery_id"] not in {one["delivery_id"] for one in again}


def test_cancelling_releases_the_block(connection: Connection, team: list[str]) -> None:
    """The release names the block that the calendar gave, and its delivery has the calendar read again."""
    done = book(connection)
    block = message_for(done, "calendar_api")
    outbox.record(connection, attempt=attempt_of(block, answer={"block_id": "b-1"}))
    release = message_for(cancel(connection, done), "calendar_api")
    assert (release["data"]["action"], release["data"]["block_id"]) == ("release", "b-1")
    recorded = outbox.record(connection, attempt=attempt_of(release))
    assert recorded == ([], False, appointment_of(done).coach_id, None)


def test_a_block_that_is_answered_after_the_cancellation_is_released(
    connection: Connection, team: list[str]
) -> None:
    """Nothing stays blocked when the cancellation overtakes the block."""
    done = book(connection)
    block = message_for(done, "calendar_api")
    assert [message["kind"] for message in cancel(connection, done).messages] == ["crm"]
    [release], *_ = outbox.record(connection, attempt=attempt_of(block, answer={"block_id": "b-2"}))
    assert (release["kind"], release["data"]["action"]) == ("calendar_api", "release")
    assert release["data"]["block_id"] == "b-2"
    assert release["data"]["coach_id"] == appointment_of(done).coach_id


def test_time_that_was_taken_outside_is_a_conflict(connection: Connection, team: list[str]) -> None:
    """A block that the calendar refuses marks the appointment and is told to the CRM."""
    done = book(connection)
    block = message_for(done, "calendar_api")
    recorded = outbox.record(connection, attempt=attempt_of(block, "already_blocked", status_code=409))
    assert recorded == ([], True, appointment_of(done).coach_id, None)
    [message] = outbox.make_deliveries(connection, limit=9).messages
    assert (message["type"], message["version"]) == ("appointment.conflict", 2)


def test_our_own_lost_block_is_no_conflict(connection: Connection, team: list[str]) -> None:
    """After an attempt without an answer, a refusal may be our own block."""
    block = message_for(book(connection), "calendar_api")
    outbox.record(connection, attempt=attempt_of(block, "timeout", status_code=None, outcome="retrying"))
    refusal = attempt_of(block, "already_blocked", attempt=2, status_code=409)
    messages, changed, *_ = outbox.record(connection, attempt=refusal)
    assert (messages, changed) == ([], False)
