"""What the functions inside the VPC hand to the queues after a commit."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aws_lambda_powertools.metrics import MetricUnit

from fairslot import db, inbound, outbox
from fairslot.errors import UnavailableError
from fairslot.observability import logger, metrics
from fairslot.settings import settings
from fairslot.sync import Fetch
from fairslot.webhooks import queue


def send_deliveries(bodies: Sequence[str]) -> None:
    """Put messages on the deliveries queue, a group an endpoint; QueueError if it does not take them all."""
    groups = [str(json.loads(body).get("endpoint_id")) for body in bodies]
    queue.send(settings().deliveries_queue_url, bodies, groups=groups)


def drop_delivery(receipt_handle: str) -> None:
    """Take a message off the deliveries queue; one that was received again since then stays."""
    queue.delete(settings().deliveries_queue_url, [receipt_handle])


def send_fetches(fetches: Sequence[Fetch]) -> None:
    """Ask for calendars to be read; a queue that does not take the request leaves it to the schedule."""
    if not fetches:
        return
    try:
        queue.send(
            settings().fetches_queue_url,
            [fetch.to_json() for fetch in fetches],
            delays=[fetch.delay_seconds for fetch in fetches],
        )
    except UnavailableError:
        _alarm("calendars could not be asked for", "FetchNotQueued")


def publish(messages: list[dict[str, Any]]) -> None:
    """Publish what a committed change wrote to the outbox; what does not get out is left to the sweep."""
    if not messages:
        return
    try:
        now = datetime.now(UTC)
        db.run(
            lambda connection: outbox.publish(connection, messages=messages, send=send_deliveries, now=now)
        )
    except UnavailableError:
        _alarm("events wait for the sweep", "PublishDeferred")


def act_on(event_id: UUID, *, now: datetime) -> None:
    """Act on an inbound event, portion by portion, and send what follows from each."""
    more = True
    while more:
        done = db.run(lambda connection: inbound.process(connection, event_id=event_id, now=now))
        publish(done.messages)
        send_fetches(done.fetches)
        more = done.more


def _alarm(message: str, metric: str) -> None:
    logger.warning(message)
    metrics.add_metric(name=metric, unit=MetricUnit.Count, value=1)
