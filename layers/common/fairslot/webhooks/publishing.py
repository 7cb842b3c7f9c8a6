"""Publish deliveries to their queue after a commit."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from fairslot.domain.errors import UnavailableError
from fairslot.messages.correlation import correlation_id
from fairslot.platform import db, queue
from fairslot.platform.observability import logger, metrics
from fairslot.platform.settings import settings
from fairslot.webhooks import outbox

# How long a request makes deliveries of others' changes, too.
_LONGEST_SECONDS = 1.0


def send_deliveries(bodies: Sequence[str]) -> None:
    """Send messages to the deliveries queue, one group per endpoint. Raises QueueError."""
    messages = [json.loads(body) for body in bodies]
    groups = [str(message.get("endpoint_id")) for message in messages]
    queue.send(settings().deliveries_queue_url, bodies, groups=groups)
    changes = (correlation_id(message.get("data") or {}, message.get("version")) for message in messages)
    known = sorted({change for change in changes if change is not None})
    logger.info("deliveries queued", extra={"correlation_ids": known, "number": len(bodies)})


def delete_delivery(receipt_handle: str) -> None:
    """Delete a message from the deliveries queue; one that was received again since stays."""
    queue.delete(settings().deliveries_queue_url, [receipt_handle])


def publish(messages: Sequence[dict[str, Any]] = ()) -> None:
    """Make and publish the deliveries of committed changes, and publish the messages of others.

    It may be called at any time outside a transaction; what it does not do is left to the sweep.
    """

    def work(connection: db.Connection) -> None:
        outbox.tell_all(
            connection,
            messages=messages,
            send=send_deliveries,
            now=datetime.now(UTC),
            deadline=time.monotonic() + _LONGEST_SECONDS,
        )

    try:
        db.run(work)
    except UnavailableError:
        logger.warning("publishing deferred to the sweep")
        metrics.add_metric(name="PublishDeferred", unit=MetricUnit.Count, value=1)
