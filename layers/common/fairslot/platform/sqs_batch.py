"""Handle the messages of an SQS batch one by one; those that fail stay on the queue."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.platform import time_limit
from fairslot.platform.observability import logger, metrics


def handle(
    event: dict[str, Any], work: Callable[[str], None], context: LambdaContext
) -> PartialItemFailureResponse:
    """Call `work` with the body of each message; return, before the time limit, which messages stay."""

    def one(record: Any) -> None:  # the processor's name for the argument
        try:
            work(record.body)
        except Exception as error:
            # Only the type: an exception's text can quote customer data.
            logger.error(
                "message not handled", extra={"error": type(error).__name__, "message_id": record.message_id}
            )
            metrics.add_metric(name="MessagesNotHandled", unit=MetricUnit.Count, value=1)
            raise

    # It must not raise when all fail: Lambda would log the exceptions' texts.
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    with time_limit.of(context):
        return process_partial_response(event=event, record_handler=one, processor=processor, context=context)
