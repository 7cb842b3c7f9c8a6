"""The database writes the messages of DeliveriesQueue, and `Delivery` reads them: they must agree."""

import json
from dataclasses import fields
from typing import Any

import pytest

from fairslot.domain.idempotency import NO_KEY
from fairslot.messages.deliveries import Delivery
from fairslot.platform.db import Connection
from fairslot.webhooks import deliveries
from tests.support.bookings import book, cancel
from tests.support.clock import NOW
from tests.support.endpoints import add_endpoint, add_subscriber
from tests.support.team import add_team

MEMBERS = {field.name for field in fields(Delivery)}
# What the dispatcher adds when it requeues a message.
REQUEUED = {"attempts", "since"}
# What only subscribers have.
SUBSCRIBERS = {"headers", "secrets"}


@pytest.fixture
def messages(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """The messages of a booking and its cancellation, by the kind of endpoint."""
    add_team(connection, 1)
    connection.execute("UPDATE coaches SET calendar_kind = 'calendar_api'")
    connection.execute("INSERT INTO coach_syncs (coach_id, synced_at) SELECT coach_id, now() FROM coaches")
    add_endpoint(connection, "crm", "appointment.*")
    add_endpoint(connection, "calendar_api", "appointment.*")
    add_subscriber(connection, "partner", "appointment.*")
    booked = book(connection)
    found: dict[str, list[dict[str, Any]]] = {}
    for message in (*booked.messages, *cancel(connection, booked).messages):
        found.setdefault(message["kind"], []).append(message)
    return found


@pytest.mark.parametrize("kind", ["crm", "calendar_api", "standard"])
def test_what_the_database_writes_is_what_a_delivery_reads(
    messages: dict[str, list[dict[str, Any]]], kind: str
) -> None:
    """No member is unknown to the reader, none is missing, and none is lost on the way through."""
    expected = MEMBERS - REQUEUED - (SUBSCRIBERS if kind != "standard" else set())
    for message in messages[kind]:
        assert set(message) == expected
        written = json.loads(Delivery.from_json(json.dumps(message)).to_json())
        assert {name: written[name] for name in expected} == message


@pytest.mark.parametrize("kind", ["crm", "calendar_api"])
def test_the_data_of_an_appointment_is_read(messages: dict[str, list[dict[str, Any]]], kind: str) -> None:
    """The partners' deliveries are about the appointment that was booked."""
    for message in messages[kind]:
        appointment = Delivery.from_json(json.dumps(message)).appointment()
        assert appointment.appointment_id == message["data"]["appointment_id"]


def test_a_replay_writes_the_same_members(
    connection: Connection, messages: dict[str, list[dict[str, Any]]]
) -> None:
    """In its next round."""
    first = messages["crm"][0]
    connection.execute("UPDATE webhook_deliveries SET status = 'failed', finished_at = now()")
    delivery_id = Delivery.from_json(json.dumps(first)).delivery_id
    done = deliveries.replay(connection, tenant_id=None, delivery_id=delivery_id, key=NO_KEY, now=NOW)
    assert done.messages == [first | {"round": 2}]
