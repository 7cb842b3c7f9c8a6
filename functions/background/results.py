"""Record the results of delivery attempts, and have calendars read that a provider says have changed."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.coach_time import sync
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.messages import attempts
from fairslot.messages.attempts import Attempt
from fairslot.messages.notifications import SourceChanged
from fairslot.platform import clock, db, sqs_batch
from fairslot.platform.observability import logger, metrics
from fairslot.webhooks import outbox, publishing


def record(message: str) -> None:
    """Record one attempt, or do what one notification asks for."""
    result = attempts.read(message)
    if isinstance(result, SourceChanged):
        _notified(result)
    else:
        _attempted(result)


def _notified(told: SourceChanged) -> None:
    """Have the source read: once in ten seconds at most, whatever is told."""
    now = clock.now()
    fetches = db.run(lambda connection: sync.notified(connection, told, now=now))
    send_fetches(fetches)
    metrics.add_metric(name="PushesActedOn", unit=MetricUnit.Count, value=len(fetches))


def _attempted(attempt: Attempt) -> None:
    """Record one attempt, publish what follows from it, and have a calendar that changed read again.

    An outdated message is deleted from the queue. If that fails the result comes again and tries it again;
    what replaces the message is sent once.
    """
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
