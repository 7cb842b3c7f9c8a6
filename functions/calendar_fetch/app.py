"""Read external calendars: a message of FetchesQueue per coach in, a message of FetchedQueue per reading out.

Issuers' public keys, by which tokens are verified, are read in the same way, and providers asked to tell of
changes. A booking that cannot wait for a queue invokes it, and has the readings in the answer.
It reaches the internet and no database.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fairslot.platform.start import importing

with importing():
    from aws_lambda_powertools.metrics import MetricUnit
    from aws_lambda_powertools.utilities.batch import (
        AsyncBatchProcessor,
        EventType,
        async_process_partial_response,
    )

    from fairslot.calendars.reading import read
    from fairslot.domain.errors import QueueError
    from fairslot.messages import fetches
    from fairslot.messages.contract import MessageError
    from fairslot.messages.fetches import FetchRequest
    from fairslot.messages.issuer_keys import KeysReading, KeysRequest
    from fairslot.messages.readings import Reading
    from fairslot.messages.revocations import RevokeRequest
    from fairslot.messages.watches import WatchAnswer, WatchRequest
    from fairslot.platform import queue
    from fairslot.platform.observability import logger, metrics
    from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# The longest call that ends an invocation, and a second for everything else.
RESERVED_SECONDS = queue.LONGEST_CALL_SECONDS + 1.0
# How long a reading waits for others of its batch, with which it is sent.
TOGETHER_SECONDS = 0.2


@dataclass(slots=True)
class Batch:
    """The messages of one invocation, `under_way` those that are not answered yet.

    Readings that end at about the same time are sent together. None waits for the end of the batch: one
    server that is slow would keep the readings of all the others.
    """

    seconds: float
    under_way: int
    readings: list[Reading | KeysReading | WatchAnswer] = field(default_factory=list)
    _sending: asyncio.Task[None] | None = None
    _all_done: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self, record: "SQSRecord") -> None:
        """Do what a message asks for, and send the reading. An exception keeps the message on the queue."""
        try:
            await self._read(record)
        finally:
            self.under_way -= 1
            if self.under_way == 0:
                self._all_done.set()
        if self.readings:
            await self._sent()

    async def _sent(self) -> None:
        """Return once the readings that there are were sent. Raises QueueError."""
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        await self._sending

    async def _send(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_done.wait(), TOGETHER_SECONDS)
        self._sending, readings, self.readings = None, self.readings, []
        try:
            bodies = [reading.to_json() for reading in readings]
            await asyncio.to_thread(queue.send, settings().fetched_queue_url, bodies)
        except QueueError as error:
            # The readings are lost: the messages stay, and the calendars are read again.
            logger.error("readings not sent", extra={"untaken": len(error.untaken)})
            raise

    async def _read(self, record: "SQSRecord") -> None:
        try:
            request = fetches.read(record.body)
        except MessageError:
            logger.error("malformed message", extra={"message_id": record.message_id})
            raise
        if isinstance(request, KeysRequest):
            await self._read_keys(request)
            return
        if isinstance(request, RevokeRequest):
            await self._revoke(request)
            return
        if isinstance(request, WatchRequest):
            await self._ask(request, self.seconds)
            return
        begun = perf_counter()
        try:
            reading = await read(request, seconds=self.seconds)
        except Exception as error:
            # Only the type: an exception's text can quote customer data.
            kind = type(error).__qualname__
            logger.error(
                "reading failed unexpectedly", extra={"coach_id": request.coach_id, "exception": kind}
            )
            raise
        self.readings.append(reading)
        _report(request, reading, round((perf_counter() - begun) * 1000))

    async def _read_keys(self, request: KeysRequest) -> None:
        from fairslot.calendars.issuer_keys import read_keys  # late: most deployments have no issuers

        reading = await read_keys(request, seconds=self.seconds)
        self.readings.append(reading)
        facts = {"issuer": request.issuer, "error": reading.error}
        if reading.keys is None:
            logger.warning("issuer's keys not read", extra=facts)
        metrics.add_metric(name="IssuerKeysRead", unit=MetricUnit.Count, value=int(reading.keys is not None))

    async def _revoke(self, request: RevokeRequest) -> None:
        from fairslot.calendars.revoking import revoke  # late: sources are seldom deleted

        # The channel first: what opens it is revoked.
        if request.channel is not None:
            await self._ask(request.channel, self.seconds / 2)
        error = await revoke(request, seconds=self.seconds / 2)
        facts = {"source_id": str(request.source_id), "kind": request.provider, "error": error}
        (logger.info if error is None else logger.warning)("grant revoked", extra=facts)
        metrics.add_metric(name="GrantsRevoked", unit=MetricUnit.Count, value=int(error is None))

    async def _ask(self, request: WatchRequest, seconds: float) -> None:
        from fairslot.calendars.watching import carry_out  # late: most calendars have no channel

        answer = await carry_out(request, seconds=seconds)
        self.readings.append(answer)
        facts = {"source_id": str(request.source_id), "action": request.action, "error": answer.error}
        (logger.info if answer.error is None else logger.warning)("channel", extra=facts)
        metrics.add_metric(name="ChannelsAsked", unit=MetricUnit.Count, value=1)


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def lambda_handler(
    event: dict[str, Any], context: "LambdaContext"
) -> "PartialItemFailureResponse | dict[str, list[str]]":
    """Read the calendars of an SQS batch concurrently, send each reading, and return which messages stay.

    A calendar that cannot be read is a result too: its message is done, and the next sync retries. With
    {"requests": [message, …], "seconds": 3.0} the answer is {"readings": [message, …]}, and nothing is sent.
    """
    if "requests" in event:
        return {"readings": asyncio.run(_asked(event["requests"], event["seconds"]))}
    seconds = context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS
    batch = Batch(seconds=seconds, under_way=len(event["Records"]))
    processor = AsyncBatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    return async_process_partial_response(event, batch.work, processor, context)


async def _asked(messages: list[str], seconds: float) -> list[str]:
    """Read calendars concurrently; one that fails unexpectedly has no reading."""
    requests = [FetchRequest.from_json(message) for message in messages]
    found = await asyncio.gather(*[read(one, seconds=seconds) for one in requests], return_exceptions=True)
    readings = []
    for request, reading in zip(requests, found, strict=True):
        if isinstance(reading, BaseException):
            kind = type(reading).__qualname__
            logger.error(
                "reading failed unexpectedly", extra={"coach_id": request.coach_id, "exception": kind}
            )
        else:
            readings.append(reading.to_json())
            _report(request, reading, round(seconds * 1000))
    return readings


def _report(request: FetchRequest, reading: Reading, milliseconds: int) -> None:
    facts = {"coach_id": request.coach_id, "kind": request.kind, "latency_ms": milliseconds}
    unreadable = reading.free.unreadable if reading.free is not None else 0
    if reading.free is None:
        logger.warning("calendar not read", extra={**facts, "error": reading.error})
    elif unreadable:
        logger.warning("calendar read in part", extra={**facts, "unreadable_events": unreadable})
    else:
        logger.info("calendar read", extra=facts)
    is_read = reading.free is not None
    metrics.add_metric(name="CalendarsRead", unit=MetricUnit.Count, value=int(is_read))
    metrics.add_metric(name="CalendarsNotRead", unit=MetricUnit.Count, value=int(not is_read))
    metrics.add_metric(name="CalendarEventsUnreadable", unit=MetricUnit.Count, value=unreadable)
    metrics.add_metric(name="CalendarLatency", unit=MetricUnit.Milliseconds, value=milliseconds)
