"""Publish deliveries to their queue after a commit."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from fairslot.domain.errors import UnavailableError
from fairslot.platform import db, queue
from fairslot.platform.observability import logger, metrics
from fairslot.platform.settings import settings
from fairslot.webhooks import outbox

# The most changes whose deliveries a request makes; the sweep has the rest.
AT_ONCE = 50


def send_deliveries(bodies: Sequence[str]) -> None:
    """Send messages to the deliveries queue, one group per endpoint. Raises QueueError."""
    groups = [str(json.loads(body).get("endpoint_id")) for body in bodies]
    queue.send(settings().deliveries_queue_url, bodies, groups=groups)


def delete_delivery(receipt_handle: str) -> None:
    """Delete a message from the deliveries queue; one that was received again since stays."""
    queue.delete(settings().deliveries_queue_url, [receipt_handle])


def publish(messages: Sequence[dict[str, Any]] = ()) -> None:
    """Make and publish the deliveries of committed changes, and publish the messages of others.

    It may be called at any time outside a transaction; what it does not do is left to the sweep.
    """

    def work(connection: db.Connection) -> None:
        made = outbox.make_deliveries(connection, limit=AT_ONCE)
        outbox.publish(
            connection, messages=[*messages, *made.messages], send=send_deliveries, now=datetime.now(UTC)
        )

    try:
        db.run(work)
    except UnavailableError:
        logger.warning("publishing deferred to the sweep")
        metrics.add_metric(name="PublishDeferred", unit=MetricUnit.Count, value=1)
