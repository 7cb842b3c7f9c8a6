"""What requests are counted by, and what leads from a request to its event's deliveries."""

from typing import Any

import pytest

from fairslot.messages.correlation import correlation_id
from fairslot.platform.db import Connection
from tests.support.clock import NINE
from tests.support.http import Answer, ask, book, booked
from tests.support.logs import json_lines
from tests.support.queues import Queues

KEY = {"X-Idempotency-Key": "key-1"}


def blob(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the metrics of the request, with what was noted beside them."""
    [found] = [line for line in json_lines(capsys) if "Answers" in str(line.keys())]
    return found


def counted(found: dict[str, Any]) -> dict[str, float]:
    """Return what was counted, without latencies."""
    [described] = found["_aws"]["CloudWatchMetrics"]
    assert described["Dimensions"] == [["service"]]
    names = [one["Name"] for one in described["Metrics"]]
    return {name: sum(found[name]) for name in names if not name.endswith("Latency")}


def test_a_booking_is_counted_once(team: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """A replay is another thing than a booking; both have a latency."""
    made = book(headers=KEY)
    first = blob(capsys)
    assert counted(first) == {"Answers2xx": 1, "BookingsMade": 1}
    assert first["BookingsLatency"][0] > 0
    book(headers=KEY)
    again = blob(capsys)
    assert counted(again) == {"Answers2xx": 1, "BookingsReplayed": 1}
    assert first["correlation_id"] == again["correlation_id"] == f"{made.json['appointment_id']}/1"


def test_a_refusal_is_counted_by_its_reason(team: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """What is refused for want of a coach is a conflict too."""
    for _ in range(3):
        booked()
    json_lines(capsys)
    assert book().status == 409
    found = blob(capsys)
    assert counted(found) == {
        "Answers4xx": 1,
        "Conflicts": 1,
        "BookingsRefused": 1,
        "BookingsRefusedSlotUnavailable": 1,
    }
    assert found["error"] == "SLOT_UNAVAILABLE"
    assert "correlation_id" not in found


def test_other_routes_are_not_measured_as_bookings(
    team: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are counted by the class of their answer."""
    ask("GET", "/api/appointments")
    assert counted(blob(capsys)) == {"Answers2xx": 1}


def test_a_request_is_found_by_its_id(team: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """The id that the client was answered with stands beside what was counted, with route and status."""
    answer: Answer = book(NINE)
    found = blob(capsys)
    assert found["request_id"] == answer.headers["x-request-id"]
    assert (found["route"], found["status"]) == ("POST /api/appointments", 201)


def test_the_messages_of_an_event_have_the_id_of_its_change(
    partners: Connection, queues: Queues, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the answer, and from each message, the same id follows."""
    booked()
    change = blob(capsys)["correlation_id"]
    messages = queues.take("DELIVERIES")
    assert len(messages) == 2
    assert {correlation_id(one["data"], one["version"]) for one in messages} == {change}
