"""Say whether a message may still be sent: the dispatcher asks before it sends one.

It may name its customer, or write to a coach's calendar, and what was true when it was made may be no longer.
"""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.platform import db, time_limit
from fairslot.platform.observability import logger
from fairslot.webhooks import calendar_events, contact_permits


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, float]:
    """Return {"seconds": within which the request may begin, 0: not at all} for {"delivery_id": …}.

    "what" is "contact", which is meant without it, or "calendar_event".
    """
    delivery_id = UUID(event["delivery_id"])
    permit = calendar_events.permit if event.get("what") == "calendar_event" else contact_permits.permit
    with time_limit.of(context):
        seconds = db.run(lambda connection: permit(connection, delivery_id=delivery_id))
    return {"seconds": seconds}
