"""A customer is forgotten while webhooks are being delivered: no request begins after it that names them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import perf_counter
from typing import Any

import pytest

from background.permits import lambda_handler
from fairslot.dispatch import subscribers
from fairslot.platform import http_client
from fairslot.platform.db import Connection
from fairslot.webhooks import contact_permits
from local.sqs import SqsStandIn
from tests.support.clock import HOUR, NINE
from tests.support.dispatch import Dispatcher, dispatcher
from tests.support.endpoints import add_endpoint, subscribed
from tests.support.environment import set_environment
from tests.support.http import ask, body_of, booked
from tests.support.lambda_context import context
from tests.support.permits import Permits, permits
from tests.support.race import wait_until
from tests.support.scripted_partner import Call, Received, answer
from tests.support.tables import count

EMAIL, NAME = "zoe@example.com", "zo\\u00eb"
TAKEN = answer(200, {"success": True, "crm_id": "crm-77"})


@pytest.fixture
def permitting(database_url: str) -> Iterator[Permits]:
    """Whom the dispatcher asks."""
    with permits(database_url) as made:
        yield made


@pytest.fixture
def dispatch(team: Connection, sqs: SqsStandIn, permitting: Permits) -> Iterator[Dispatcher]:
    """Set up both functions, the queues between them, a CRM, and a subscriber at its address."""
    with dispatcher(sqs, max_attempts=13) as made, pytest.MonkeyPatch.context() as patch:
        set_environment(patch, permitting.environment)
        add_endpoint(team, "crm", "appointment.*")
        subscribed(url=f"{made.partner.url}/hook")
        yield made


def forget() -> dict[str, Any]:
    """Forget the customer."""
    return body_of(ask("DELETE", f"/api/contacts/{EMAIL}", query={"appointments": "cancel"}))


def naming(received: Sequence[Received]) -> int:
    """Return how many requests name the customer."""
    bodies = [one.raw.decode().lower() for one in received]
    return sum(EMAIL in body or NAME in body for body in bodies)


def finish(dispatch: Dispatcher) -> None:
    """Work and record until nothing is left on the queue."""
    while dispatch.left():
        dispatch.work()
        dispatch.record_results()


def statuses(team: Connection) -> dict[tuple[str, str], set[str]]:
    """Return what became of the deliveries by kind of endpoint and type of event."""
    rows = team.execute(
        "SELECT webhook_endpoints.kind, type, status FROM webhook_deliveries"
        "  JOIN webhook_endpoints USING (endpoint_id) JOIN changes ON change_id = event_id"
    ).fetchall()
    return {
        (row["kind"], row["type"]): {
            one["status"] for one in rows if (one["kind"], one["type"]) == (row["kind"], row["type"])
        }
        for row in rows
    }


def test_no_message_that_waits_for_a_retry_goes_out(team: Connection, dispatch: Dispatcher) -> None:
    """The CRM is down, the message waits on the queue; after the answer it is dropped, and others go."""
    dispatch.partner.always = answer(503, {"you sent": EMAIL})
    booked(notes="sciatica")
    dispatch.work(dispatch.receive(at_least=2))
    dispatch.record_results()
    assert naming(dispatch.partner.received) == 1
    assert forget() == {"appointments": 1, "cancelled": 1}
    before, dispatch.partner.always = len(dispatch.partner.received), TAKEN
    finish(dispatch)
    assert naming(dispatch.partner.received[before:]) == 0
    assert not dispatch.dead_letters()
    assert statuses(team) == {
        ("crm", "appointment.created"): {"cancelled"},
        ("crm", "appointment.cancelled"): {"delivered"},
        ("standard", "appointment.created"): {"delivered"},
        ("standard", "appointment.cancelled"): {"delivered"},
    }


def test_a_slow_endpoint_and_a_full_queue(team: Connection, dispatch: Dispatcher) -> None:
    """Some requests are under way and other messages on the queue: only what had begun names anybody."""
    go_on = Event()

    def slow(call: Call) -> None:
        go_on.wait(60)
        answer(200, {"success": True, "crm_id": "crm-77", "you sent": EMAIL})(call)

    dispatch.partner.always = slow
    for number in range(6):
        booked(NINE + number * HOUR)
    batch = dispatch.receive(at_least=5)
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(dispatch.work, batch)
        wait_until(lambda: len(dispatch.partner.received) == len(batch))
        under_way = naming(dispatch.partner.received)
        assert 0 < under_way < 6
        assert forget() == {"appointments": 6, "cancelled": 6}
        assert naming(dispatch.partner.received) == under_way
        go_on.set()
        working.result()
    dispatch.record_results()
    finish(dispatch)
    assert naming(dispatch.partner.received) == under_way
    assert statuses(team)["crm", "appointment.created"] == {"cancelled"}
    assert count(team, "webhook_attempts", "response_excerpt LIKE '%zoe%'") == 0
    assert count(team, "coach_appointments", "crm_contact_id IS NOT NULL") == 0


def test_a_request_that_was_permitted_is_waited_for(
    team: Connection, dispatch: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the permission and the request: the answer comes when it cannot begin any more."""
    asked, go_on = Event(), Event()

    async def post(*arguments: Any, **named: Any) -> http_client.Reply:
        if "until" in named and named["until"] < float("inf"):
            asked.set()
            assert go_on.wait(60)
        return await http_client.post(*arguments, **named)

    monkeypatch.setattr(contact_permits, "PERMITTED_SECONDS", 2.0)
    monkeypatch.setattr(subscribers, "post", post)
    booked()
    batch = dispatch.receive(at_least=2)
    with ThreadPoolExecutor(1) as pool:
        began = perf_counter()
        working = pool.submit(dispatch.work, batch)
        assert asked.wait(60)
        assert forget() == {"appointments": 1, "cancelled": 1}
        assert perf_counter() - began >= 2.0
        go_on.set()
        working.result()
    assert naming(dispatch.partner.received) == 0
    assert [one.error for one in dispatch.attempts() if one.kind == "crm"] == ["too_late"]


def test_the_same_key_waits_too(team: Connection, dispatch: Dispatcher) -> None:
    """Whoever repeats a request that was cut off is not told sooner."""
    key = {"X-Idempotency-Key": "k"}
    path, query = f"/api/contacts/{EMAIL}", {"appointments": "cancel"}
    booked()
    assert ask("DELETE", path, query=query, headers=key).status == 200
    team.execute("UPDATE webhook_deliveries SET contact_until = clock_timestamp() + interval '1 second'")
    began = perf_counter()
    assert ask("DELETE", path, query=query, headers=key).status == 200
    assert perf_counter() - began >= 0.9


def test_who_cannot_ask_sends_nothing(dispatch: Dispatcher, permitting: Permits) -> None:
    """It is tried again, and sent once the answer is there; what names nobody goes unasked."""
    permitting.broken = True
    booked()
    dispatch.work(dispatch.receive(at_least=2))
    assert {one.kind: one.error for one in dispatch.attempts()} == {
        "crm": "contact_unchecked",
        "standard": None,
    }
    assert (len(dispatch.partner.received), permitting.asked) == (1, 1)
    permitting.broken = False
    dispatch.work()
    assert naming(dispatch.partner.received) == 1


def test_the_function_permits_until_the_customer_is_forgotten(team: Connection, dispatch: Dispatcher) -> None:
    """For some seconds; then, and for what it does not know, not at all."""
    booked()
    row = team.execute("SELECT delivery_id FROM webhook_deliveries LIMIT 1").fetchone()
    assert row is not None
    event = {"delivery_id": str(row["delivery_id"])}
    assert lambda_handler(event, context()) == {"seconds": contact_permits.PERMITTED_SECONDS}
    team.execute("UPDATE webhook_deliveries SET contact_until = NULL")
    forget()
    assert lambda_handler(event, context()) == {"seconds": 0.0}
    assert lambda_handler({"delivery_id": "01a20a39-0000-7000-8000-000000000000"}, context()) == {
        "seconds": 0
    }
