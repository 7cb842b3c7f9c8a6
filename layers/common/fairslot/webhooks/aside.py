"""What SQS set aside in a dead-letter queue: read it, and take away what is settled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairslot.webhooks.queue import BATCH_ENTRIES, _sqs

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef

# Longer than reading everything takes, so that nothing is seen twice; what stays is visible again after it.
HIDE_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message as it was set aside, and the handle to take it away by."""

    handle: str
    body: str


def read(queue_url: str, *, limit: int) -> Iterator[list[Letter]]:
    """Yield the messages, up to ten at a time and about `limit` in all; those that are not deleted stay."""
    for _ in range(-(-limit // BATCH_ENTRIES)):
        # A wait, however short, asks all of SQS's servers; without it an empty answer means nothing.
        found = _sqs().receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=BATCH_ENTRIES,
            VisibilityTimeout=HIDE_SECONDS,
            WaitTimeSeconds=1,
        )
        letters = [Letter(handle=one["ReceiptHandle"], body=one["Body"]) for one in found.get("Messages", [])]
        if not letters:
            return
        yield letters


def delete(queue_url: str, handles: Sequence[str]) -> None:
    """Take up to ten messages away; what SQS does not take away comes again."""
    entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
        {"Id": str(position), "ReceiptHandle": handle} for position, handle in enumerate(handles)
    ]
    if entries:
        _sqs().delete_message_batch(QueueUrl=queue_url, Entries=entries)
