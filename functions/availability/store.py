"""Keep what was read of the coaches' external calendars."""

import json
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot import db, sync
from fairslot.observability import logger, metrics

processor = BatchProcessor(event_type=EventType.SQS)


def store(record: SQSRecord) -> None:  # the processor passes it by this name
    """Store one coach's reading, or note that it failed."""
    result = json.loads(record.body)
    db.run(lambda connection: sync.store(connection, result))
    metrics.add_metric(name="CalendarsRead", unit=MetricUnit.Count, value=int(result["ok"]))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle a batch of the fetched queue."""
    return process_partial_response(event=event, record_handler=store, processor=processor, context=context)
