"""Take in what calendars' providers tell: a verified notification becomes a message of ResultsQueue.

Anybody can call it. It reaches no database, and a forged notification costs an HMAC.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fairslot.platform.start import before_snapshot, importing

with importing():
    from aws_lambda_powertools.metrics import MetricUnit

    from fairslot.calendars.push import (
        BODY_BYTES,
        Notice,
        PushError,
        google_notices,
        microsoft_notices,
        validation_answer,
    )
    from fairslot.calendars.push_secret import configured
    from fairslot.domain.errors import QueueError
    from fairslot.messages.notifications import SourceChanged
    from fairslot.platform import edge_proof, queue, time_limit
    from fairslot.platform.observability import logger, metrics
    from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

GOOGLE, MICROSOFT = "/calendar-push/google", "/calendar-push/microsoft"
ROUTES = (("POST", GOOGLE), ("POST", MICROSOFT))

# One call of the queue, and a little. A provider tells again later what was not accepted by then.
_LONGEST_SECONDS = queue.CONNECT_SECONDS + queue.READ_SECONDS + 0.5
# Base64 is a third longer.
_LONGEST_BODY = BODY_BYTES * 4 // 3 + 4
_STATUSES: Mapping[str, HTTPStatus] = {
    "forged": HTTPStatus.FORBIDDEN,
    "invalid": HTTPStatus.BAD_REQUEST,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer a provider: 202 once what it tells is on the queue, 503 where it has to tell again."""
    received, refused = 0, ""
    try:
        answer, received = _taken_in(event, context)
    except PushError as error:
        refused = error.reason
        answer = _answered(_STATUSES[refused])
    except QueueError as error:
        logger.warning("notifications not queued", extra={"untaken": len(error.untaken)})
        answer = _answered(HTTPStatus.SERVICE_UNAVAILABLE)
    metrics.add_metric(name="PushesReceived", unit=MetricUnit.Count, value=received)
    metrics.add_metric(name="PushesForged", unit=MetricUnit.Count, value=int(refused == "forged"))
    return answer


def _taken_in(event: Mapping[str, Any], context: "LambdaContext") -> tuple[dict[str, Any], int]:
    """Return the answer, and how many notifications are on the queue. Raises PushError and QueueError."""
    if not edge_proof.may_come_in(event.get("headers") or {}):
        return _answered(HTTPStatus.FORBIDDEN), 0
    echoed = _validation(event)
    if echoed is not None:
        return _answered(HTTPStatus.OK, echoed), 0
    notices = _notices(event)
    with time_limit.of(context, at_most=_LONGEST_SECONDS):
        _send(notices)
    return _answered(HTTPStatus.ACCEPTED), len(notices)


def _validation(event: Mapping[str, Any]) -> str | None:
    """Return what Graph's handshake is answered with; None for anything else."""
    if event["rawPath"] != MICROSOFT:
        return None
    return validation_answer(dict(parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True)))


def _notices(event: Mapping[str, Any]) -> Sequence[Notice]:
    if event["rawPath"] == GOOGLE:
        return google_notices(event.get("headers") or {}, configured())
    return microsoft_notices(_body(event), configured())


def _body(event: Mapping[str, Any]) -> bytes:
    text: str = event.get("body") or ""
    if len(text) > _LONGEST_BODY:
        raise PushError("too_large")
    if not event.get("isBase64Encoded"):
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise PushError("invalid") from None


def _send(notices: Sequence[Notice]) -> None:
    """Put a message on the queue for each notice."""
    bodies = [
        SourceChanged(
            source_id=notice.channel.source_id, generation=notice.channel.generation, task=notice.task
        ).to_json()
        for notice in notices
    ]
    if bodies:
        queue.send(settings().results_queue_url, bodies)


def _answered(status: HTTPStatus, text: str = "") -> dict[str, Any]:
    return {
        "statusCode": int(status),
        "headers": {**_HEADERS, "Content-Type": "text/plain; charset=utf-8"},
        "body": text,
    }


def _load() -> None:
    import_module("botocore.session")


before_snapshot(_load)
