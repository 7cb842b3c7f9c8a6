"""What is recorded of attempts: held back ones, ones that come twice, and those of an earlier round."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from fairslot.platform.db import Connection
from tests.support.attempts import record_attempt, replay_delivery
from tests.support.bookings import book
from tests.support.clock import HALF, HOUR, MINUTE, NINE, NOW, SECOND
from tests.support.endpoints import add_endpoint, add_subscriber
from tests.support.readings import connect_calendars
from tests.support.tables import one_row
from tests.support.team import add_team


@pytest.fixture
def subscribed(connection: Connection) -> Connection:
    """A team and a subscriber of its appointments."""
    add_team(connection, 3)
    add_subscriber(connection, "patient", "appointment.*")
    return connection


def is_failing(connection: Connection) -> bool:
    """Tell whether the subscriber's endpoint has an account of failures."""
    row = connection.execute("SELECT FROM webhook_endpoints WHERE failing_since IS NOT NULL").fetchone()
    return row is not None


def delivery_row(
    connection: Connection, message: dict[str, Any]
) -> tuple[str, str | None, datetime | None, int]:
    """Return a delivery's status, its reason, when it comes next, and how many attempts there were."""
    row = one_row(
        connection,
        "SELECT status, reason, next_attempt_at, (SELECT count(*) FROM webhook_attempts AS a"
        " WHERE a.delivery_id = d.delivery_id) AS n FROM webhook_deliveries AS d WHERE delivery_id = %s",
        (message["delivery_id"],),
    )
    return row["status"], row["reason"], row["next_attempt_at"], row["n"]


def test_what_is_held_back_is_shown_and_is_no_attempt(subscribed: Connection) -> None:
    """A delivery that waits says why and until when, until something comes of it; nobody is judged by it."""
    (message,) = book(subscribed, NINE).messages
    later = NOW + timedelta(minutes=5)
    held: dict[str, Any] = {"outcome": "held", "attempt": 0, "next_attempt_at": later}
    for _ in range(2):
        assert record_attempt(subscribed, message, "circuit_open", **held) == []
    assert delivery_row(subscribed, message) == ("pending", "circuit_open", later, 0)
    assert not is_failing(subscribed)
    record_attempt(subscribed, message, "http_500", outcome="retrying", next_attempt_at=later)
    assert delivery_row(subscribed, message) == ("pending", None, later, 1)
    record_attempt(subscribed, message, at=later)
    record_attempt(subscribed, message, "over_limit", **held)
    assert delivery_row(subscribed, message) == ("delivered", None, None, 2)


def test_what_was_held_back_for_too_long_has_failed(subscribed: Connection) -> None:
    """With the reason, and still without an attempt that nobody made."""
    (message,) = book(subscribed, NINE).messages
    record_attempt(subscribed, message, "circuit_open", attempt=0)
    assert delivery_row(subscribed, message) == ("failed", "circuit_open", None, 0)
    assert not is_failing(subscribed)


def test_another_message_of_the_same_delivery_does_no_harm(subscribed: Connection) -> None:
    """Sent again and not deleted, a delivery has two messages: neither undoes what the other has done."""
    (message,) = book(subscribed, NINE).messages
    held: dict[str, Any] = {"outcome": "held", "attempt": 1, "next_attempt_at": NOW}
    record_attempt(subscribed, message, "http_500")
    record_attempt(subscribed, message, "circuit_open", **held)
    waiting: dict[str, Any] = {"outcome": "retrying", "next_attempt_at": NOW}
    record_attempt(subscribed, message, "http_500", at=NOW + SECOND, **waiting)
    assert delivery_row(subscribed, message) == ("failed", "http_500", None, 2)
    record_attempt(subscribed, message, attempt=2, at=NOW + timedelta(seconds=2))
    record_attempt(subscribed, message, "http_500", attempt=2, at=NOW + timedelta(seconds=3))
    assert delivery_row(subscribed, message) == ("delivered", None, None, 4)


@pytest.mark.parametrize(
    ("error", "more"),
    [
        ("http_500", {}),
        (None, {}),
        ("http_500", {"outcome": "retrying", "next_attempt_at": NOW}),
        ("circuit_open", {"outcome": "held", "next_attempt_at": NOW}),
    ],
)
def test_a_late_result_of_an_earlier_round_does_not_end_the_new_one(
    subscribed: Connection, error: str | None, more: dict[str, Any]
) -> None:
    """A message from before a replay may go on after it; the replay ends by what is said of it alone."""
    (message,) = book(subscribed, NINE).messages
    record_attempt(subscribed, message, "http_500")
    again = replay_delivery(subscribed, message, NOW + HALF)
    record_attempt(subscribed, message, error, attempt=2, at=NOW + HOUR, **more)
    assert delivery_row(subscribed, message)[:3] == ("pending", None, None)
    record_attempt(subscribed, again, "http_503", at=NOW + timedelta(hours=2))
    assert delivery_row(subscribed, message)[:3] == ("failed", "http_503", None)


def test_a_block_that_was_made_in_an_earlier_round_is_made(subscribed: Connection) -> None:
    """It is something done and not something told: the new round's refusal is no conflict."""
    add_endpoint(subscribed, "calendar_api", "appointment.*")
    connect_calendars(subscribed)
    message = next(one for one in book(subscribed, NINE).messages if one["kind"] == "calendar_api")
    record_attempt(subscribed, message, "dead_letter")
    again = replay_delivery(subscribed, message, NOW + HALF)
    record_attempt(subscribed, message, attempt=2, at=NOW + HOUR, answer={"block_id": "b-1"})
    record_attempt(subscribed, again, "already_blocked", at=NOW + timedelta(hours=2))
    assert delivery_row(subscribed, message)[0] == "delivered"
    assert subscribed.execute(
        "SELECT external_calendar_id AS block, conflict FROM coach_appointments"
    ).fetchone() == {
        "block": "b-1",
        "conflict": False,
    }


def test_what_arrived_in_an_earlier_round_has_not_failed(subscribed: Connection) -> None:
    """Once the new round has failed too, a success that is told late still counts."""
    (message,) = book(subscribed, NINE).messages
    record_attempt(subscribed, message, "http_500")
    record_attempt(
        subscribed,
        replay_delivery(subscribed, message, NOW + HALF),
        "http_500",
        at=NOW + HOUR,
    )
    record_attempt(subscribed, message, attempt=2, at=NOW + MINUTE)
    assert delivery_row(subscribed, message)[0] == "delivered"
