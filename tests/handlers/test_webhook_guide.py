"""The examples of the receivers' guide have the members that subscribers are really sent."""

from datetime import timedelta
from typing import Any

import pytest

from fairslot.platform.db import Connection
from tests.support.attempts import record_attempt
from tests.support.clock import HOUR, NINE, NOW
from tests.support.endpoints import PATH, URL, subscribed
from tests.support.http import ask, booked
from tests.support.queues import Queues
from tests.unit.test_webhook_guide import EXAMPLES

MEMBERS = {one["type"]: set(one["data"]) for one in EXAMPLES}


def sent_members(queues: Queues) -> dict[str, set[str]]:
    """Return the members of what was sent, by type."""
    return {one["type"]: set(one["data"]) for one in queues.take("DELIVERIES")}


def test_an_appointments_events(team: Connection, kms: None, queues: Queues) -> None:
    """Through a life with every change that an event is sent of."""
    subscribed("*")
    path = f"/api/appointments/{booked()['appointment_id']}"
    changes: list[tuple[str, dict[str, Any]]] = [
        ("reschedule", {"start_time": (NINE + HOUR).isoformat()}),
        ("reassign", {"reason": "ill"}),
        ("cancel", {"reason": "mine"}),
    ]
    for name, body in changes:
        assert ask("POST", f"{path}/{name}", body).status == 200
    names = ("created", "rescheduled", "reassigned", "cancelled")
    assert sent_members(queues) == {f"appointment.{name}": MEMBERS[f"appointment.{name}"] for name in names}


@pytest.mark.parametrize("error", ["http_410", "http_500"])
def test_what_is_said_of_endpoints(team: Connection, kms: None, queues: Queues, error: str) -> None:
    """A test, a warning and an end, each as another endpoint is told of it."""
    made = subscribed("appointment.*")
    subscribed("endpoint.*", url=URL + "/other")
    ask("POST", f"{PATH}/{made['endpoint_id']}/test")
    assert sent_members(queues) == {"endpoint.test": MEMBERS["endpoint.test"]}
    booked()
    (message,) = queues.take("DELIVERIES")
    found = {}
    for day in range(6):
        again = {"outcome": "failed" if error == "http_410" else "retrying", "attempt": day + 1}
        for one in record_attempt(team, message, error, at=NOW + timedelta(days=day), **again):
            found[one["type"]] = set(one["data"])
    names = ("endpoint.disabled",) if error == "http_410" else ("endpoint.failing", "endpoint.disabled")
    assert found == {name: MEMBERS[name] for name in names}
