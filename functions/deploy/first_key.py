"""The first admin key of a deployment: whoever invokes this function gets it as the answer, once."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.access import first_key
from fairslot.platform import db, time_limit
from fairslot.platform.observability import logger


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Return `{"key": …}`, or a message where there is an admin key already.

    Lambda logs no answers, and nothing else here shows the key.
    """
    with time_limit.of(context):
        key = db.run(first_key.make)
    if key is None:
        return {"message": "There is an admin key already; make others with it: fairslot keys create."}
    logger.info("made an admin key")
    return {"key": key}
