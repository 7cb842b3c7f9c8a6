"""An event source mapping: polls a queue and invokes a function with its messages, as Lambda does.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from local.gateway import Invokable
from local.logs import Warn, ignore, start_task
from local.queue_client import QueueClient, QueueError
from local.runtime_api import Answer
from local.sqs import REGION
from local.template import QueueSource

_WAIT_SECONDS = 1  # a long poll that is cut short could swallow a message, so a stop waits for it
_PAUSE_SECONDS = 1.0
# A batch costs several calls of the queue service and an invocation, whatever is in it. While one runs, the
# next messages may gather for this long, so that there are few batches and not one for each message.
_GATHER_SECONDS = 0.1


class Poller:
    """Polls the queue at `url` and invokes `function` with batches, at most `max_batches` at a time.

    `log` gets failures that are retried, `warn` those that should not happen.
    """

    def __init__(
        self,
        source: QueueSource,
        url: str,
        arn: str,
        function: Invokable,
        client: QueueClient,
        *,
        max_batches: int,
        log: Callable[[str], None],
        warn: Warn = ignore,
    ) -> None:
        self._source = source
        self._url = url
        self._arn = arn
        self._function = function
        self._client = client
        self._log_line = log
        self._warn = warn
        self._free = asyncio.Semaphore(max_batches)
        self._batches: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._receiving = False
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to poll."""
        self._loop = start_task(self._poll(), f"the poller of {self._source.queue}", self._warn)

    async def stop(self, seconds: float) -> None:
        """Stop polling; let running batches finish for `seconds`, then make the rest visible again."""
        self._stopping.set()
        if self._loop is not None:
            if not self._receiving:  # then it waits for a batch to end, or for messages to gather
                self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        if self._batches:
            _, late = await asyncio.wait(self._batches, timeout=seconds)
            for batch in late:
                batch.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _poll(self) -> None:
        was_full = False
        while not self._stopping.is_set():
            await self._free.acquire()
            if self._batches and not was_full:
                await asyncio.wait(self._batches, timeout=_GATHER_SECONDS)
            messages: list[dict[str, Any]] = []
            self._receiving = True
            try:
                messages = await self._receive()
            except QueueError as error:
                self._log_line(f"{self._source.queue}: {error}")
                await self._pause()
            except Exception as error:  # noqa: BLE001 - polling goes on whatever it is
                self._warn(f"{self._source.queue} could not be polled, trying again: {error!r}")
                await self._pause()
            finally:
                self._receiving = False
            was_full = len(messages) == self._source.batch_size
            if not messages:
                self._free.release()
                continue
            batch = start_task(self._handle(messages), f"a batch of {self._source.queue}", self._warn)
            self._batches.add(batch)
            batch.add_done_callback(self._done)

    def _done(self, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        self._free.release()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_PAUSE_SECONDS):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _receive(self) -> list[dict[str, Any]]:
        """Return a batch: what is in the queue, and with a batching window what comes until it closes."""
        size = self._source.batch_size
        messages = await self._client.receive(self._url, size, _WAIT_SECONDS)
        closes = time.monotonic() + self._source.batching_window
        while messages and len(messages) < size and (left := closes - time.monotonic()) > 0:
            if self._stopping.is_set():
                break
            wait = min(_WAIT_SECONDS, max(1, round(left)))
            try:
                messages += await self._client.receive(self._url, size - len(messages), wait)
            except QueueError as error:  # those received already are hidden from every other poll
                self._log_line(f"{self._source.queue}: {error}")
                break
        return messages

    async def _handle(self, messages: list[dict[str, Any]]) -> None:
        """Run the function on a batch and delete what succeeded."""
        event = {"Records": [record(one, self._arn) for one in messages]}
        try:
            answer = await self._function.invoke(json.dumps(event).encode())
        except asyncio.CancelledError:
            await self._client.make_visible(self._url, messages)
            raise
        done = succeeded(answer, messages, reports_failures=self._source.reports_failures)
        if not done:
            return
        try:
            late = await self._client.delete(self._url, done)
        except QueueError as error:
            self._log_line(f"{self._source.queue}: {error}")
            return
        if late:
            self._log_line(
                f"{self._source.queue}: {len(late)} messages not deleted, their visibility timeout is over"
            )


def record(message: dict[str, Any], arn: str) -> dict[str, Any]:
    """Return a message as Lambda's event holds it."""
    made = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: {
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": one["DataType"],
                **({"stringValue": one["StringValue"]} if "StringValue" in one else {}),
                **({"binaryValue": one["BinaryValue"]} if "BinaryValue" in one else {}),
            }
            for name, one in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": REGION,
    }
    if "MD5OfMessageAttributes" in message:
        made["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return made


def succeeded(
    answer: Answer, messages: list[dict[str, Any]], *, reports_failures: bool
) -> list[dict[str, Any]]:
    """Return the messages to delete.

    None if the function failed. If it reports failures, all but those that it names; none if its report is
    invalid.
    """
    if answer.error is not None:
        return []
    if not reports_failures:
        return messages
    try:
        report = json.loads(answer.payload or b"null") or {}
        failed = {item["itemIdentifier"] for item in report.get("batchItemFailures") or []}
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    if not failed <= {one["MessageId"] for one in messages}:
        return []
    return [one for one in messages if one["MessageId"] not in failed]
