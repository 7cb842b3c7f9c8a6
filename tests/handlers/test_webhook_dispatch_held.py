"""Deliveries that are held back: they wait as other messages, and what was not tried is no attempt."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from fairslot.dispatch import endpoint_limits
from fairslot.messages.deliveries import Delivery
from local.function_env import LOCAL_SETTINGS
from local.sqs import SqsStandIn
from tests.support import scripted_partner as partners
from tests.support.clock import QUARTER
from tests.support.deliveries import ids, subscription
from tests.support.dispatch import Dispatcher, dispatcher
from tests.support.environment import set_environment
from tests.support.lambda_context import context
from tests.support.scripted_partner import answer

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

MOST = 3


@pytest.fixture
def dispatch(sqs: SqsStandIn) -> Iterator[Dispatcher]:
    """Set up the dispatcher with short waits; a delivery is tried three times."""
    with dispatcher(sqs, max_attempts=MOST, WEBHOOK_TIMEOUT_SECONDS="1") as made:
        yield made


def circuit_open(sent: Delivery, seconds: float = 0.5) -> endpoint_limits.EndpointLimiter:
    """Leave a delivery's endpoint alone for so long."""
    limiter = endpoint_limits.limiter(str(sent.endpoint_id))
    limiter.broken = True
    limiter.open_until = monotonic() + seconds
    return limiter


def opened(sent: Delivery) -> None:
    """Leave a delivery's endpoint alone no longer."""
    endpoint_limits.limiter(str(sent.endpoint_id)).answered()


def hold(dispatch: Dispatcher, sent: Delivery) -> None:
    """Receive a delivery while its endpoint is left alone."""
    messages = dispatch.receive()
    circuit_open(sent)
    assert dispatch.work(messages) == {"batchItemFailures": []}
    opened(sent)


def body(message: "MessageTypeDef") -> Delivery:
    """Return what a message says."""
    return Delivery.from_json(message["Body"])


def test_being_held_back_is_no_attempt(dispatch: Dispatcher) -> None:
    """More often than there are attempts; then it is the first that delivers, and all are told of."""
    sent = subscription(dispatch.partner.url)
    dispatch.send(sent)
    for _ in range(MOST + 2):
        hold(dispatch, sent)
    assert dispatch.partner.received == []

    dispatch.work()

    *held, made = dispatch.attempts()
    assert {(one.outcome, one.error, one.attempt) for one in held} == {("held", "circuit_open", 0)}
    assert len(held) == MOST + 2
    assert all(one.next_attempt_at is not None and one.next_attempt_at > one.at for one in held)
    assert (made.outcome, made.attempt) == ("delivered", 1)
    assert len(dispatch.partner.received) == 1
    assert (dispatch.left(), dispatch.dead_letters()) == (0, [])


def test_attempts_are_counted_on_from_those_before(dispatch: Dispatcher) -> None:
    """Attempts before and after being held back make one series, with one end among the dead letters."""
    dispatch.partner.always = answer(500, {})
    sent = subscription(dispatch.partner.url)
    dispatch.send(sent)
    for _ in range(MOST - 1):
        dispatch.work()
        hold(dispatch, sent)
    assert dispatch.work() == {"batchItemFailures": []}

    attempts = [(one.attempt, one.outcome) for one in dispatch.attempts()]
    assert attempts == [(1, "retrying"), (1, "held"), (2, "retrying"), (2, "held"), (3, "failed")]
    assert len(dispatch.partner.received) == MOST
    (dead,) = map(Delivery.from_json, dispatch.dead_letters())
    assert (dead.delivery_id, dead.attempts) == (sent.delivery_id, 2)
    assert dispatch.left() == 0


def test_what_is_held_back_is_delayed_and_not_in_flight(dispatch: Dispatcher) -> None:
    """SQS bounds what is in flight; the message is otherwise the same, and of the same group."""
    sent = subscription(dispatch.partner.url, headers={"X-Tenant": "t"}, rate_per_second=0.5)
    text = sent.to_json().replace('"round":1', '"round":1,"of_a_later_version":true')
    dispatch.sqs.send_message(
        QueueUrl=dispatch.deliveries, MessageBody=text, MessageGroupId=str(sent.endpoint_id)
    )
    circuit_open(sent, 2)
    (message,) = dispatch.receive()
    received = datetime.now(UTC)

    dispatch.work([message])

    assert dispatch.counts() == (0, 0, 1)
    (other,) = dispatch.receive()
    assert datetime.now(UTC) - received >= timedelta(seconds=1.5)
    assert other["Attributes"]["MessageGroupId"] == str(sent.endpoint_id)
    assert "of_a_later_version" in other["Body"]
    since = body(other).since
    assert since is not None
    assert abs(since - received) < timedelta(seconds=5)
    assert body(other) == replace(sent, since=since)


def test_the_queues_longest_delay_is_not_exceeded(dispatch: Dispatcher) -> None:
    """A pause that is longer is looked at in between."""
    sent = subscription(dispatch.partner.url)
    dispatch.send(sent)
    circuit_open(sent, 5_000)

    dispatch.work()

    attempt = dispatch.attempt()
    assert attempt.next_attempt_at is not None
    assert timedelta(0) < attempt.next_attempt_at - attempt.at < timedelta(seconds=901)
    assert dispatch.counts() == (0, 0, 1)


@pytest.mark.parametrize("cap", [{"concurrency": 1}, {"rate_per_second": 0.1}])
def test_a_cap_and_a_rate_hold_back_too(dispatch: Dispatcher, cap: dict[str, float]) -> None:
    """What is over the limit comes again as its first attempt."""
    set_limit = replace(subscription(dispatch.partner.url), **cap)  # type: ignore[arg-type]  # one or the other
    dispatch.partner.always = partners.silence
    endpoint_limits.limiter(str(set_limit.endpoint_id)).next_at = monotonic() + 3
    if "concurrency" in cap:
        endpoint_limits.limiter(str(set_limit.endpoint_id)).busy = 1
    dispatch.send(set_limit)

    assert dispatch.work() == {"batchItemFailures": []}

    attempt = dispatch.attempt()
    assert (attempt.outcome, attempt.error, attempt.attempt) == ("held", "over_limit", 0)
    assert dispatch.counts() == (0, 0, 1)
    assert dispatch.partner.received == []


def test_what_cannot_be_put_back_stays(
    dispatch: Dispatcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The old message is not given up before the other is there."""
    sent = subscription(dispatch.partner.url)
    dispatch.send(sent)
    circuit_open(sent)
    (message,) = dispatch.receive()
    set_environment(monkeypatch, {"DELIVERIES_QUEUE_URL": f"{dispatch.deliveries}-gone"})

    response = dispatch.work([message])

    assert response == {"batchItemFailures": [{"itemIdentifier": message["MessageId"]}]}
    assert "messages not requeued" in caplog.text
    assert dispatch.counts() == (0, 1, 0)


def test_what_is_held_back_is_put_back_though_nobody_learns_of_it(
    dispatch: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A results queue that is down costs no attempt of what nothing was sent of; all else stays."""
    sent, other = subscription(dispatch.partner.url), subscription(dispatch.partner.url)
    dispatch.send(sent, other)
    circuit_open(sent)
    messages = dispatch.receive(at_least=2)
    set_environment(monkeypatch, {"RESULTS_QUEUE_URL": f"{dispatch.results}-gone"})

    response = dispatch.work(messages)

    kept = {one["MessageId"] for one in messages if body(one).delivery_id == other.delivery_id}
    assert {one["itemIdentifier"] for one in response["batchItemFailures"]} == kept
    assert dispatch.counts() == (0, 1, 1)


def test_with_no_time_left_nothing_is_put_back(dispatch: Dispatcher) -> None:
    """The message stays rather than be deleted without another in its place."""
    sent = subscription(dispatch.partner.url)
    dispatch.send(sent)
    circuit_open(sent)

    assert len(dispatch.work(within=context(5))["batchItemFailures"]) == 1

    assert dispatch.counts() == (0, 1, 0)


@pytest.mark.parametrize("hours", [-1, 1])
def test_who_is_held_back_for_too_long_ends_among_the_dead_letters(dispatch: Dispatcher, hours: int) -> None:
    """Three days and a half after its first receipt, with the reason; a little sooner it still waits."""
    limit = timedelta(hours=84 + hours)
    sent = replace(subscription(dispatch.partner.url), attempts=2, since=datetime.now(UTC) - limit)
    dispatch.send(sent)
    circuit_open(sent)

    assert dispatch.work() == {"batchItemFailures": []}

    attempt = dispatch.attempt()
    assert (attempt.error, attempt.attempt) == ("circuit_open", 2)
    assert attempt.outcome == ("failed" if hours > 0 else "held")
    assert [Delivery.from_json(one) for one in dispatch.dead_letters()] == ([sent] if hours > 0 else [])
    assert dispatch.left() == (0 if hours > 0 else 1)


def test_an_attempt_that_fails_too_late_is_the_last(dispatch: Dispatcher) -> None:
    """However few there were: what was held back is not tried for longer than what was not."""
    dispatch.partner.always = answer(500, {})
    late, early = (
        replace(subscription(dispatch.partner.url), since=datetime.now(UTC) - timedelta(hours=hours))
        for hours in (85, 83)
    )
    dispatch.send(late, early)

    dispatch.work(dispatch.receive(at_least=2))

    assert {one.delivery_id: one.outcome for one in dispatch.attempts()} == {
        late.delivery_id: "failed",
        early.delivery_id: "retrying",
    }
    assert [Delivery.from_json(one) for one in dispatch.dead_letters()] == [late]


def test_a_backlog_ends_nothing_on_the_local_stack(sqs: SqsStandIn) -> None:
    """With its give-up a delivery that an open circuit has held back for a quarter of an hour waits on."""
    with dispatcher(sqs, WEBHOOK_GIVE_UP_SECONDS=LOCAL_SETTINGS["WEBHOOK_GIVE_UP_SECONDS"]) as dispatch:
        since = datetime.now(UTC) - QUARTER
        sent = replace(subscription(dispatch.partner.url), since=since)
        dispatch.send(sent)
        circuit_open(sent)

        dispatch.work()

        assert [(one.outcome, one.error) for one in dispatch.attempts()] == [("held", "circuit_open")]
        assert dispatch.dead_letters() == []


def test_what_was_tried_often_enough_is_not_tried_again(dispatch: Dispatcher) -> None:
    """A dispatcher that died after the last attempt leaves the message; the next one sets it aside."""
    sent = replace(subscription(dispatch.partner.url), attempts=MOST, since=datetime.now(UTC))
    dispatch.send(sent)

    assert dispatch.work() == {"batchItemFailures": []}

    assert (dispatch.attempts(), dispatch.partner.received) == ([], [])
    assert [Delivery.from_json(one) for one in dispatch.dead_letters()] == [sent]


def test_dying_between_the_two_messages_loses_nothing(dispatch: Dispatcher) -> None:
    """Then there are both: the subscriber is told twice under one id, and nothing is left."""
    sent = subscription(dispatch.partner.url)
    dispatch.send(sent)
    circuit_open(sent)
    (message,) = dispatch.receive()
    dispatch.invoke([message])  # and nobody deletes the message
    dispatch.show(message)
    opened(sent)

    dispatch.work(dispatch.receive(at_least=2))

    assert dispatch.partner.keys() == [str(sent.event_id)] * 2
    attempts = dispatch.attempts()
    assert ids(attempts) == {sent.delivery_id}
    assert [one.outcome for one in attempts] == ["held", "delivered", "delivered"]
    assert dispatch.left() == 0
