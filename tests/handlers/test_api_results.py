"""What comes back from the partners: recorded once, and with its meaning for the appointment."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from background import results
from fairslot.platform.db import Connection
from tests.support.attempts import attempt_of, delivery_state
from tests.support.clock import NOW
from tests.support.fixtures import Environment
from tests.support.http import ask, booked, get_appointment
from tests.support.invariants import check_invariants
from tests.support.lambda_context import context
from tests.support.queues import Queues
from tests.support.sqs_events import batch_event
from tests.support.tables import count, table_digests


def result(message: dict[str, Any], error: str | None = None, **more: Any) -> str:
    """Return the body of the dispatcher's result of an attempt."""
    return attempt_of(message, error, **more).to_json()


def report(*bodies: str) -> list[str]:
    """Have the handler take results in; return the positions of those that it could not."""
    done = results.lambda_handler(batch_event(*bodies), context())
    return [failure["itemIdentifier"] for failure in done["batchItemFailures"]]


def messages(queues: Queues) -> dict[str, dict[str, Any]]:
    """Take what was sent out of the queue, by the partner that it is for."""
    return {message["kind"]: message for message in queues.take("DELIVERIES")}


def test_the_crms_contact_is_kept(partners: Connection, queues: Queues) -> None:
    """A created event that the CRM took leaves its contact on the appointment and in later events."""
    made = booked()
    sent = messages(queues)
    assert report(result(sent["crm"], answer={"crm_id": "crm-7"})) == []
    assert get_appointment(made)["crm_contact_id"] == "crm-7"
    assert delivery_state(partners, sent["crm"])[0] == "delivered"
    assert delivery_state(partners, sent["calendar_api"])[0] == "pending"
    ask("POST", f"/api/appointments/{made['appointment_id']}/cancel")
    assert messages(queues)["crm"]["data"]["contact_id"] == "crm-7"


def test_the_calendars_block_is_kept_and_released(partners: Connection, queues: Queues) -> None:
    """A block's id stands on the appointment, goes out with its release, and then the calendar is read."""
    made = booked()
    report(result(messages(queues)["calendar_api"], answer={"block_id": "block-1"}))
    assert get_appointment(made)["external_calendar_id"] == "block-1"
    ask("POST", f"/api/appointments/{made['appointment_id']}/cancel")
    release = messages(queues)["calendar_api"]
    assert (release["data"]["action"], release["data"]["block_id"]) == ("release", "block-1")
    assert release["data"]["coach_id"] == made["coach_id"]
    assert queues.take("FETCHES") == []
    assert report(result(release)) == []
    assert [fetch["coach_id"] for fetch in queues.take("FETCHES")] == [made["coach_id"]]


def test_a_block_that_comes_after_the_cancellation_is_released(partners: Connection, queues: Queues) -> None:
    """Cancelled while the block was on its way: its release goes out as soon as its id is known, once."""
    made = booked()
    block = messages(queues)["calendar_api"]
    ask("POST", f"/api/appointments/{made['appointment_id']}/cancel")
    assert set(messages(queues)) == {"crm"}
    late = result(block, answer={"block_id": "block-1"})
    assert report(late, late) == []
    (release,) = queues.take("DELIVERIES")
    assert release["kind"] == "calendar_api"
    assert (release["data"]["action"], release["data"]["block_id"]) == ("release", "block-1")
    assert get_appointment(made)["external_calendar_id"] is None
    assert report(late) == []
    assert queues.take("DELIVERIES") == []
    check_invariants(partners)


def test_each_attempt_is_recorded(partners: Connection, queues: Queues) -> None:
    """Attempts are kept with their times and errors, and the last one decides."""
    booked()
    crm = messages(queues)["crm"]
    later = NOW + timedelta(seconds=5)
    first = result(
        crm,
        "http_503",
        outcome="retrying",
        status_code=503,
        response_excerpt='{"retry_after": 5}',
        next_attempt_at=later,
    )
    assert report(first) == []
    row = partners.execute(
        "SELECT next_attempt_at FROM webhook_deliveries"
        " WHERE status = 'pending' AND next_attempt_at IS NOT NULL"
    ).fetchone()
    assert row == {"next_attempt_at": later}
    assert report(result(crm, "timeout", attempt=2, at=later, status_code=None)) == []
    assert delivery_state(partners, crm)[0] == "failed"
    kept = partners.execute(
        "SELECT attempt, at, outcome, status_code, error FROM webhook_attempts ORDER BY attempt"
    ).fetchall()
    assert kept == [
        {"attempt": 1, "at": NOW, "outcome": "retrying", "status_code": 503, "error": "http_503"},
        {"attempt": 2, "at": later, "outcome": "failed", "status_code": None, "error": "timeout"},
    ]


def test_results_that_come_twice_count_once(partners: Connection, queues: Queues) -> None:
    """The queue may deliver a result again, at once or later."""
    booked()
    body = result(messages(queues)["crm"], answer={"crm_id": "crm-7"})
    assert report(body, body) == []
    before = table_digests(partners)
    assert report(body) == []
    assert table_digests(partners) == before
    assert count(partners, "webhook_attempts") == 1


def test_late_results_change_nothing_that_is_done(partners: Connection, queues: Queues) -> None:
    """What was delivered stays delivered, and a success that comes late undoes a failure."""
    booked()
    sent = messages(queues)
    report(result(sent["crm"], attempt=2, answer={"crm_id": "crm-7"}))
    report(
        result(sent["crm"], "timeout", outcome="retrying"),
        result(sent["crm"], "timeout", attempt=3),
    )
    assert delivery_state(partners, sent["crm"])[0] == "delivered"
    report(result(sent["calendar_api"], "http_500"))
    assert delivery_state(partners, sent["calendar_api"])[0] == "failed"
    report(result(sent["calendar_api"], attempt=2, answer={"block_id": "block-1"}))
    assert delivery_state(partners, sent["calendar_api"])[0] == "delivered"


def test_a_time_that_is_taken_outside_is_a_conflict(partners: Connection, queues: Queues) -> None:
    """The appointment is marked, its subscribers are partners, and the calendar is read again."""
    made = booked()
    block = messages(queues)["calendar_api"]
    assert report(result(block, "already_blocked", status_code=409)) == []
    appointment = get_appointment(made)
    assert (appointment["conflict"], appointment["version"], appointment["status"]) == (True, 2, "scheduled")
    (conflict,) = queues.take("DELIVERIES")
    assert (conflict["kind"], conflict["type"]) == ("crm", "appointment.conflict")
    assert [fetch["coach_id"] for fetch in queues.take("FETCHES")] == [made["coach_id"]]
    check_invariants(partners)


def test_after_a_silent_attempt_a_block_may_be_our_own(partners: Connection, queues: Queues) -> None:
    """When an attempt before ended without an answer, 409 is no conflict."""
    made = booked()
    block = messages(queues)["calendar_api"]
    report(result(block, "timeout", outcome="retrying", status_code=None))
    report(result(block, "already_blocked", attempt=2, status_code=409))
    assert get_appointment(made)["conflict"] is False
    assert queues.take("DELIVERIES") == []


def test_a_result_of_nothing_is_passed_over(partners: Connection, queues: Queues) -> None:
    """A result for a delivery that does not exist is no reason to try again."""
    booked()
    sent = messages(queues)["crm"]
    before = table_digests(partners)
    stranger = result(sent | {"delivery_id": str(UUID(int=0))})
    assert report(stranger) == []
    assert table_digests(partners) == before


def test_a_message_that_cannot_be_read_stays_alone(partners: Connection, queues: Queues) -> None:
    """What fails is reported by itself, and the rest of the batch is recorded."""
    booked()
    sent = messages(queues)
    bodies = ["{", result(sent["crm"]), "null", result(sent["calendar_api"], answer={"block_id": "b"}), "{}"]
    assert report(*bodies) == ["0", "2", "4"]
    assert (
        delivery_state(partners, sent["crm"])[0]
        == delivery_state(partners, sent["calendar_api"])[0]
        == "delivered"
    )
    assert report("{", "{}") == ["0", "1"]


def test_without_a_database_everything_stays_in_the_queue(
    partners: Connection, queues: Queues, environment: Environment
) -> None:
    """A database that does not answer loses no result."""
    booked()
    sent = messages(queues)
    environment(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert report(result(sent["crm"]), result(sent["calendar_api"])) == ["0", "1"]


@pytest.mark.parametrize("kind", ["DELIVERIES", "FETCHES"])
def test_without_a_queue_a_result_is_recorded_all_the_same(
    partners: Connection, queues: Queues, environment: Environment, kind: str
) -> None:
    """What follows from a result is left to the sweep and the schedule; the result is not tried again."""
    made = booked()
    block = messages(queues)["calendar_api"]
    environment(**{f"{kind}_QUEUE_URL": queues.urls[f"{kind}_QUEUE_URL"] + "-gone"})
    assert report(result(block, "already_blocked", status_code=409)) == []
    assert get_appointment(made)["conflict"] is True
