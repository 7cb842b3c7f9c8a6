"""Sending to SQS queues and receiving from them; putting off or taking away what was received."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from fairslot.domain.errors import QueueError
from fairslot.platform import time_limit

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        DeleteMessageBatchRequestEntryTypeDef,
        MessageTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

# What SQS takes in one call: 1 MiB since August 2025, but 256 KiB go everywhere.
BATCH_ENTRIES = 10
BATCH_BYTES = 262_144

# How long SQS keeps a message that is sent from being received. Such a message is not in flight.
LONGEST_DELAY_SECONDS = 900

ROUNDS = 3
PAUSE_SECONDS = 0.05

CONNECT_SECONDS = 1.0
READ_SECONDS = 2.0
CALL_ATTEMPTS = 2
# Both attempts time out, with the longest pause (1 s) that botocore's standard mode makes between them.
LONGEST_CALL_SECONDS = CALL_ATTEMPTS * (CONNECT_SECONDS + READ_SECONDS) + 1.0
# Who has not so much time left makes one attempt, and none for a while at a queue that did not answer.
REST_SECONDS = 10.0


class _Silence:
    """Until when those in a hurry leave a queue alone, by its address."""

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

    Messages of one of the `groups`, given for each body, do not hold up those of the others: on a standard
    queue that is all that a group does (SQS fair queues). `delays` are the seconds until each can be
    received, 0 to LONGEST_DELAY_SECONDS.
    Entries that the queue fails are sent again a few times. Raises QueueError that names the bodies it
    did not take; what it may have taken without saying so counts as not taken. Where the work at hand has no
    time for a queue that hangs, one is asked once, and left alone for REST_SECONDS if it does not answer.
    """

    def call(part: list[int]) -> _Failures:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(position), "MessageBody": bodies[position]} for position in part
        ]
        for entry in entries:
            if groups is not None:
                entry["MessageGroupId"] = groups[int(entry["Id"])]
            if delays is not None:
                entry["DelaySeconds"] = delays[int(entry["Id"])]
        return _sqs().send_message_batch(QueueUrl=queue_url, Entries=entries).get("Failed", [])

    _through(queue_url, parts([len(body.encode()) for body in bodies]), call)


def receive(queue_url: str, *, hide_seconds: int) -> "list[MessageTypeDef]":
    """Receive up to ten messages, hidden from others for so many seconds; none where there are none."""
    # A wait, however short, asks all of SQS's servers; without it an empty answer means nothing.
    answer = _sqs().receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=BATCH_ENTRIES,
        VisibilityTimeout=hide_seconds,
        WaitTimeSeconds=1,
    )
    return answer.get("Messages", [])


def in_flight(queue_url: str) -> int:
    """Return about how many messages somebody has received and not taken away, so that they are hidden."""
    answer = _sqs().get_queue_attributes(
        QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"])


def postpone(queue_url: str, delays: Sequence[tuple[str, int]]) -> None:
    """Hide received messages for so many seconds from now: pairs of receipt handle and 0 to 43,200.

    Raises QueueError that names the pairs that had no effect.
    """

    def call(part: list[int]) -> _Failures:
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {
                "Id": str(position),
                "ReceiptHandle": delays[position][0],
                "VisibilityTimeout": delays[position][1],
            }
            for position in part
        ]
        return _sqs().change_message_visibility_batch(QueueUrl=queue_url, Entries=entries).get("Failed", [])

    _through(queue_url, parts([0] * len(delays)), call)


def delete(queue_url: str, handles: Sequence[str]) -> None:
    """Take received messages off a queue, by their receipt handles.

    A handle that is no longer good is passed over: the message is gone, or was received again since. Raises
    QueueError that names the handles of which the queue said nothing.
    """

    def call(part: list[int]) -> _Failures:
        entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
            {"Id": str(position), "ReceiptHandle": handles[position]} for position in part
        ]
        failed = _sqs().delete_message_batch(QueueUrl=queue_url, Entries=entries).get("Failed", [])
        return [one for one in failed if not one["SenderFault"]]

    _through(queue_url, parts([0] * len(handles)), call)


def parts(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Group positions as one call takes them; what is too large by itself goes alone, for SQS to judge."""
    part: list[int] = []
    size = 0
    for position, bytes_ in enumerate(sizes):
        if part and (len(part) == BATCH_ENTRIES or size + bytes_ > BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(position)
        size += bytes_
    if part:
        yield part


def _through(queue_url: str, parts: Iterator[list[int]], call: _Call) -> None:
    from botocore.exceptions import BotoCoreError, ClientError  # late: 60 ms of a cold start

    untaken: list[int] = []
    answers = True
    for part in parts:
        if not answers or _is_left_alone(queue_url):
            untaken += part
            continue
        try:
            untaken += _persist(part, call)
        except ClientError:
            # An answer, about this part: the others may do better.
            untaken += part
        except BotoCoreError:
            # No answer: the others would only wait as long.
            untaken += part
            answers = False
            _Silence.until[queue_url] = time.monotonic() + REST_SECONDS
    if untaken:
        raise QueueError(untaken)


def _persist(part: list[int], call: _Call) -> list[int]:
    """Repeat what failed through no fault of ours; return what was never taken."""
    faulty: list[int] = []
    waiting = part
    for round_ in range(ROUNDS):
        time.sleep(PAUSE_SECONDS * round_)
        failures = call(waiting)
        faulty += [int(failure["Id"]) for failure in failures if failure["SenderFault"]]
        waiting = [int(failure["Id"]) for failure in failures if not failure["SenderFault"]]
        if not waiting:
            break
    return faulty + waiting


def _is_in_a_hurry() -> bool:
    return time_limit.left() < LONGEST_CALL_SECONDS


def _is_left_alone(queue_url: str) -> bool:
    """Tell whether there is no time for another attempt that may last, or the last one did."""
    if not _is_in_a_hurry():
        return False
    too_late = time_limit.left() < CONNECT_SECONDS + READ_SECONDS
    return too_late or time.monotonic() < _Silence.until.get(queue_url, 0.0)


def _sqs() -> "SQSClient":
    return _client(1 if _is_in_a_hurry() else CALL_ATTEMPTS)


@cache
def _client(attempts: int) -> "SQSClient":
    import boto3  # late, as above
    from botocore.config import Config

    return boto3.client(
        "sqs",
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
    )


def clear_cache() -> None:
    """Make the next call open a new client, with the environment as it is then."""
    _client.cache_clear()
    _Silence.until.clear()
