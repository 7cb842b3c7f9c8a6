"""SQS: send, receive, postpone and delete messages, and read a dead-letter queue."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fairslot.domain.errors import QueueError
from fairslot.platform import aws, time_limit

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        DeleteMessageBatchRequestEntryTypeDef,
        MessageTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

# The most per call: 1 MiB since August 2025, but 256 KiB work everywhere.
BATCH_ENTRIES = 10
BATCH_BYTES = 262_144

# SQS's longest DelaySeconds. A delayed message is not in flight.
LONGEST_DELAY_SECONDS = 900

TRIES = 3
PAUSE_SECONDS = 0.05

CONNECT_SECONDS = 1.0
READ_SECONDS = 2.0
CALL_ATTEMPTS = 2
# Both attempts time out, with the longest pause (1 s) that botocore's standard mode makes between them.
LONGEST_CALL_SECONDS = CALL_ATTEMPTS * (CONNECT_SECONDS + READ_SECONDS) + 1.0
# With less time than that there is one attempt, and none for a while at a queue that did not answer.
REST_SECONDS = 10.0

# Longer than most readings of a dead-letter queue. What a reader that died has hidden is visible after it.
HIDE_SECONDS = 120


class _Unanswered:
    """Until when calls that are short of time skip a queue, by its URL."""

    until: dict[str, float] = {}  # noqa: RUF012 - the process's own


type _Failures = Sequence[BatchResultErrorEntryTypeDef]
type _Call = Callable[[list[int]], _Failures]


def send(
    queue_url: str,
    bodies: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    delays: Sequence[int] | None = None,
) -> None:
    """Send each body as one message, at least once.

    `groups` names a message group per body: on a standard queue all it does is that one group's backlog does
    not delay the others (SQS fair queues). `delays` are the seconds until each message can be received, 0 to
    LONGEST_DELAY_SECONDS. Failed entries are sent again a few times. Raises QueueError with the positions of
    the bodies that were not confirmed. Where the deadline leaves no time for a queue that hangs, there is one
    attempt, and none for REST_SECONDS after a queue did not answer.
    """

    def call(batch: list[int]) -> _Failures:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(position), "MessageBody": bodies[position]} for position in batch
        ]
        for entry in entries:
            if groups is not None:
                entry["MessageGroupId"] = groups[int(entry["Id"])]
            if delays is not None:
                entry["DelaySeconds"] = delays[int(entry["Id"])]
        return _sqs().send_message_batch(QueueUrl=queue_url, Entries=entries).get("Failed", [])

    _in_batches(queue_url, batches([len(body.encode()) for body in bodies]), call)


def receive(queue_url: str, *, hide_seconds: int) -> "list[MessageTypeDef]":
    """Receive up to ten messages, hidden from other readers for `hide_seconds`."""
    # Long polling: without it SQS asks only some servers, and an empty answer means nothing.
    answer = _sqs().receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=BATCH_ENTRIES,
        VisibilityTimeout=hide_seconds,
        WaitTimeSeconds=1,
    )
    return answer.get("Messages", [])


def in_flight(queue_url: str) -> int:
    """Return about how many messages are hidden, because they were received and not deleted."""
    answer = _sqs().get_queue_attributes(
        QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"])


def postpone(queue_url: str, delays: Sequence[tuple[str, int]]) -> None:
    """Hide received messages from now on: pairs of receipt handle and seconds, 0 to 43,200.

    Raises QueueError with the positions of the pairs that had no effect.
    """

    def call(batch: list[int]) -> _Failures:
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {
                "Id": str(position),
                "ReceiptHandle": delays[position][0],
                "VisibilityTimeout": delays[position][1],
            }
            for position in batch
        ]
        return _sqs().change_message_visibility_batch(QueueUrl=queue_url, Entries=entries).get("Failed", [])

    _in_batches(queue_url, batches([0] * len(delays)), call)


def delete(queue_url: str, handles: Sequence[str]) -> None:
    """Delete received messages by their receipt handles.

    An outdated handle is no error: the message is gone, or was received again since. Raises QueueError with
    the positions of the handles for which the queue confirmed nothing.
    """

    def call(batch: list[int]) -> _Failures:
        entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
            {"Id": str(position), "ReceiptHandle": handles[position]} for position in batch
        ]
        failed = _sqs().delete_message_batch(QueueUrl=queue_url, Entries=entries).get("Failed", [])
        return [one for one in failed if not one["SenderFault"]]

    _in_batches(queue_url, batches([0] * len(handles)), call)


def batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Group positions into calls; a message that is too large goes alone, for SQS to refuse."""
    batch: list[int] = []
    batch_bytes = 0
    for position, size in enumerate(sizes):
        if batch and (len(batch) == BATCH_ENTRIES or batch_bytes + size > BATCH_BYTES):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(position)
        batch_bytes += size
    if batch:
        yield batch


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message of a dead-letter queue, and the receipt handle to delete it by."""

    handle: str
    body: str


class DeadLetterReader:
    """One pass over a dead-letter queue, as a context; each message is seen once.

    What was read and not deleted is hidden from other readers until the context ends, however it ends.
    """

    def __init__(self, queue_url: str) -> None:
        """Take the queue's URL."""
        self._url = queue_url
        self._seen: set[str] = set()
        # By message id: a message that is received again has another handle, and the one before may be void.
        self._held: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make visible what stays; where that fails it is visible after HIDE_SECONDS, or already."""
        with suppress(QueueError):
            postpone(self._url, [(handle, 0) for handle in self._held.values()])

    def batches(self, *, limit: int, until: float | None = None) -> Iterator[list[DeadLetter]]:
        """Yield up to ten messages at a time and about `limit` in all, until `until` (monotonic clock)."""
        for _ in range(-(-limit // BATCH_ENTRIES)):
            if until is not None and time.monotonic() >= until:
                return
            found = receive(self._url, hide_seconds=HIDE_SECONDS)
            if not found:
                return
            # In a long pass the first ones are visible again before its end.
            fresh = [one for one in found if one["MessageId"] not in self._seen]
            self._seen |= {one["MessageId"] for one in fresh}
            self._held |= {one["MessageId"]: one["ReceiptHandle"] for one in found}
            if fresh:
                yield [DeadLetter(handle=one["ReceiptHandle"], body=one["Body"]) for one in fresh]

    def delete(self, handles: Sequence[str]) -> None:
        """Delete messages; one that SQS does not delete stays for the next pass."""
        kept: set[str] = set()
        try:
            delete(self._url, handles)
        except QueueError as error:
            kept = {handles[position] for position in error.untaken}
        gone = set(handles) - kept
        self._held = {message: handle for message, handle in self._held.items() if handle not in gone}

    def hidden_elsewhere(self) -> int:
        """Return about how many messages other readers have at the moment."""
        return max(in_flight(self._url) - len(self._held), 0)


def _in_batches(queue_url: str, positions: Iterator[list[int]], call: _Call) -> None:
    from botocore.exceptions import BotoCoreError, ClientError  # late: 60 ms of a cold start

    untaken: list[int] = []
    is_answering = True
    for batch in positions:
        if not is_answering or _is_skipped(queue_url):
            untaken += batch
            continue
        try:
            untaken += _retry(batch, call)
        except ClientError:
            # An answer, about this batch only.
            untaken += batch
        except BotoCoreError:
            # No answer: the other batches would only wait as long.
            untaken += batch
            is_answering = False
            _Unanswered.until[queue_url] = time.monotonic() + REST_SECONDS
    if untaken:
        raise QueueError(untaken)


def _retry(batch: list[int], call: _Call) -> list[int]:
    """Make a call, again for entries that failed on SQS's side; return those that failed for good."""
    refused: list[int] = []
    waiting = batch
    for retries in range(TRIES):
        time.sleep(PAUSE_SECONDS * retries)
        failures = call(waiting)
        refused += [int(failure["Id"]) for failure in failures if failure["SenderFault"]]
        waiting = [int(failure["Id"]) for failure in failures if not failure["SenderFault"]]
        if not waiting:
            break
    return refused + waiting


def _is_short_of_time() -> bool:
    return time_limit.left() < LONGEST_CALL_SECONDS


def _is_skipped(queue_url: str) -> bool:
    """Tell whether time is short, and too short for an attempt or the queue did not answer the last one."""
    if not _is_short_of_time():
        return False
    too_late = time_limit.left() < CONNECT_SECONDS + READ_SECONDS
    return too_late or time.monotonic() < _Unanswered.until.get(queue_url, 0.0)


def _sqs() -> "SQSClient":
    return _client(1 if _is_short_of_time() else CALL_ATTEMPTS)


@cache
def _client(attempts: int) -> "SQSClient":
    made: SQSClient = aws.client(
        "sqs", connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS, attempts=attempts
    )
    return made


def clear_cache() -> None:
    """Make the next call open a new client, with the environment of then."""
    _client.cache_clear()
    _Unanswered.until.clear()
