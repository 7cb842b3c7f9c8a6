"""Keep what was read of the coaches' external calendars."""

import json
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.coach_time import sync
from fairslot.platform import db, sqs_batch
from fairslot.platform.observability import logger, metrics


def store(message: str) -> None:
    """Store one coach's reading, or note that it failed."""
    result = json.loads(message)
    db.run(lambda connection: sync.store(connection, result))
    metrics.add_metric(name="CalendarsRead", unit=MetricUnit.Count, value=int(result["ok"]))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle a batch of the fetched queue."""
    return sqs_batch.handle(event, store, context)
