"""Messages of a queue one by one: what fails stays in the queue, and the log names its kind alone."""

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
    """Do the work for the body of each message of an SQS batch; answer in time which messages stay."""

    def one(record: Any) -> None:  # the processor passes it by this name
        try:
            work(record.body)
        except Exception as error:
            # The type alone: an exception's text can quote a row of a customer's.
            logger.error(
                "message not handled", extra={"error": type(error).__name__, "message_id": record.message_id}
            )
            metrics.add_metric(name="MessagesNotHandled", unit=MetricUnit.Count, value=1)
            raise

    # Were it to raise when all fail, Lambda would log the exceptions with their texts.
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    with time_limit.of(context):
        return process_partial_response(event=event, record_handler=one, processor=processor, context=context)
