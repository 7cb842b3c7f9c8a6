"""Request the external calendars, their channels and the issuers' keys that are due; a schedule calls it."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.access import issuers
from fairslot.coach_time import sync, watches
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.platform import clock, db, time_limit
from fairslot.platform.observability import logger, metrics


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Put a request on FetchesQueue for each calendar, channel and issuer of tokens that is due."""
    now = clock.now()
    with time_limit.of(context):
        fetches = db.run(lambda connection: sync.due(connection, now=now))
        send_fetches(fetches)
        send_fetches(db.run(lambda connection: issuers.due(connection, now=now)))
        channels = db.run(lambda connection: watches.due(connection, now=now))
        send_fetches(channels)
    metrics.add_metric(name="SyncRuns", unit=MetricUnit.Count, value=1)
    metrics.add_metric(name="CalendarsRequested", unit=MetricUnit.Count, value=len(fetches))
    metrics.add_metric(name="ChannelsRequested", unit=MetricUnit.Count, value=len(channels))
    return {"requested": len(fetches), "channels": len(channels)}
