"""Record what came of the attempts to deliver, and what partners answered."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot import batches, db, outbox, relay, sync
from fairslot.api import clock
from fairslot.observability import logger, metrics
from fairslot.webhooks.messages import Attempt


def record(message: str) -> None:
    """Record one attempt, send what follows from it, and have a calendar that changed read again.

    A message that is out of date is taken off the queue. If that fails the result comes again, and with it
    the wish; what takes the message's place is sent once.
    """
    attempt = Attempt.from_json(message)
    messages, coach_id, dropped = db.run(lambda connection: outbox.record(connection, attempt=attempt))
    relay.publish(messages)
    if dropped is not None:
        relay.drop_delivery(dropped)
    metrics.add_metric(name="AttemptsRecorded", unit=MetricUnit.Count, value=1)
    if coach_id is not None:
        now = clock()
        relay.send_fetches(db.run(lambda connection: sync.request(connection, coach_ids=[coach_id], now=now)))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle a batch of the results queue."""
    return batches.handle(event, record, context)
