"""Record what came of the attempts to deliver, and what partners answered."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.coach_time import sync
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.http.api import clock
from fairslot.messages.attempts import Attempt
from fairslot.platform import db, sqs_batch
from fairslot.platform.observability import logger, metrics
from fairslot.webhooks import outbox, publishing


def record(message: str) -> None:
    """Record one attempt, send what follows from it, and have a calendar that changed read again.

    A message that is out of date is taken off the queue. If that fails the result comes again, and with it
    the wish; what takes the message's place is sent once.
    """
    attempt = Attempt.from_json(message)
    messages, coach_id, dropped = db.run(lambda connection: outbox.record(connection, attempt=attempt))
    publishing.publish(messages)
    if dropped is not None:
        publishing.drop_delivery(dropped)
    metrics.add_metric(name="AttemptsRecorded", unit=MetricUnit.Count, value=1)
    if coach_id is not None:
        now = clock()
        send_fetches(db.run(lambda connection: sync.request(connection, coach_ids=[coach_id], now=now)))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle a batch of the results queue."""
    return sqs_batch.handle(event, record, context)
