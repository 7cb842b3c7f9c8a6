"""Events on the queue right after the commit, or later by the sweep, and never at the customer's cost."""

import json
from datetime import UTC, datetime
from operator import itemgetter
from time import monotonic

import pytest

from background import maintenance
from fairslot.messages.deliveries import Delivery
from fairslot.platform.db import Connection
from local.sqs import SqsStandIn
from tests.support import bookings as booking
from tests.support.clock import DAY, HALF, MINUTE, NINE
from tests.support.fixtures import Clock, Environment
from tests.support.http import add_key, ask, book, booked
from tests.support.lambda_context import context
from tests.support.logs import json_lines
from tests.support.queues import Queues
from tests.support.tables import count, one_row
from tests.support.team import TENANT, add_calendar

KEY = {"X-Idempotency-Key": "key-1"}


def unpublished(connection: Connection) -> int:
    """Return how many deliveries have not been put on the queue."""
    return connection.execute("SELECT FROM webhook_deliveries WHERE published_at IS NULL").rowcount


def sweep(clock: Clock) -> int:
    """Run the sweep as its schedule does, a minute from now; return how many messages it sent."""
    clock(datetime.now(UTC) + MINUTE)
    sent: int = maintenance.lambda_handler({"task": "outbox"}, context())["sent"]
    return sent


def test_a_booking_is_told_at_once(partners: Connection, queues: Queues) -> None:
    """When the customer has the answer both messages are on the queue, and the database knows."""
    made = booked(timezone="Europe/Paris")
    messages = {message["kind"]: message for message in queues.take("DELIVERIES")}
    assert set(messages) == {"crm", "calendar_api"}
    assert unpublished(partners) == 0
    for message in messages.values():
        assert Delivery.from_json(json.dumps(message)).type == "appointment.created"
        assert message["version"] == 1
        data = message["data"]
        assert {name: data[name] for name in made} == made
        known = {"contact_name": "Zoë Secret", "contact_email": "zoe@example.com", "timezone": "Europe/Paris"}
        who = {name: data[name] for name in known if name in data}
        assert who == (known if message["kind"] == "crm" else {})
    assert messages["calendar_api"]["data"]["action"] == "block"
    assert messages["crm"]["event_id"] == messages["calendar_api"]["event_id"]
    assert messages["crm"]["delivery_id"] != messages["calendar_api"]["delivery_id"]


def test_a_cancellation_is_told_at_once(partners: Connection, queues: Queues) -> None:
    """The CRM hears of it; the calendar has nothing to release that it never blocked."""
    made = booked()
    queues.take("DELIVERIES")
    ask("POST", f"/api/appointments/{made['appointment_id']}/cancel")
    (message,) = queues.take("DELIVERIES")
    assert (message["kind"], message["type"], message["version"]) == ("crm", "appointment.cancelled", 2)
    assert message["data"]["status"] == "cancelled"


def test_all_that_a_request_changes_is_told_at_once(partners: Connection, queues: Queues) -> None:
    """More than two hundred appointments that are cancelled together need no sweep."""
    with partners.transaction():
        for day in range(7):
            for step in range(10):
                for _ in range(3):
                    booking.book(partners, NINE + day * DAY + step * HALF)
    partners.execute("UPDATE changes SET told = true")
    dates = [f"{NINE + day * DAY:%Y-%m-%d}" for day in range(7)]
    query = {"appointments": "cancel"}
    assert ask("PATCH", "/api/calendars/cal", {"blocked_dates": dates}, query=query).status == 200
    cancelled = count(partners, "coach_appointments", "status = 'cancelled'")
    assert cancelled > 200
    messages = queues.take("DELIVERIES")
    assert [message["type"] for message in messages] == ["appointment.cancelled"] * cancelled
    assert count(partners, "changes", "NOT told") == unpublished(partners) == 0


def test_a_repetition_is_not_told_again(partners: Connection, queues: Queues) -> None:
    """An answer that is given again has no event."""
    for _ in range(3):
        assert book(headers=KEY).status == 201
    assert len(queues.take("DELIVERIES")) == 2


def test_a_refusal_is_not_told(partners: Connection, queues: Queues) -> None:
    """What did not happen has no event."""
    book(calendar_id="nowhere")
    book(start="2026-03-03T14:05:00Z")
    assert queues.take("DELIVERIES") == []


def test_nobody_is_told_of_anothers_booking(partners: Connection, queues: Queues) -> None:
    """A tenant's partners hear of that tenant's appointments only."""
    add_key(partners, "other-key", tenant_id="other")
    add_calendar(partners, "theirs", ["coach-01"], tenant_id="other")
    assert book(key="other-key", calendar_id="theirs").status == 201
    assert queues.take("DELIVERIES") == []
    row = one_row(partners, "SELECT tenant_id FROM changes")
    assert row["tenant_id"] != TENANT


def test_a_queue_that_is_down_costs_the_customer_nothing(
    partners: Connection,
    queues: Queues,
    sqs: SqsStandIn,
    environment: Environment,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The booking is taken, an alarm is raised, and the sweep sends both messages once the queue is back."""
    environment(AWS_ENDPOINT_URL="http://127.0.0.1:1", DELIVERIES_QUEUE_URL="http://127.0.0.1:1/0/none")
    begun = monotonic()
    made = booked()
    assert monotonic() - begun < 5
    assert unpublished(partners) == 2
    lines = json_lines(capsys)
    assert any(line.get("PublishDeferred") for line in lines)
    environment(**sqs.environment, **queues.urls)
    assert queues.take("DELIVERIES") == []
    assert sweep(clock) == 2
    messages = queues.take("DELIVERIES")
    assert {message["kind"] for message in messages} == {"crm", "calendar_api"}
    assert {message["data"]["appointment_id"] for message in messages} == {made["appointment_id"]}
    assert unpublished(partners) == 0
    assert sweep(clock) == 0


def test_a_queue_that_is_gone_costs_the_customer_nothing(
    partners: Connection, queues: Queues, environment: Environment, clock: Clock
) -> None:
    """An address without a queue behind it is no reason to refuse a booking."""
    environment(DELIVERIES_QUEUE_URL=queues.urls["DELIVERIES_QUEUE_URL"] + "-gone")
    booked()
    assert unpublished(partners) == 2
    environment(**queues.urls)
    assert sweep(clock) == 2
    assert len(queues.take("DELIVERIES")) == 2


def test_a_note_that_is_lost_sends_the_same_messages_again(
    partners: Connection, queues: Queues, clock: Clock
) -> None:
    """Sent and not noted means sent twice, under the same ids, which receivers tell apart by."""
    booked()
    first = queues.take("DELIVERIES")
    partners.execute("UPDATE webhook_deliveries SET published_at = NULL")
    assert sweep(clock) == 2
    again = queues.take("DELIVERIES")
    assert sorted(again, key=itemgetter("delivery_id")) == sorted(first, key=itemgetter("delivery_id"))


def test_what_the_queue_lost_is_sent_again(partners: Connection, queues: Queues, clock: Clock) -> None:
    """A delivery of which nothing was heard for an hour goes out once more, one just sent does not."""
    booked()
    queues.take("DELIVERIES")
    assert sweep(clock) == 0
    partners.execute("UPDATE webhook_deliveries SET published_at = published_at - interval '61 minutes'")
    assert sweep(clock) == 2
    assert len(queues.take("DELIVERIES")) == 2
    assert sweep(clock) == 0
