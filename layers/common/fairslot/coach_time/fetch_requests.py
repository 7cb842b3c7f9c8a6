"""Requests about external calendars, and for issuers' keys, sent to the fetches queue."""

from collections.abc import Sequence

from aws_lambda_powertools.metrics import MetricUnit

from fairslot.domain.errors import UnavailableError
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.issuer_keys import KeysRequest
from fairslot.messages.revocations import RevokeRequest
from fairslot.messages.watches import WatchRequest
from fairslot.platform import queue
from fairslot.platform.observability import logger, metrics
from fairslot.platform.settings import settings


def send_fetches(fetches: Sequence[FetchRequest | KeysRequest | RevokeRequest | WatchRequest]) -> None:
    """Send requests; the schedule sends again what the queue refuses."""
    if not fetches:
        return
    try:
        queue.send(
            settings().fetches_queue_url,
            [fetch.to_json() for fetch in fetches],
            delays=[fetch.delay_seconds for fetch in fetches],
        )
    except UnavailableError:
        logger.warning("fetch requests not queued")
        metrics.add_metric(name="FetchNotQueued", unit=MetricUnit.Count, value=1)
