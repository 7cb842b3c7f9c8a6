"""The messages of DeliveriesQueue and ResultsQueue: written, read again, and refused without quoting them."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.messages.attempts import Attempt
from fairslot.messages.contract import MessageError
from fairslot.messages.deliveries import Delivery

DELIVERY: dict[str, Any] = {
    "delivery_id": "5f0c6b9c-3a9e-4a27-9f0b-0c6b8a0f3c11",
    "event_id": "0b0f6f9e-52a1-4a8c-8f76-0b4f2d9f7a22",
    "kind": "crm",
    "url": None,
    "type": "appointment.created",
    "timestamp": "2026-03-02T14:00:00Z",
    "version": 1,
    "data": {
        "appointment_id": "a-1",
        "calendar_id": "cal-1",
        "coach_id": "coach-1",
        "start_time": "2026-03-03T09:00:00Z",
        "end_time": "2026-03-03T09:30:00Z",
        "status": "scheduled",
        "version": 1,
        "contact_name": "Zoë",
        "contact_email": "zoe@example.com",
        "timezone": "Europe/Paris",
        "contact_id": None,
        "block_id": None,
    },
    "endpoint_id": "9d4afb32-9fe0-427d-9c7d-9dfa754a2bc4",
    "revision": 3,
    "round": 1,
    "headers": {},
    "secrets": [],
    "concurrency": None,
    "rate_per_second": None,
    "attempts": 2,
    "since": "2026-03-02T14:00:01Z",
}
ATTEMPT = {
    "delivery_id": "5f0c6b9c-3a9e-4a27-9f0b-0c6b8a0f3c11",
    "event_id": "0b0f6f9e-52a1-4a8c-8f76-0b4f2d9f7a22",
    "kind": "crm",
    "type": "appointment.created",
    "attempt": 2,
    "at": "2026-03-02T14:00:01Z",
    "outcome": "retrying",
    "latency_ms": 123,
    "status_code": 503,
    "error": "http_503",
    "response_excerpt": "later",
    "answer": {},
    "next_attempt_at": "2026-03-02T14:00:09Z",
    "round": 1,
    "revision": 3,
    "receipt_handle": "handle-1",
}


def test_a_delivery_is_read_and_written_as_agreed() -> None:
    """Nothing of the agreed body is lost or renamed on the way through."""
    delivery = Delivery.from_json(json.dumps(DELIVERY))

    assert delivery.delivery_id == UUID("5f0c6b9c-3a9e-4a27-9f0b-0c6b8a0f3c11")
    assert delivery.timestamp == datetime(2026, 3, 2, 14, tzinfo=UTC)
    assert delivery.appointment().contact_name == "Zoë"
    assert json.loads(delivery.to_json()) == DELIVERY


def test_an_attempt_is_read_and_written_as_agreed() -> None:
    """Nothing of the agreed body is lost or renamed on the way through."""
    attempt = Attempt.from_json(json.dumps(ATTEMPT))

    assert attempt.outcome == "retrying"
    assert json.loads(attempt.to_json()) == ATTEMPT


def test_a_delivery_that_was_never_held_back_has_no_past() -> None:
    """The messages that the inside writes say nothing of attempts."""
    fresh = {name: value for name, value in DELIVERY.items() if name not in {"attempts", "since"}}
    delivery = Delivery.from_json(json.dumps(fresh))

    assert (delivery.attempts, delivery.since) == (0, None)


def test_a_member_from_a_newer_version_is_passed_over() -> None:
    """Messages in the queue while a new version is deployed are read by the old one."""
    assert Delivery.from_json(json.dumps({**DELIVERY, "tenant": "x"})).kind == "crm"


@pytest.mark.parametrize(
    "missing", ["delivery_id", "event_id", "kind", "type", "timestamp", "version", "data"]
)
def test_a_delivery_without_a_member_is_refused_without_its_contents(missing: str) -> None:
    """The error of an incomplete message says nothing of what is in it."""
    body = {name: value for name, value in DELIVERY.items() if name != missing}

    with pytest.raises(MessageError) as raised:
        Delivery.from_json(json.dumps(body))

    assert "zoe" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("body", ["", "null", "[]", "{", '{"data": 1}', '"\\ud800"'])
def test_what_is_no_message_is_refused(body: str) -> None:
    """Every kind of rubbish ends in the one error."""
    with pytest.raises(MessageError):
        Attempt.from_json(body)


def test_data_that_is_no_appointments_is_refused_without_its_contents() -> None:
    """The error of unusable data says nothing of what is in it."""
    delivery = Delivery.from_json(json.dumps({**DELIVERY, "data": {"contact_email": "zoe@example.com"}}))

    with pytest.raises(MessageError) as raised:
        delivery.appointment()

    assert "zoe" not in str(raised.value)


@given(st.text())
def test_any_text_travels_as_characters_that_the_queue_takes(text: str) -> None:
    """SQS refuses characters that XML has no place for: only printable ASCII is sent."""
    body = Attempt.from_json(json.dumps({**ATTEMPT, "response_excerpt": text})).to_json()

    assert all(" " <= char <= "~" for char in body)
    assert Attempt.from_json(body).response_excerpt == text
