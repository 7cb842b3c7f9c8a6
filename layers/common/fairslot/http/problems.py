"""Errors as answers: each is a problem document (RFC 9457), with the members that older clients read."""

import json
import traceback
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.metrics import MetricUnit

from fairslot.domain.errors import (
    AppointmentsAffectedError,
    AuthenticationError,
    ConflictError,
    FairslotError,
    ForbiddenError,
    HoldExpiredError,
    IdempotencyKeyReusedError,
    MalformedRequestError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    PreconditionFailedError,
    RateLimitError,
    UnavailableError,
    ValidationError,
)
from fairslot.platform.observability import logger, metrics

_STATUS: dict[type[FairslotError], HTTPStatus] = {
    FairslotError: HTTPStatus.INTERNAL_SERVER_ERROR,
    ValidationError: HTTPStatus.UNPROCESSABLE_ENTITY,
    MalformedRequestError: HTTPStatus.BAD_REQUEST,
    PayloadTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    AuthenticationError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    MethodNotAllowedError: HTTPStatus.METHOD_NOT_ALLOWED,
    ConflictError: HTTPStatus.CONFLICT,
    PreconditionFailedError: HTTPStatus.PRECONDITION_FAILED,
    HoldExpiredError: HTTPStatus.GONE,
    IdempotencyKeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    RateLimitError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}
_RETRY_AFTER_SECONDS = 2


def status_of(kind: type[FairslotError]) -> HTTPStatus:
    """Return the status of an error: its own, or that of the nearest error above it."""
    return next(_STATUS[one] for one in kind.__mro__ if one in _STATUS)


def problem(error: Exception) -> Response[Any]:
    """Return any error as an answer; what is not ours is logged without its message."""
    known = _known(error)
    status = status_of(type(known))
    _count_refused(known)
    body: dict[str, Any] = {
        "type": f"urn:fairslot:error:{known.code.lower().replace('_', '-')}",
        "title": status.phrase,
        "status": status.value,
        "detail": known.message,
        "error": known.code,
        "message": known.message,
    }
    if known.details or isinstance(known, ValidationError):
        body["details"] = [{"loc": loc, "type": kind} for loc, kind in known.details]
    if isinstance(known, AppointmentsAffectedError):
        body["plan"] = known.plan
    return Response(
        status_code=status.value,
        content_type="application/problem+json",
        headers=_headers(known),
        body=json.dumps(body, separators=(",", ":")),
    )


def _known(error: Exception) -> FairslotError:
    """Return an error as one of ours."""
    if isinstance(error, RequestValidationError) and not _is_of_answer(error):
        return _invalid(error)
    if isinstance(error, FairslotError):
        return error
    # The message is left out: it may quote what a customer sent.
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("unexpected error", extra={"error": type(error).__name__, "where": where})
    metrics.add_metric(name="UnexpectedError", unit=MetricUnit.Count, value=1)
    return FairslotError()


def _count_refused(error: FairslotError) -> None:
    """Count a refused caller, and why it is refused: the answer gives no hint."""
    if isinstance(error, AuthenticationError | ForbiddenError):
        reason = error.reason if isinstance(error, AuthenticationError) else "forbidden"
        for name in ("CredentialsRefused", f"CredentialsRefused{reason.title()}"):
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)


def _headers(error: FairslotError) -> dict[str, str | list[str]]:
    if isinstance(error, AuthenticationError):
        return {"WWW-Authenticate": 'ApiKey realm="fairslot", Bearer realm="fairslot"'}
    if isinstance(error, MethodNotAllowedError):
        return {"Allow": ", ".join(error.allowed)}
    if isinstance(error, RateLimitError):
        return {"Retry-After": str(error.allowance.reset)}
    if isinstance(error, UnavailableError):
        return {"Retry-After": str(_RETRY_AFTER_SECONDS)}
    return {}


def _is_of_answer(error: RequestValidationError) -> bool:
    """Tell an answer that does not fit its own type from a request that does not."""
    return any(one["loc"][0] == "response" for one in error.errors())


def _invalid(error: RequestValidationError) -> FairslotError:
    """Return malformed (400), well-formed but invalid (422), or not found (404) for an id that is none."""
    details = [(".".join(str(part) for part in one["loc"]), str(one["type"])) for one in error.errors()]
    places = {one["loc"][0] for one in error.errors()}
    if places == {"path"}:
        return NotFoundError()
    if places == {"body"} and not any(kind == "json_invalid" for _, kind in details):
        return ValidationError(details=details)
    return MalformedRequestError(details=details)
