"""Questions to the function inside the VPC that knows the links; nothing else of the inside is reached."""

import time
from functools import cache
from typing import Any

from fairslot.domain.errors import UnavailableError
from fairslot.messages.connections import LinkAnswer, LinkQuestion
from fairslot.messages.contract import MessageError
from fairslot.platform import aws
from fairslot.platform.settings import settings

_CONNECT_SECONDS = 1.0
# With a cold start, and a database that is slow to answer.
_READ_SECONDS = 8.0
# It runs once at a time, and takes hundredths of a second.
_TRIES = 10
_PAUSE_SECONDS = 0.2


def ask(question: LinkQuestion) -> LinkAnswer:
    """Return the answer; UnavailableError where there is none."""
    from botocore.exceptions import BotoCoreError, ClientError

    if not settings().connections_function:
        raise UnavailableError
    try:
        answer = _invoke(question.to_json().encode())
        if "FunctionError" in answer:
            raise UnavailableError
        return LinkAnswer.from_json(answer["Payload"].read().decode())
    except (BotoCoreError, ClientError, MessageError, ValueError, KeyError) as error:
        raise UnavailableError from error


def _invoke(payload: bytes) -> Any:
    """Invoke the function, again while it answers somebody else: only then it has not begun."""
    from botocore.exceptions import ClientError

    for attempt in range(_TRIES):
        try:
            return _lambda().invoke(FunctionName=settings().connections_function, Payload=payload)
        except ClientError as error:
            busy = error.response["Error"]["Code"] == "TooManyRequestsException"
            if not busy or attempt == _TRIES - 1:
                raise
        time.sleep(_PAUSE_SECONDS)
    raise UnavailableError


@cache
def _lambda() -> Any:
    return aws.client("lambda", connect_seconds=_CONNECT_SECONDS, read_seconds=_READ_SECONDS, attempts=1)


def clear_cache() -> None:
    """Make the next call open a new client, with the environment of then."""
    _lambda.cache_clear()
