"""Work that an answer need not wait for: it is done between the answer and the next request.

Lambda freezes a process once it has answered, unless an extension still has work: so a thread of the process
registers as one and asks for its next event when the work is done. Whatever ends the process before that, or
makes the work fail, must be mended by something else. See docs/decisions/0091-work-after-the-answer.md and
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
"""

import json
import os
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import MetricUnit

from fairslot.platform import time_limit
from fairslot.platform.observability import logger, metrics
from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

type Work = Callable[[], None]

_API = "/2020-01-01/extension/"
_NAME = "fairslot-after-answer"
# How long the next request may have to wait for the work, as long as an answer may take.
_LONGEST_SECONDS = 5.5


class _ExtensionError(Exception):
    """The Extensions API refused a call."""


class _Process:
    """Whether it has an extension, and what invocations left: the current one, and those that are over."""

    has_extension: bool = False
    left: list[Work] = []  # noqa: RUF012 - the process's own
    answered: SimpleQueue[list[Work]] = SimpleQueue()


def run(work: Work) -> None:
    """Do work after the answer to the current request; at once in a process that has no extension.

    What is left for later may be lost with the process, and its errors are only logged.
    """
    if _Process.has_extension:
        _Process.left.append(work)
    else:
        work()


def begin() -> None:
    """Register the process's extension if the setting asks for it; to be called while the function starts.

    From then on `answered` must be called at the end of each invocation. Where Lambda refuses, work is done
    at once.
    """
    address = os.environ.get("AWS_LAMBDA_RUNTIME_API", "")
    if _Process.has_extension or not address or not settings().after_answer:
        return
    from http.client import HTTPConnection, HTTPException  # late: only where it is used

    connection = HTTPConnection(address)
    try:
        connection.request(
            "POST", f"{_API}register", json.dumps({"events": ["INVOKE"]}), {"Lambda-Extension-Name": _NAME}
        )
        identifier = _read(connection)[0].headers["Lambda-Extension-Identifier"]
    except (OSError, HTTPException, _ExtensionError) as error:
        logger.warning("no work after answers", extra={"error": str(error)})
        connection.close()
        return
    _Process.has_extension = True
    Thread(target=_serve, args=(connection, identifier), name=_NAME, daemon=True).start()


def answered() -> None:
    """Hand the extension what the current invocation has left for it; the invocation is at its end."""
    if _Process.has_extension:
        left, _Process.left = _Process.left, []
        _Process.answered.put(left)


def _serve(connection: "HTTPConnection", identifier: str) -> None:
    """Do the work of one invocation after the other, until the process ends."""
    own = {"Lambda-Extension-Identifier": identifier}
    try:
        while True:
            connection.request("GET", f"{_API}event/next", headers=own)
            # The event is read only when the invocation is over: until then this thread would be in its way.
            works = _Process.answered.get()
            deadline = json.loads(_read(connection)[1])["deadlineMs"] / 1000
            if works:
                _do(works, deadline)
    except Exception as error:
        _Process.has_extension = False
        logger.error("work after answers has ended", extra={"error": type(error).__name__})
        connection.close()
        kind = {"Lambda-Extension-Function-Error-Type": f"Fatal.{type(error).__name__}"}
        connection.request("POST", f"{_API}exit/error", "{}", own | kind)
        connection.getresponse().read()
        connection.close()
        raise


def _do(works: list[Work], deadline: float) -> None:
    """Do what an invocation left, within the time that it has until `deadline` (seconds since 1970)."""
    with time_limit.within(min(_LONGEST_SECONDS, deadline - time.time() - time_limit.RESERVED_SECONDS)):
        for work in works:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whatever it is, the others come next
                # Only the type: an exception's text can quote customer data.
                logger.error("work after the answer failed", extra={"error": type(error).__name__})
                metrics.add_metric(name="AfterAnswerFailed", unit=MetricUnit.Count, value=1)
    if metrics.metric_set:
        metrics.flush_metrics()


def _read(connection: "HTTPConnection") -> "tuple[HTTPResponse, bytes]":
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:  # noqa: PLR2004 - OK
        raise _ExtensionError(f"{response.status}: {body[:200]!r}")
    return response, body
