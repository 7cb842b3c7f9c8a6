"""Delivers our events to their subscribers: one attempt for each message of DeliveriesQueue.

It reaches the internet and no database; what came of an attempt goes to ResultsQueue.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    AsyncBatchProcessor,
    EventType,
    async_process_partial_response,
)

from fairslot.errors import QueueError
from fairslot.observability import logger, metrics
from fairslot.settings import settings
from fairslot.webhooks import gates, queue
from fairslot.webhooks.backoff import delay_seconds
from fairslot.webhooks.messages import Attempt, Delivery, MessageError, Outcome
from fairslot.webhooks.subscribers import Result, deliver

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# After the last attempt the next receive moves the message to the dead-letter queue: let that be soon.
LAST_SECONDS = 1
# What the calls that end an invocation may take, with a second for everything else.
RESERVED_SECONDS = queue.LONGEST_CALL_SECONDS + 1.0

# From the kernel: the state of a generator made at import would be the same in every restored snapshot.
_random = SystemRandom().random


class AttemptFailedError(Exception):
    """The message stays in the queue."""


@dataclass(slots=True)
class Batch:
    """What an invocation has to tell in the end: the attempts, and the seconds by receipt handle to wait."""

    seconds: float
    attempts: list[Attempt] = field(default_factory=list)
    delays: dict[str, int] = field(default_factory=dict)

    async def work(self, record: "SQSRecord") -> None:
        """Make the attempt that a message asks for. Raises what keeps the message in the queue."""
        number = int(record.attributes.approximate_receive_count)
        try:
            delivery = Delivery.from_json(record.body)
        except MessageError:
            logger.error("malformed message", extra={"message_id": record.message_id, "attempt": number})
            self.delays[record.receipt_handle] = _delay(number, 0.0)
            raise
        at, begun = datetime.now(UTC), perf_counter()
        result = await _result(delivery, self.seconds)
        delay = _delay(number, result.retry_after)
        attempt = _attempt(delivery, number, at, perf_counter() - begun, result, delay)
        self.attempts.append(attempt)
        _log(attempt)
        if result.error is not None and not result.final:
            self.delays[record.receipt_handle] = delay
            raise AttemptFailedError


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: "LambdaContext") -> "PartialItemFailureResponse":
    """Make every attempt of an SQS batch at once, report them all, and answer which messages stay."""
    batch = Batch(seconds=min(settings().webhook_timeout_seconds, _seconds_left(context)))
    processor = AsyncBatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    response = async_process_partial_response(event, batch.work, processor, context)
    _count(batch.attempts)
    try:
        queue.send(settings().results_queue_url, [attempt.to_json() for attempt in batch.attempts])
    except QueueError as error:
        # Nobody would learn of these attempts. The messages come back, and the subscribers know the keys.
        logger.error("results not sent", extra={"untaken": len(error.untaken)})
        response = {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in event["Records"]]}
    if _seconds_left(context) > 0:
        _postpone(batch.delays)
    return response


async def _result(delivery: Delivery, seconds: float) -> Result:
    """Make the attempt, unless its endpoint is to be left alone just now: that counts as an attempt too."""
    gate = gates.gate(str(delivery.endpoint_id or delivery.kind))
    try:
        async with gate.passing(
            concurrency=delivery.concurrency, rate=delivery.rate_per_second, seconds=seconds
        ):
            result = await deliver(delivery, seconds=seconds)
            _tell(gate, delivery, result)
            return result
    except gates.ClosedError as closed:
        return Result(error=closed.reason, retry_after=closed.seconds)
    except MessageError:
        return Result(error="invalid_message")
    except Exception as error:  # noqa: BLE001  # one delivery's surprise is not the others'
        # The type alone: an exception's text can quote what was being sent.
        logger.error("delivery failed unexpectedly", extra={"exception": type(error).__qualname__})
        return Result(error="internal")


def _tell(gate: gates.Gate, delivery: Delivery, result: Result) -> None:
    """Let an endpoint's gate know what became of an attempt."""
    if result.error in {"timeout", "connection"}:
        gate.failed()
    elif result.status_code is not None:
        # The partners ask for one call's sake, and now and then; a subscriber means all that we send.
        is_plea = delivery.kind == "standard" and result.status_code in {429, 503}
        gate.answered(result.retry_after if is_plea else 0.0)


def _attempt(  # it only puts them together
    delivery: Delivery, number: int, at: datetime, seconds: float, result: Result, delay: int
) -> Attempt:
    outcome = _outcome(result, number)
    next_attempt_at = datetime.now(UTC) + timedelta(seconds=delay) if outcome == "retrying" else None
    return Attempt(
        delivery_id=delivery.delivery_id,
        event_id=delivery.event_id,
        kind=delivery.kind,
        type=delivery.type,
        attempt=number,
        at=at,
        outcome=outcome,
        status_code=result.status_code,
        latency_ms=round(seconds * 1000),
        error=result.error,
        response_excerpt=result.response_excerpt,
        answer=result.answer,
        next_attempt_at=next_attempt_at,
        round=delivery.round,
    )


def _outcome(result: Result, number: int) -> Outcome:
    if result.error is None:
        return "delivered"
    return "failed" if result.final or _is_last(number) else "retrying"


def _is_last(number: int) -> bool:
    return number >= settings().webhook_max_attempts


def _delay(number: int, retry_after: float) -> int:
    if _is_last(number):
        return LAST_SECONDS
    return delay_seconds(
        attempt=number,
        schedule=[float(part) for part in settings().webhook_schedule_seconds.split(",")],
        jitter=settings().webhook_jitter,
        retry_after=retry_after,
        random=_random,
    )


def _seconds_left(context: "LambdaContext") -> float:
    """Return the seconds until there is only time left for one more call to a queue."""
    return context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS


def _postpone(delays: dict[str, int]) -> None:
    try:
        queue.postpone(settings().deliveries_queue_url, list(delays.items()))
    except QueueError as error:
        # They come back after the queue's own visibility timeout instead.
        logger.warning("messages not put off", extra={"untaken": len(error.untaken)})


def _count(attempts: list[Attempt]) -> None:
    metrics.add_metric(name="DeliveryAttempts", unit=MetricUnit.Count, value=len(attempts))
    outcomes = Counter(attempt.outcome for attempt in attempts)
    metrics.add_metric(name="DeliveriesDelivered", unit=MetricUnit.Count, value=outcomes["delivered"])
    metrics.add_metric(name="DeliveriesRetried", unit=MetricUnit.Count, value=outcomes["retrying"])
    metrics.add_metric(name="DeliveriesFailed", unit=MetricUnit.Count, value=outcomes["failed"])
    for attempt in attempts:
        metrics.add_metric(name="DeliveryLatency", unit=MetricUnit.Milliseconds, value=attempt.latency_ms)


def _log(attempt: Attempt) -> None:
    (logger.info if attempt.error is None else logger.warning)(
        "attempt",
        extra={
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
