"""Store what was read of coaches' external calendars and of issuers' public keys, and channels."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.access import issuers
from fairslot.coach_time import sync, watches
from fairslot.messages import readings
from fairslot.messages.issuer_keys import KeysReading
from fairslot.messages.watches import WatchAnswer
from fairslot.platform import clock, db, sqs_batch
from fairslot.platform.observability import logger, metrics


def store(message: str) -> None:
    """Store the reading of one calendar, or of one issuer's keys, or one channel, or that it failed."""
    reading = readings.read(message)
    if isinstance(reading, KeysReading):
        db.run(lambda connection: issuers.store(connection, reading))
        metrics.add_metric(name="IssuerKeysNotRead", unit=MetricUnit.Count, value=int(reading.keys is None))
        return
    if isinstance(reading, WatchAnswer):
        now = clock.now()
        db.run(lambda connection: watches.store(connection, reading, now=now))
        failed = int(reading.error is not None)
        metrics.add_metric(name="ChannelsRefused", unit=MetricUnit.Count, value=failed)
        return
    db.run(lambda connection: sync.store(connection, reading))
    metrics.add_metric(name="CalendarsRead", unit=MetricUnit.Count, value=int(reading.free is not None))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle a batch of FetchedQueue."""
    return sqs_batch.handle(event, store, context)
