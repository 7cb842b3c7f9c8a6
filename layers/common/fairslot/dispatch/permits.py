"""Permission for a request, asked for inside right before it.

To name a customer: docs/decisions/0097. To write to a coach's calendar: docs/decisions/0146.
"""

import asyncio
import json
import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from time import perf_counter
from typing import Any, Literal
from uuid import UUID

from fairslot.domain.errors import UnavailableError
from fairslot.platform import aws
from fairslot.platform.http_client import RequestFailedError
from fairslot.platform.settings import settings

_CONNECT_SECONDS = 1.0
# With a cold start. A later answer would permit nothing any more.
_READ_SECONDS = 2.0

type What = Literal["contact", "calendar_event"]
# Why nothing may be sent: that is final, and that there was no answer is not.
_REFUSED: dict[What, str] = {"contact": "contact_forgotten", "calendar_event": "superseded"}
_UNCHECKED: dict[What, str] = {"contact": "contact_unchecked", "calendar_event": "permit_unchecked"}

# As many as a batch has messages.
_asking = ThreadPoolExecutor(10, "permits")


async def permitted_until(delivery_id: UUID, *, seconds: float, what: What = "contact") -> float:
    """Return by when the body may be sent (`perf_counter`); without the setting nobody is asked.

    Raises RequestFailedError: `contact_forgotten` or `superseded`, which are final, and `contact_unchecked`
    or `permit_unchecked` where there is no answer within `seconds`.
    """
    function = settings().contact_permits_function
    if not function:
        return math.inf
    asked, loop = perf_counter(), asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            permitted = await loop.run_in_executor(_asking, _ask, function, delivery_id, what)
    except (UnavailableError, TimeoutError):
        raise RequestFailedError(_UNCHECKED[what]) from None
    if permitted <= 0:
        raise RequestFailedError(_REFUSED[what], final=True)
    return asked + permitted


def _ask(function: str, delivery_id: UUID, what: What) -> float:
    """Invoke the function; UnavailableError where it does not answer, or with an error."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = _lambda().invoke(
            FunctionName=function, Payload=json.dumps({"delivery_id": str(delivery_id), "what": what})
        )
        if "FunctionError" in answer:
            raise UnavailableError
        return float(json.loads(answer["Payload"].read())["seconds"])
    except (BotoCoreError, ClientError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError from error


@cache
def _lambda() -> Any:
    return aws.client("lambda", connect_seconds=_CONNECT_SECONDS, read_seconds=_READ_SECONDS, attempts=1)


def clear_cache() -> None:
    """Make the next call open a new client, with the environment of then."""
    _lambda.cache_clear()
