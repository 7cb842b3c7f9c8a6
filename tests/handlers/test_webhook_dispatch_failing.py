"""Endpoints that answer with errors: what is held against them, and that nobody else pays for it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fairslot.dispatch.endpoint_limits import FAILURES
from fairslot.messages.deliveries import Delivery
from local.sqs import SqsStandIn
from tests.support.deliveries import delivery, subscription
from tests.support.dispatch import Dispatcher, dispatcher
from tests.support.scripted_partner import answer, scripted_partner

BATCH = 10


@pytest.fixture
def dispatch(sqs: SqsStandIn) -> Iterator[Dispatcher]:
    """Set up the dispatcher; retries and open circuits wait longer than a test on a busy machine."""
    with dispatcher(
        sqs, max_attempts=13, WEBHOOK_SCHEDULE_SECONDS="600", WEBHOOK_PAUSE_SECONDS="300"
    ) as made:
        yield made


def rounds(dispatch: Dispatcher, deliveries: list[Delivery]) -> list[str | None]:
    """Send deliveries ten at a time and work on each batch; return how the attempts ended."""
    for first in range(0, len(deliveries), BATCH):
        part = deliveries[first : first + BATCH]
        dispatch.send(*part)
        dispatch.work(dispatch.receive(at_least=len(part)))
    return [attempt.error for attempt in dispatch.attempts()]


def many(one: Delivery, count: int) -> list[Delivery]:
    """Make so many deliveries for one endpoint."""
    return [replace(delivery(one.kind), **_place(one)) for _ in range(count)]


def test_a_neighbour_that_fails_fast_takes_nobodys_time(dispatch: Dispatcher) -> None:
    """Forty events: it sees twenty of them, the rest waits, and the good one gets all of its own."""
    dispatch.partner.always = answer(500, {})
    with scripted_partner() as good:
        failing, well = subscription(dispatch.partner.url), subscription(good.url)
        mixed = [one for pair in zip(many(failing, 40), many(well, 40), strict=True) for one in pair]
        errors = rounds(dispatch, mixed)
        assert len(good.received) == 40
    assert len(dispatch.partner.received) <= FAILURES + BATCH // 2
    assert errors.count("circuit_open") >= 40 - FAILURES - BATCH // 2


@pytest.mark.parametrize("status", [302, 401, 404, 429, 500, 503])
def test_whatever_a_subscriber_says_again_and_again_counts(dispatch: Dispatcher, status: int) -> None:
    """Without a word when to come back; no answer but a success speaks for it."""
    dispatch.partner.always = answer(status, {})
    errors = rounds(dispatch, many(subscription(dispatch.partner.url), 30))
    assert errors == [f"http_{status}"] * 20 + ["circuit_open"] * 10


@pytest.mark.parametrize(("status", "left_alone"), [(404, 0), (409, 0), (410, 0), (500, 10), (503, 10)])
def test_a_partner_that_refuses_calls_is_not_down(dispatch: Dispatcher, status: int, left_alone: int) -> None:
    """Of a partner's answers only its own errors count: there is one for everybody."""
    dispatch.partner.always = answer(status, {})
    errors = rounds(dispatch, many(delivery("crm"), 30))
    assert errors.count("circuit_open") == left_alone


def test_a_partner_that_fails_now_and_then_is_never_left_alone(dispatch: Dispatcher) -> None:
    """Three calls of ten fail in the demonstration, and nineteen in a row could."""
    dispatch.partner.script = [answer(503, {"retry_after": 5})] * 19 + [answer(200, {})]
    dispatch.partner.script += ([answer(503, {"retry_after": 5})] * 3 + [answer(200, {})] * 7) * 2
    errors = rounds(dispatch, many(delivery("crm"), 40))
    assert "circuit_open" not in errors
    assert len(dispatch.partner.received) == 40


def _place(one: Delivery) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("endpoint_id", "url", "secrets")}
