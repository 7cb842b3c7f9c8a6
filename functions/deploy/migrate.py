"""The custom resource `Migrations`: a deployment migrates the database before it updates any function."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import httpx
from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.platform import db
from fairslot.platform.migrate import migrate
from fairslot.platform.observability import logger

# Fixed: CloudFormation deletes the resource when this changes.
_RESOURCE_ID = "fairslot-migrations"
# Reserved to cancel the statement in the database and to answer.
_RESERVE_SECONDS = 40.0
# An answer may have 4,096 bytes, and an error can be long.
_REASON_CHARACTERS = 1000


class OutOfTimeError(KeyboardInterrupt):
    """The migrations did not end in time.

    A KeyboardInterrupt, because only then psycopg cancels the query in the server, where it would otherwise
    go on with its locks.
    """


class AnswerError(Exception):
    """CloudFormation did not accept the answer."""


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Migrate the database of the environment and report the outcome to CloudFormation.

    `event` is a custom resource request (AWS CloudFormation User Guide, "Custom resource request objects").

    Raises:
        AnswerError: the answer was not accepted. Then Lambda calls again; migrating twice does no harm.

    """
    seconds = context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS
    with httpx.Client(transport=httpx.HTTPTransport(retries=2), timeout=5.0) as client:
        respond(event, work=lambda: migrate(db.address()), seconds=seconds, client=client)


def respond(
    event: dict[str, Any], *, work: Callable[[], list[str]], seconds: float, client: httpx.Client
) -> None:
    """Do the work on Create and Update, for `seconds` at most, and always answer the request.

    Raises:
        AnswerError: the answer was not accepted.

    """
    answer: dict[str, Any] = {"Status": "SUCCESS", "Data": {"Applied": "0"}}
    try:
        if event["RequestType"] != "Delete":
            with _at_most(seconds):
                applied = work()
            logger.info("migrated", applied=applied)
            answer["Data"] = {"Applied": str(len(applied))}
    except (Exception, OutOfTimeError) as error:  # noqa: BLE001  an unanswered request blocks the stack
        reason = _reason(error)
        # Without the traceback: it repeats all of the error's text.
        logger.error("migration_failed", reason=reason)
        answer = {"Status": "FAILED", "Reason": reason}
    _answer(client, event, answer)


def _reason(error: BaseException) -> str:
    """Return the error's type and first line; in the second, Postgres quotes personal data."""
    lines = (str(error) or type(error).__doc__ or "").splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:_REASON_CHARACTERS]


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise OutOfTimeError inside the block once `seconds` have passed."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        # Zero would mean no alarm at all.
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _answer(client: httpx.Client, event: dict[str, Any], answer: dict[str, Any]) -> None:
    """Put the answer to the request's ResponseURL ("Custom resource response objects")."""
    names = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    body = json.dumps({"PhysicalResourceId": _RESOURCE_ID} | names | answer).encode()
    try:
        # As bytes, so without a content type: the URL is signed for none.
        client.put(event["ResponseURL"], content=body).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise AnswerError(f"answered {error.response.status_code}") from None
    except httpx.HTTPError as error:
        raise AnswerError(type(error).__name__) from None
