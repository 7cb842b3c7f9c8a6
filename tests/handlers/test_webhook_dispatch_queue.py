"""The dispatcher and its queue over several attempts: waits, repetitions, and the way to the dead letters."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from time import monotonic

import pytest

from fairslot.messages.deliveries import Delivery
from local.sqs import SqsStandIn
from tests.support import scripted_partner as partners
from tests.support.deliveries import delivery, idempotency_keys, ids
from tests.support.dispatch import Dispatcher, dispatcher
from tests.support.environment import set_environment
from tests.support.lambda_context import context
from tests.support.scripted_partner import answer


@pytest.fixture
def dispatch(sqs: SqsStandIn) -> Iterator[Dispatcher]:
    """Set up the dispatcher; a failed attempt waits a second, the shortest that SQS can."""
    with dispatcher(sqs, max_attempts=3) as made:
        yield made


def test_a_failed_delivery_comes_back_after_its_wait_and_arrives(dispatch: Dispatcher) -> None:
    """Two failures, then success: three attempts under one key, each after the wait that was reported."""
    dispatch.partner.script = [answer(503, {}), partners.reset]
    sent = delivery()
    dispatch.send(sent)

    for _ in range(3):
        dispatch.work()

    attempts = sorted(dispatch.attempts(), key=lambda attempt: attempt.attempt)
    assert [(attempt.attempt, attempt.outcome) for attempt in attempts] == [
        (1, "retrying"),
        (2, "retrying"),
        (3, "delivered"),
    ]
    for earlier, later in pairwise(attempts):
        assert earlier.next_attempt_at is not None
        # Told and applied are two moments, and SQS counts in whole seconds.
        assert later.at > earlier.next_attempt_at - timedelta(seconds=0.5)
    assert dispatch.partner.keys() == idempotency_keys(sent) * 3
    assert dispatch.left() == 0


@pytest.mark.parametrize(
    "refusal", [answer(429, {}, Retry_After="2"), answer(503, {"error": "busy", "retry_after": 2})]
)
def test_what_the_partner_asks_for_is_waited(dispatch: Dispatcher, refusal: partners.Behaviour) -> None:
    """A partner that says when to come back, by header or in the body, is asked no sooner."""
    dispatch.partner.script = [refusal]
    dispatch.send(delivery())
    dispatch.work()
    begun = monotonic()

    dispatch.work()

    assert monotonic() - begun >= 1.8
    assert [attempt.outcome for attempt in dispatch.attempts()] == ["retrying", "delivered"]


def test_the_last_attempt_is_reported_and_set_aside(dispatch: Dispatcher) -> None:
    """When the attempts are used up the result says so and the message goes to the dead letters at once."""
    dispatch.partner.always = answer(503, {})
    sent = delivery()
    dispatch.send(sent)

    assert [len(dispatch.work()["batchItemFailures"]) for _ in range(3)] == [1, 1, 0]

    attempts = sorted(dispatch.attempts(), key=lambda attempt: attempt.attempt)
    assert [attempt.outcome for attempt in attempts] == ["retrying", "retrying", "failed"]
    assert attempts[-1].next_attempt_at is None
    assert len(dispatch.partner.received) == 3
    (dead,) = dispatch.dead_letters()
    assert Delivery.from_json(dead) == sent
    assert dispatch.left() == 0


def test_a_last_attempt_that_cannot_be_set_aside_is_by_sqs(
    dispatch: Dispatcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The message stays, and the next receive moves it."""
    set_environment(monkeypatch, {"DELIVERIES_DEAD_LETTER_QUEUE_URL": f"{dispatch.dead}-gone"})
    dispatch.partner.always = answer(503, {})
    sent = delivery()
    dispatch.send(sent)

    for _ in range(3):
        (message,) = dispatch.receive()
        assert len(dispatch.work([message])["batchItemFailures"]) == 1
    assert "messages not requeued" in caplog.text
    dispatch.show(message)
    assert dispatch.receive(seconds=2) == []

    assert [Delivery.from_json(one) for one in dispatch.dead_letters()] == [sent]
    assert len(dispatch.partner.received) == 3


def test_a_message_that_cannot_be_read_ends_among_the_dead_letters(dispatch: Dispatcher) -> None:
    """It is tried as often as any, for a version that can read it may be on its way, and then kept."""
    dispatch.send("{}")

    for _ in range(3):
        dispatch.work()
    assert dispatch.receive(seconds=3) == []

    assert dispatch.dead_letters() == ["{}"]
    assert dispatch.attempts() == []


def test_a_message_that_comes_twice_is_told_twice_under_one_key(dispatch: Dispatcher) -> None:
    """SQS may deliver more than once: the partner can tell by the key, and both are reported."""
    sent = delivery()
    dispatch.send(sent, sent)

    response = dispatch.work(dispatch.receive(at_least=2))

    assert response == {"batchItemFailures": []}
    assert dispatch.partner.keys() == idempotency_keys(sent) * 2
    attempts = dispatch.attempts()
    assert len(attempts) == 2
    assert ids(attempts) == {sent.delivery_id}
    assert dispatch.left() == 0


def test_without_its_results_the_whole_batch_comes_back(
    sqs: SqsStandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody would learn of the deliveries: every message fails and is sent again, under the same key."""
    with dispatcher(sqs, visibility_seconds=2) as dispatch:
        good, refused = delivery(), delivery("calendar_api", action="block")
        dispatch.send(good, refused)
        dispatch.partner.always = answer(409, {})
        messages = dispatch.receive(at_least=2)
        set_environment(monkeypatch, {"RESULTS_QUEUE_URL": f"{dispatch.results}-gone"})

        response = dispatch.work(messages)

        assert {failure["itemIdentifier"] for failure in response["batchItemFailures"]} == {
            message["MessageId"] for message in messages
        }
        assert "results not sent" in caplog.text
        assert dispatch.attempts() == []

        set_environment(monkeypatch, {"RESULTS_QUEUE_URL": dispatch.results})
        dispatch.partner.always = answer(200, {"success": True})
        assert dispatch.work(dispatch.receive(at_least=2)) == {"batchItemFailures": []}
        assert ids(dispatch.attempts()) == {good.delivery_id, refused.delivery_id}
        assert sorted(dispatch.partner.keys()) == sorted(idempotency_keys(good, refused) * 2)


def test_a_wait_that_cannot_be_set_harms_nothing(
    sqs: SqsStandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The results are out already; the message comes back after the queue's own timeout instead."""
    with dispatcher(sqs, visibility_seconds=2) as dispatch:
        dispatch.partner.script = [answer(503, {})]
        good, bad = delivery(), delivery()
        dispatch.send(good, bad)
        messages = dispatch.receive(at_least=2)
        set_environment(monkeypatch, {"DELIVERIES_QUEUE_URL": f"{dispatch.deliveries}-gone"})

        response = dispatch.work(messages)

        assert len(response["batchItemFailures"]) == 1
        assert "retries not delayed" in caplog.text
        assert len(dispatch.attempts()) == 2
        assert dispatch.work() == {"batchItemFailures": []}
        assert dispatch.attempt().attempt == 2


def test_a_receipt_that_is_no_longer_good_harms_nothing(
    dispatch: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    """A message that was deleted meanwhile cannot be put off: that is told, and its neighbour is."""
    dispatch.partner.always = answer(503, {})
    dispatch.send(delivery(), delivery())
    messages = dispatch.receive(at_least=2)
    dispatch.sqs.delete_message(QueueUrl=dispatch.deliveries, ReceiptHandle=messages[0]["ReceiptHandle"])

    with caplog.at_level(logging.INFO):
        response = dispatch.work(messages)

    assert len(response["batchItemFailures"]) == 2
    assert "retries not delayed" in caplog.text
    assert dispatch.receive(seconds=10)[0]["MessageId"] == messages[1]["MessageId"]


def test_with_no_time_left_the_waits_are_not_set(dispatch: Dispatcher) -> None:
    """Results go before waits: without the latter the message comes back after the queue's own timeout."""
    dispatch.send(delivery())

    response = dispatch.work(within=context(0))

    assert len(response["batchItemFailures"]) == 1
    assert dispatch.attempt().error == "timeout"
    assert dispatch.receive(seconds=2) == []
    assert dispatch.left() == 1
