"""Say whether a message may still name its customer: the dispatcher asks before it sends one."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.platform import db, time_limit
from fairslot.platform.observability import logger
from fairslot.webhooks import contact_permits


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, float]:
    """Return {"seconds": within which the request may begin, 0: not at all} for {"delivery_id": …}."""
    delivery_id = UUID(event["delivery_id"])
    with time_limit.of(context):
        seconds = db.run(lambda connection: contact_permits.permit(connection, delivery_id=delivery_id))
    return {"seconds": seconds}
