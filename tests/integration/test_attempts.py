"""What is recorded of attempts: held back ones, ones that come twice, and those of an earlier round."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fairslot.domain.idempotency import NO_KEY
from fairslot.platform.db import Connection
from fairslot.webhooks import deliveries
from tests.support.attempts import record_attempt
from tests.support.bookings import book
from tests.support.clock import NINE, NOW
from tests.support.endpoints import add_endpoint, add_subscriber
from tests.support.readings import connect_calendars
from tests.support.team import add_team


@pytest.fixture
def told(connection: Connection) -> Connection:
    """A team and a subscriber of its appointments."""
    add_team(connection, 3)
    add_subscriber(connection, "patient", "appointment.*")
    return connection


def is_failing(connection: Connection) -> bool:
    """Tell whether the subscriber's endpoint has an account of failures."""
    row = connection.execute("SELECT FROM webhook_endpoints WHERE failing_since IS NOT NULL").fetchone()
    return row is not None


def shown(connection: Connection, message: dict[str, Any]) -> tuple[str, str | None, datetime | None, int]:
    """Return a delivery's status, its reason, when it comes next, and how many attempts there were."""
    row = connection.execute(
        "SELECT status, reason, next_attempt_at, (SELECT count(*) FROM webhook_attempts AS a"
        " WHERE a.delivery_id = d.delivery_id) AS n FROM webhook_deliveries AS d WHERE delivery_id = %s",
        (message["delivery_id"],),
    ).fetchone()
    assert row is not None
    return row["status"], row["reason"], row["next_attempt_at"], row["n"]


def replayed(connection: Connection, message: dict[str, Any]) -> dict[str, Any]:
    """Begin another round of a delivery and return its message."""
    change = deliveries.replay(
        connection,
        tenant_id="default",
        delivery_id=UUID(message["delivery_id"]),
        key=NO_KEY,
        now=NOW + timedelta(minutes=30),
    )
    (sent,) = change.messages
    assert sent["round"] == 2
    return sent


def test_what_is_held_back_is_shown_and_is_no_attempt(told: Connection) -> None:
    """A delivery that waits says why and until when, until something comes of it; nobody is judged by it."""
    (message,) = book(told, NINE).messages
    later = NOW + timedelta(minutes=5)
    held: dict[str, Any] = {"outcome": "held", "attempt": 0, "next_attempt_at": later}
    for _ in range(2):
        assert record_attempt(told, message, "circuit_open", **held) == []
    assert shown(told, message) == ("pending", "circuit_open", later, 0)
    assert not is_failing(told)
    record_attempt(told, message, "http_500", outcome="retrying", next_attempt_at=later)
    assert shown(told, message) == ("pending", None, later, 1)
    record_attempt(told, message, at=later)
    record_attempt(told, message, "over_limit", **held)
    assert shown(told, message) == ("delivered", None, None, 2)


def test_what_was_held_back_for_too_long_has_failed(told: Connection) -> None:
    """With the reason, and still without an attempt that nobody made."""
    (message,) = book(told, NINE).messages
    record_attempt(told, message, "circuit_open", attempt=0)
    assert shown(told, message) == ("failed", "circuit_open", None, 0)
    assert not is_failing(told)


def test_another_message_of_the_same_delivery_does_no_harm(told: Connection) -> None:
    """Sent again and not deleted, a delivery has two messages: neither undoes what the other has done."""
    (message,) = book(told, NINE).messages
    held: dict[str, Any] = {"outcome": "held", "attempt": 1, "next_attempt_at": NOW}
    record_attempt(told, message, "http_500")
    record_attempt(told, message, "circuit_open", **held)
    waiting: dict[str, Any] = {"outcome": "retrying", "next_attempt_at": NOW}
    record_attempt(told, message, "http_500", at=NOW + timedelta(seconds=1), **waiting)
    assert shown(told, message) == ("failed", "http_500", None, 2)
    record_attempt(told, message, attempt=2, at=NOW + timedelta(seconds=2))
    record_attempt(told, message, "http_500", attempt=2, at=NOW + timedelta(seconds=3))
    assert shown(told, message) == ("delivered", None, None, 4)


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
    told: Connection, error: str | None, more: dict[str, Any]
) -> None:
    """A message from before a replay may go on after it; the replay ends by what is said of it alone."""
    (message,) = book(told, NINE).messages
    record_attempt(told, message, "http_500")
    replay = replayed(told, message)
    record_attempt(told, message, error, attempt=2, at=NOW + timedelta(hours=1), **more)
    assert shown(told, message)[:3] == ("pending", None, None)
    record_attempt(told, replay, "http_503", at=NOW + timedelta(hours=2))
    assert shown(told, message)[:3] == ("failed", "http_503", None)


def test_a_block_that_was_made_in_an_earlier_round_is_made(told: Connection) -> None:
    """It is something done and not something told: the new round's refusal is no conflict."""
    add_endpoint(told, "calendar_api", "appointment.*")
    connect_calendars(told)
    message = next(one for one in book(told, NINE).messages if one["kind"] == "calendar_api")
    record_attempt(told, message, "dead_letter")
    replay = replayed(told, message)
    record_attempt(told, message, attempt=2, at=NOW + timedelta(hours=1), answer={"block_id": "b-1"})
    record_attempt(told, replay, "already_blocked", at=NOW + timedelta(hours=2))
    assert shown(told, message)[0] == "delivered"
    assert told.execute(
        "SELECT external_calendar_id AS block, conflict FROM coach_appointments"
    ).fetchone() == {
        "block": "b-1",
        "conflict": False,
    }


def test_what_arrived_in_an_earlier_round_has_not_failed(told: Connection) -> None:
    """Once the new round has failed too, a success that is told late still counts."""
    (message,) = book(told, NINE).messages
    record_attempt(told, message, "http_500")
    record_attempt(told, replayed(told, message), "http_500", at=NOW + timedelta(hours=1))
    record_attempt(told, message, attempt=2, at=NOW + timedelta(minutes=1))
    assert shown(told, message)[0] == "delivered"
