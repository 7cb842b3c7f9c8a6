"""Deliver webhooks: one attempt per message of DeliveriesQueue, its result to ResultsQueue.

It reaches the internet and no database.
"""

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fairslot.platform.start import importing

with importing():
    from aws_lambda_powertools.metrics import MetricUnit
    from aws_lambda_powertools.utilities.batch import (
        AsyncBatchProcessor,
        EventType,
        async_process_partial_response,
    )

    from fairslot.dispatch import endpoint_limits, requeue
    from fairslot.dispatch.attempt_policy import Health, Verdict, health, verdict, verdict_on_held, wait
    from fairslot.dispatch.requeue import Requeued
    from fairslot.dispatch.result import Result
    from fairslot.dispatch.subscribers import deliver
    from fairslot.domain.errors import QueueError
    from fairslot.messages.attempts import Attempt
    from fairslot.messages.contract import MessageError
    from fairslot.messages.deliveries import Delivery
    from fairslot.platform import queue
    from fairslot.platform.observability import logger, metrics
    from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# SQS makes a malformed message a dead letter when it is received once more after its last attempt: soon.
LAST_SECONDS = 1
# The longest call that ends an invocation, and a second for everything else.
RESERVED_SECONDS = queue.LONGEST_CALL_SECONDS + 1.0


class AttemptFailedError(Exception):
    """The attempt failed and will be retried: the message stays on the queue."""


@dataclass(slots=True)
class Batch:
    """The results of one invocation, all sent at its end.

    `attempts` go to ResultsQueue, `delays` are the seconds until a retry by receipt handle, `requeued` and
    `dead_letters` are messages that replace received ones.
    """

    seconds: float
    attempts: list[Attempt] = field(default_factory=list)
    delays: dict[str, int] = field(default_factory=dict)
    requeued: list[Requeued] = field(default_factory=list)
    dead_letters: list[Requeued] = field(default_factory=list)

    async def work(self, record: "SQSRecord") -> None:
        """Make the attempt that a message asks for. An exception keeps the message on the queue."""
        received = int(record.attributes.approximate_receive_count)
        try:
            delivery = Delivery.from_json(record.body)
        except MessageError:
            logger.error("malformed message", extra={"message_id": record.message_id, "attempt": received})
            is_last = received >= settings().webhook_max_attempts
            self.delays[record.receipt_handle] = LAST_SECONDS if is_last else wait(received, 0.0)
            raise
        number = delivery.attempts + received
        if number > settings().webhook_max_attempts:
            # Its last attempt was made, and the dispatcher died then or could not send it as a dead letter.
            self.dead_letters.append(Requeued.of(record))
            return
        at = datetime.now(UTC)
        try:
            result = await _result(delivery, self.seconds)
        except endpoint_limits.HeldBackError as held_back:
            self._hold(record, delivery, number - 1, held_back)
            return
        decision = verdict(delivery, result, attempt=number, now=datetime.now(UTC))
        attempt = _attempt(delivery, number, at, result, decision)
        self._report(delivery, replace(attempt, receipt_handle=record.receipt_handle))
        if decision.outcome == "retrying":
            self.delays[record.receipt_handle] = decision.delay
            raise AttemptFailedError
        if decision.is_dead_letter:
            self.dead_letters.append(Requeued.of(record))

    def _hold(
        self, record: "SQSRecord", delivery: Delivery, attempts: int, held_back: endpoint_limits.HeldBackError
    ) -> None:
        """Requeue a delivery that was not attempted, or end it if it has waited too long."""
        since = delivery.since or _first_received(record)
        result, at = Result(error=held_back.reason), datetime.now(UTC)
        decision = verdict_on_held(since, held_back.seconds, now=at)
        self._report(delivery, _attempt(delivery, attempts, at, result, decision))
        if decision.is_dead_letter:
            self.dead_letters.append(Requeued.of(record))
        else:
            self.requeued.append(
                Requeued.of(record, decision.delay, attempts=attempts, since=since.isoformat())
            )

    def _report(self, delivery: Delivery, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        _log(attempt, delivery.correlation_id)


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: "LambdaContext") -> "PartialItemFailureResponse":
    """Make all attempts of an SQS batch concurrently, report them, and return which messages stay."""
    batch = Batch(seconds=min(settings().webhook_timeout_seconds, _seconds_left(context)))
    processor = AsyncBatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    response = async_process_partial_response(event, batch.work, processor, context)
    stay = {str(failure["itemIdentifier"]) for failure in response["batchItemFailures"]}
    _count(batch.attempts)
    try:
        queue.send(settings().results_queue_url, [attempt.to_json() for attempt in batch.attempts])
    except QueueError as error:
        # The results are lost: the messages stay, and subscribers recognize the idempotency keys.
        logger.error("results not sent", extra={"untaken": len(error.untaken)})
        stay = {str(record["messageId"]) for record in event["Records"]}
        batch.dead_letters.clear()
    stay |= {one.message_id for one in (*batch.requeued, *batch.dead_letters)}
    for url, messages in (
        (settings().deliveries_queue_url, batch.requeued),
        (settings().deliveries_dead_letter_queue_url, batch.dead_letters),
    ):
        if messages and _seconds_left(context) > 0:
            stay -= requeue.send(url, messages)
    if _seconds_left(context) > 0:
        _postpone(batch.delays)
    return {"batchItemFailures": [{"itemIdentifier": one} for one in sorted(stay)]}


async def _result(delivery: Delivery, seconds: float) -> Result:
    """Make the attempt. Raises HeldBackError where the endpoint's limits do not allow it now.

    A coach's calendar has its own, and those of its provider: one that is down has many calendars.
    """
    own = endpoint_limits.limiter(delivery.destination)
    shared = endpoint_limits.limiter(delivery.provider) if delivery.provider else None
    try:
        async with AsyncExitStack() as slots:
            await slots.enter_async_context(
                own.slot(concurrency=delivery.concurrency, rate=delivery.rate_per_second, seconds=seconds)
            )
            if shared is not None:
                await slots.enter_async_context(shared.slot(concurrency=None, rate=None, seconds=seconds))
            result = await deliver(delivery, seconds=seconds)
            found = health(delivery, result)
            _update(own, found)
            if shared is not None:
                # What it asks to wait is for one calendar.
                _update(shared, replace(found, pause=0.0))
            return result
    except endpoint_limits.HeldBackError:
        raise
    except MessageError:
        return Result(error="invalid_message")
    except Exception as error:  # noqa: BLE001  # it must not fail the other deliveries
        # Only the type: an exception's text can quote customer data.
        logger.error("delivery failed unexpectedly", extra={"exception": type(error).__qualname__})
        return Result(error="internal")


def _update(limiter: endpoint_limits.EndpointLimiter, found: Health) -> None:
    """Note in a limiter what an attempt says."""
    if found.state == "healthy":
        limiter.answered(found.pause)
    elif found.state != "unknown":
        limiter.failed(silent=found.state == "silent")


def _attempt(delivery: Delivery, number: int, at: datetime, result: Result, decision: Verdict) -> Attempt:
    is_waiting = decision.outcome in {"retrying", "held"}
    next_attempt_at = datetime.now(UTC) + timedelta(seconds=decision.delay) if is_waiting else None
    return Attempt(
        delivery_id=delivery.delivery_id,
        event_id=delivery.event_id,
        kind=delivery.kind,
        type=delivery.type,
        attempt=number,
        at=at,
        outcome=decision.outcome,
        status_code=result.status_code,
        latency_ms=round(result.seconds * 1000),
        error=result.error,
        response_excerpt=result.response_excerpt,
        answer=result.answer,
        next_attempt_at=next_attempt_at,
        round=delivery.round,
        revision=delivery.revision,
    )


def _first_received(record: "SQSRecord") -> datetime:
    return datetime.fromtimestamp(int(record.attributes.approximate_first_receive_timestamp) / 1000, UTC)


def _seconds_left(context: "LambdaContext") -> float:
    """Return the seconds that are left before the time for one more call to a queue."""
    return context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS


def _postpone(delays: dict[str, int]) -> None:
    try:
        queue.postpone(settings().deliveries_queue_url, list(delays.items()))
    except QueueError as error:
        # They are visible again after the queue's visibility timeout instead.
        logger.warning("retries not delayed", extra={"untaken": len(error.untaken)})


def _count(attempts: list[Attempt]) -> None:
    made = [attempt for attempt in attempts if attempt.error not in endpoint_limits.REASONS]
    metrics.add_metric(name="DeliveryAttempts", unit=MetricUnit.Count, value=len(made))
    outcomes = Counter(attempt.outcome for attempt in attempts)
    metrics.add_metric(name="DeliveriesDelivered", unit=MetricUnit.Count, value=outcomes["delivered"])
    metrics.add_metric(name="DeliveriesRetried", unit=MetricUnit.Count, value=outcomes["retrying"])
    metrics.add_metric(name="DeliveriesFailed", unit=MetricUnit.Count, value=outcomes["failed"])
    metrics.add_metric(name="DeliveriesHeld", unit=MetricUnit.Count, value=outcomes["held"])
    for attempt in made:
        metrics.add_metric(name="DeliveryLatency", unit=MetricUnit.Milliseconds, value=attempt.latency_ms)


def _log(attempt: Attempt, correlation_id: str | None) -> None:
    (logger.info if attempt.error is None else logger.warning)(
        "attempt",
        extra={
            "correlation_id": correlation_id,
            "delivery_id": str(attempt.delivery_id),
            "event_id": str(attempt.event_id),
            "kind": attempt.kind,
            "event_type": attempt.type,
            "attempt": attempt.attempt,
            "outcome": attempt.outcome,
            "status_code": attempt.status_code,
            "latency_ms": attempt.latency_ms,
            "error": attempt.error,
        },
    )
