"""Record the results of delivery attempts."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.coach_time import sync
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.messages.attempts import Attempt
from fairslot.platform import clock, db, sqs_batch
from fairslot.platform.observability import logger, metrics
from fairslot.webhooks import outbox, publishing


def record(message: str) -> None:
    """Record one attempt, publish what follows from it, and have a calendar that changed read again.

    An outdated message is deleted from the queue. If that fails the result comes again and tries it again;
    what replaces the message is sent once.
    """
    attempt = Attempt.from_json(message)
    recorded = db.run(lambda connection: outbox.record(connection, attempt=attempt))
    if recorded.messages or recorded.changed:
        publishing.publish(recorded.messages)
    if recorded.outdated is not None:
        publishing.delete_delivery(recorded.outdated)
    metrics.add_metric(name="AttemptsRecorded", unit=MetricUnit.Count, value=1)
    if recorded.coach_id is not None:
        coaches, now = [recorded.coach_id], clock.now()
        send_fetches(
            db.run(lambda connection: sync.request(connection, tenant_id=None, coach_ids=coaches, now=now))
        )


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle a batch of ResultsQueue."""
    return sqs_batch.handle(event, record, context)
