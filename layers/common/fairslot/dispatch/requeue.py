"""Requeue: send a message again in place of a received one, to be tried later or as a dead letter.

The received message is deleted only once the new one is on its queue. A crash in between leaves both, which
subscribers recognize by the event's id and the database by the delivery's.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairslot.domain.errors import QueueError
from fairslot.platform import queue
from fairslot.platform.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """The message that replaces a received one; `delay` is in seconds."""

    message_id: str
    body: str
    group: str
    delay: int = 0

    @staticmethod
    def of(record: "SQSRecord", delay: int = 0, **members: Any) -> "Requeued":
        """Make one from a message, with these members beside or instead of its own."""
        # Not by way of Delivery: members of a newer version must stay.
        body: dict[str, Any] = json.loads(record.body) | members
        return Requeued(
            message_id=record.message_id,
            body=json.dumps(body, separators=(",", ":")),
            group=str(body.get("endpoint_id")),
            delay=delay,
        )


def send(queue_url: str, messages: Sequence[Requeued]) -> set[str]:
    """Send the messages; return the ids of the received ones that can be deleted now."""
    untaken: tuple[int, ...] = ()
    try:
        queue.send(
            queue_url,
            [one.body for one in messages],
            groups=[one.group for one in messages],
            delays=[one.delay for one in messages],
        )
    except QueueError as error:
        # The received ones are visible again after the queue's visibility timeout.
        logger.warning("messages not requeued", extra={"untaken": len(error.untaken)})
        untaken = error.untaken
    return {one.message_id for position, one in enumerate(messages) if position not in untaken}
