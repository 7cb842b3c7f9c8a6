"""Messages that are sent again in place of what was received: to come back later, or to the dead letters.

Whoever receives a message deletes it only when the other one is on its queue. Dying between the two leaves
both, which the subscriber tells by the event's id and the record by the delivery's.
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
class Return:
    """What takes the place of a received message; `delay` is in seconds."""

    message_id: str
    body: str
    group: str
    delay: int = 0

    @staticmethod
    def of(record: "SQSRecord", delay: int = 0, **members: Any) -> "Return":
        """Make one of a message whose body is an object, with these members in it beside its own."""
        # What this version does not know of a message stays in it.
        body: dict[str, Any] = json.loads(record.body) | members
        return Return(
            message_id=record.message_id,
            body=json.dumps(body, separators=(",", ":")),
            group=str(body.get("endpoint_id")),
            delay=delay,
        )


def send(queue_url: str, returns: Sequence[Return]) -> set[str]:
    """Send them; return the ids of the received messages that may be deleted now."""
    untaken: tuple[int, ...] = ()
    try:
        queue.send(
            queue_url,
            [one.body for one in returns],
            groups=[one.group for one in returns],
            delays=[one.delay for one in returns],
        )
    except QueueError as error:
        # They come back after the queue's own visibility timeout.
        logger.warning("messages not sent again", extra={"untaken": len(error.untaken)})
        untaken = error.untaken
    return {one.message_id for position, one in enumerate(returns) if position not in untaken}
