"""Reads external calendars: one message of FetchesQueue a coach, one message of FetchedQueue a reading.

It reaches the internet and no database.
"""

from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    AsyncBatchProcessor,
    EventType,
    async_process_partial_response,
)

from fairslot.calendars.reading import read
from fairslot.domain.errors import QueueError
from fairslot.messages.calendars import MessageError, Reading, Request
from fairslot.platform import queue
from fairslot.platform.observability import logger, metrics
from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# What the call that ends an invocation may take, with a second for everything else.
RESERVED_SECONDS = queue.LONGEST_CALL_SECONDS + 1.0


@dataclass(slots=True)
class Batch:
    """What an invocation has to tell in the end: what came of each calendar."""

    seconds: float
    readings: list[Reading] = field(default_factory=list)

    async def work(self, record: "SQSRecord") -> None:
        """Read the calendar that a message asks for. Raises what keeps the message in the queue."""
        try:
            request = Request.from_json(record.body)
        except MessageError:
            logger.error("malformed message", extra={"message_id": record.message_id})
            raise
        begun = perf_counter()
        try:
            reading = await read(request, seconds=self.seconds)
        except Exception as error:
            # The type alone: an exception's text can quote what was being read.
            kind = type(error).__qualname__
            logger.error(
                "reading failed unexpectedly", extra={"coach_id": request.coach_id, "exception": kind}
            )
            raise
        self.readings.append(reading)
        _report(reading, round((perf_counter() - begun) * 1000))


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: "LambdaContext") -> "PartialItemFailureResponse":
    """Read the calendars of an SQS batch at once, send what came of each, and answer which messages stay.

    A calendar that cannot be read is an outcome too: its message is done, and the next sync asks again.
    """
    batch = Batch(seconds=context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS)
    processor = AsyncBatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    response = async_process_partial_response(event, batch.work, processor, context)
    try:
        queue.send(settings().fetched_queue_url, [reading.to_json() for reading in batch.readings])
    except QueueError as error:
        # Nobody would learn of these readings: the messages come back, and the calendars are read again.
        logger.error("readings not sent", extra={"untaken": len(error.untaken)})
        response = {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in event["Records"]]}
    return response


def _report(reading: Reading, milliseconds: int) -> None:
    request = reading.request
    facts = {"coach_id": request.coach_id, "kind": request.kind, "latency_ms": milliseconds}
    if reading.unreadable:
        logger.warning("calendar read in part", extra={**facts, "unreadable_events": reading.unreadable})
    elif reading.ok:
        logger.info("calendar read", extra=facts)
    else:
        logger.warning("calendar not read", extra={**facts, "error": reading.error})
    metrics.add_metric(name="CalendarsRead", unit=MetricUnit.Count, value=int(reading.ok))
    metrics.add_metric(name="CalendarsNotRead", unit=MetricUnit.Count, value=int(not reading.ok))
    metrics.add_metric(name="CalendarEventsUnreadable", unit=MetricUnit.Count, value=reading.unreadable)
    metrics.add_metric(name="CalendarLatency", unit=MetricUnit.Milliseconds, value=milliseconds)
