"""Record what came of the attempts to deliver, and what partners answered."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot import db, outbox, relay, sync
from fairslot.api import clock
from fairslot.observability import logger, metrics
from fairslot.webhooks.messages import Attempt

processor = BatchProcessor(event_type=EventType.SQS)


def note(record: SQSRecord) -> None:  # the processor passes it by this name
    """Record one attempt, send what follows from it, and have a calendar that changed read again."""
    attempt = Attempt.from_json(record.body)
    messages, coach_id = db.run(lambda connection: outbox.record(connection, attempt=attempt))
    relay.publish(messages)
    metrics.add_metric(name="AttemptsRecorded", unit=MetricUnit.Count, value=1)
    if coach_id is not None:
        now = clock()
        relay.send_fetches(db.run(lambda connection: sync.request(connection, coach_ids=[coach_id], now=now)))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle a batch of the results queue."""
    return process_partial_response(event=event, record_handler=note, processor=processor, context=context)
