"""Delivers our events to their subscribers: one attempt for each message of DeliveriesQueue.

It reaches the internet and no database; what came of an attempt goes to ResultsQueue.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    AsyncBatchProcessor,
    EventType,
    async_process_partial_response,
)

from fairslot.dispatch import endpoint_limits
from fairslot.dispatch import requeue as again
from fairslot.dispatch.attempt_policy import Verdict, health, verdict, verdict_on_held, wait
from fairslot.dispatch.requeue import Return
from fairslot.dispatch.subscribers import Result, deliver
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

# A message that nobody can read goes to the dead letters by the receive after its last: let that be soon.
LAST_SECONDS = 1
# What the calls that end an invocation may take, with a second for everything else.
RESERVED_SECONDS = queue.LONGEST_CALL_SECONDS + 1.0


class AttemptFailedError(Exception):
    """The message stays in the queue."""


@dataclass(slots=True)
class Batch:
    """What an invocation has to tell in the end.

    `attempts` are to be reported, `delays` are the seconds to wait by receipt handle, `returns` are put back
    as other messages and `aside` goes to the dead letters; what is sent so is done with here.
    """

    seconds: float
    attempts: list[Attempt] = field(default_factory=list)
    delays: dict[str, int] = field(default_factory=dict)
    returns: list[Return] = field(default_factory=list)
    aside: list[Return] = field(default_factory=list)

    async def work(self, record: "SQSRecord") -> None:
        """Make the attempt that a message asks for. Raises what keeps the message in the queue."""
        received = int(record.attributes.approximate_receive_count)
        try:
            delivery = Delivery.from_json(record.body)
        except MessageError:
            logger.error("malformed message", extra={"message_id": record.message_id, "attempt": received})
            is_last = received >= settings().webhook_max_attempts
            self.delays[record.receipt_handle] = LAST_SECONDS if is_last else wait(received, 0.0)
            raise
        number = delivery.attempts + received
        if number > settings().webhook_max_attempts:  # it was to be set aside, or its last attempt died
            self.aside.append(Return.of(record))
            return
        at = datetime.now(UTC)
        try:
            result = await _result(delivery, self.seconds)
        except endpoint_limits.HeldBackError as closed:
            self._hold(record, delivery, number - 1, closed)
            return
        ruling = verdict(delivery, result, attempt=number, now=datetime.now(UTC))
        made = _attempt(delivery, number, at, result, ruling)
        self._report(replace(made, receipt_handle=record.receipt_handle))
        if ruling.outcome == "retrying":
            self.delays[record.receipt_handle] = ruling.delay
            raise AttemptFailedError
        if ruling.is_dead_letter:
            self.aside.append(Return.of(record))

    def _hold(
        self, record: "SQSRecord", delivery: Delivery, made: int, closed: endpoint_limits.HeldBackError
    ) -> None:
        """Put a delivery that was not tried back on the queue, or end it if it has waited for too long."""
        since = delivery.since or _first_received(record)
        result, at = Result(error=closed.reason), datetime.now(UTC)
        ruling = verdict_on_held(since, closed.seconds, now=at)
        self._report(_attempt(delivery, made, at, result, ruling))
        if ruling.is_dead_letter:
            self.aside.append(Return.of(record))
        else:
            self.returns.append(Return.of(record, ruling.delay, attempts=made, since=since.isoformat()))

    def _report(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        _log(attempt)


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: "LambdaContext") -> "PartialItemFailureResponse":
    """Make every attempt of an SQS batch at once, report them all, and answer which messages stay."""
    batch = Batch(seconds=min(settings().webhook_timeout_seconds, _seconds_left(context)))
    processor = AsyncBatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    response = async_process_partial_response(event, batch.work, processor, context)
    stay = {str(failure["itemIdentifier"]) for failure in response["batchItemFailures"]}
    _count(batch.attempts)
    try:
        queue.send(settings().results_queue_url, [attempt.to_json() for attempt in batch.attempts])
    except QueueError as error:
        # Nobody would learn of these attempts. The messages come back, and the subscribers know the keys.
        logger.error("results not sent", extra={"untaken": len(error.untaken)})
        stay = {str(record["messageId"]) for record in event["Records"]}
        batch.aside.clear()
    stay |= {one.message_id for one in (*batch.returns, *batch.aside)}
    for url, others in (
        (settings().deliveries_queue_url, batch.returns),
        (settings().deliveries_dead_letter_queue_url, batch.aside),
    ):
        if others and _seconds_left(context) > 0:
            stay -= again.send(url, others)
    if _seconds_left(context) > 0:
        _postpone(batch.delays)
    return {"batchItemFailures": [{"itemIdentifier": one} for one in sorted(stay)]}


async def _result(delivery: Delivery, seconds: float) -> Result:
    """Make the attempt. Raises gates.ClosedError where the endpoint is to be left alone just now."""
    gate = endpoint_limits.limiter(str(delivery.endpoint_id or delivery.kind))
    try:
        async with gate.slot(
            concurrency=delivery.concurrency, rate=delivery.rate_per_second, seconds=seconds
        ):
            result = await deliver(delivery, seconds=seconds)
            _tell(gate, delivery, result)
            return result
    except endpoint_limits.HeldBackError:
        raise
    except MessageError:
        return Result(error="invalid_message")
    except Exception as error:  # noqa: BLE001  # one delivery's surprise is not the others'
        # The type alone: an exception's text can quote what was being sent.
        logger.error("delivery failed unexpectedly", extra={"exception": type(error).__qualname__})
        return Result(error="internal")


def _tell(limiter: endpoint_limits.EndpointLimiter, delivery: Delivery, result: Result) -> None:
    """Let an endpoint's limiter know what became of an attempt."""
    seen = health(delivery, result)
    if seen.state == "healthy":
        limiter.answered(seen.pause)
    elif seen.state != "unknown":
        limiter.failed(silent=seen.state == "silent")


def _attempt(delivery: Delivery, number: int, at: datetime, result: Result, ruling: Verdict) -> Attempt:
    waits = ruling.outcome in {"retrying", "held"}
    next_attempt_at = datetime.now(UTC) + timedelta(seconds=ruling.delay) if waits else None
    return Attempt(
        delivery_id=delivery.delivery_id,
        event_id=delivery.event_id,
        kind=delivery.kind,
        type=delivery.type,
        attempt=number,
        at=at,
        outcome=ruling.outcome,
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
    """Return the seconds until there is only time left for one more call to a queue."""
    return context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS


def _postpone(delays: dict[str, int]) -> None:
    try:
        queue.postpone(settings().deliveries_queue_url, list(delays.items()))
    except QueueError as error:
        # They come back after the queue's own visibility timeout instead.
        logger.warning("messages not put off", extra={"untaken": len(error.untaken)})


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
