"""What every HTTP route shares: who is calling, what may come in, and how errors and headers go out."""

import base64
import json
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import BaseRouter
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as RouteNotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.metrics import MetricUnit
from pydantic import BaseModel

from fairslot import admission, cache, db, deadline
from fairslot.auth import Client
from fairslot.errors import (
    AuthenticationError,
    ConflictError,
    FairslotError,
    ForbiddenError,
    HoldExpiredError,
    IdempotencyKeyReusedError,
    MalformedRequestError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    UnavailableError,
    ValidationError,
)
from fairslot.idempotency import Key, fingerprint
from fairslot.json_input import read_object
from fairslot.observability import logger, metrics
from fairslot.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from fairslot.bookings import Change
    from fairslot.db import Connection

STATUS: dict[type[FairslotError], HTTPStatus] = {
    FairslotError: HTTPStatus.INTERNAL_SERVER_ERROR,
    ValidationError: HTTPStatus.UNPROCESSABLE_ENTITY,
    MalformedRequestError: HTTPStatus.BAD_REQUEST,
    PayloadTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    AuthenticationError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    HoldExpiredError: HTTPStatus.GONE,
    IdempotencyKeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    RateLimitError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}
OPEN_PATHS = frozenset({"/health", "/openapi.json"})
LONGEST_KEY = 255
_RETRY_AFTER_SECONDS = 2
# Longer than the database lets anybody wait for a lock, and short enough to answer in the function's time.
_LONGEST_SECONDS = 5.5
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def resolver() -> APIGatewayHttpResolver:
    """Return a resolver that validates by the routes' types and answers every error as a problem."""
    app = APIGatewayHttpResolver(enable_validation=True, json_body_deserializer=read_object)
    app.exception_handler(Exception)(_answer_error)
    return app


def serve(app: APIGatewayHttpResolver, event: Mapping[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer one API Gateway event (payload 2.0), whatever hangs, in the function's time.

    The caller is known and counted before its request is looked at. Every answer carries X-Request-Id, and
    those to a known caller the rate-limit headers.
    """
    http = event["requestContext"]["http"]
    headers: dict[str, str] = {"X-Request-Id": event["requestContext"]["requestId"]}
    try:
        with deadline.of(context, at_most=_LONGEST_SECONDS):
            if http["path"] not in OPEN_PATHS:
                app.context["client"] = admission.admit(event, headers, now=clock())
            answer: dict[str, Any] = app.resolve(_readable(event), context)
    except Exception as error:  # noqa: BLE001 - the edge answers whatever happens
        app.context.clear()
        problem = _answer_error(error)
        answer = {"statusCode": problem.status_code, "body": problem.body, "headers": problem.headers}
        answer["headers"]["Content-Type"] = problem.content_type
    answer["headers"] = {**(answer.get("headers") or {}), **headers}
    metrics.add_metric(name=f"Answers{answer['statusCode'] // 100}xx", unit=MetricUnit.Count, value=1)
    return answer


def client(app: BaseRouter) -> Client:
    """Return who is calling the current route."""
    found: Client = app.context["client"]
    return found


def clock() -> datetime:
    """Return the instant that the use cases of a request work with."""
    return datetime.now(UTC)


def json_response[T: BaseModel](
    status: int, model: T, headers: Mapping[str, str] | None = None
) -> Response[T]:
    """Return a model as the answer."""
    return Response(
        status_code=status, content_type="application/json", headers=dict(headers or {}), body=model
    )


def cursor(*parts: str) -> str:
    """Write the position after which the next page begins, for nobody but ourselves to read."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def read_cursor[T](text: str | None, read: Callable[[list[str]], T]) -> T | None:
    """Read what cursor() wrote; MalformedRequestError when it is anything else."""
    if text is None:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(text))
        return read([part for part in parts if isinstance(part, str)])
    except (ValueError, TypeError, LookupError) as error:
        raise MalformedRequestError(
            "This cursor was not given by us.", [("query.cursor", "invalid")]
        ) from error


def idempotency_key(app: BaseRouter, *, required: bool = False) -> Key:
    """Return the current request's idempotency key, tied to the request.

    Raises:
        MalformedRequestError: it is missing where it is required, or two differ, or it is no key.

    """
    headers, signed = app.current_event.headers, client(app).message_id
    given = {headers[name] for name in ("x-idempotency-key", "idempotency-key") if headers.get(name)}
    # What is signed counts: else who overhears a request could send it again under another key.
    given |= {signed} if signed else set()
    if len(given) > 1:
        raise MalformedRequestError("The idempotency keys of the request differ.")
    value = next(iter(given), None)
    if required and value is None:
        raise MalformedRequestError("An idempotency key is required (X-Idempotency-Key).")
    if value is not None and (len(value) > LONGEST_KEY or not value.isascii() or not value.isprintable()):
        raise MalformedRequestError("An idempotency key is at most 255 printable ASCII characters.")
    operation = f"{app.current_event.http_method} {app.current_event.path}"
    try:
        body = app.current_event.json_body or {}
    except json.JSONDecodeError as error:
        raise MalformedRequestError("The body is no JSON.") from error
    return Key(value=value, fingerprint=fingerprint(operation, body), hours=settings().idempotency_hours)


def change(
    app: BaseRouter,
    operation: str,
    work: "Callable[[Connection, Key], Change]",
    publish: Callable[[list[dict[str, Any]]], None],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Do a changing call once for its idempotency key, and have its events sent; return body and headers.

    The events are sent after the commit; a queue that does not take them costs the caller nothing, since the
    sweep sends what is left.
    """
    key = idempotency_key(app)
    kept: list[Change] = []

    def once() -> dict[str, Any]:
        kept.append(db.run(lambda connection: work(connection, key), again=key.value is not None))
        return kept[-1].answer

    answer, replayed = cache.replay(operation, key, client(app).tenant_id, once, app.lambda_context)
    for done in kept:
        publish(done.messages)
    replayed = replayed or (bool(kept) and all(done.replayed for done in kept))
    return answer, {"Idempotent-Replayed": "true"} if replayed else {}


def _readable(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with its body as text of JSON, whatever type the client declared.

    A body where none has a meaning is passed over.

    Raises:
        PayloadTooLargeError: more than 64 KiB.
        MalformedRequestError: not UTF-8.

    """
    has_body = event["requestContext"]["http"]["method"] in _WITH_BODY
    try:
        text = admission.raw_body(event).decode() if has_body else ""
    except UnicodeError as error:
        raise MalformedRequestError("The body is not UTF-8.") from error
    headers = {**(event.get("headers") or {}), "content-type": "application/json"}
    return {**event, "headers": headers, "body": text, "isBase64Encoded": False}


def _answer_error(error: Exception) -> Response[Any]:
    """Say any error as a problem (RFC 9457), with the members that older clients read."""
    if isinstance(error, RequestValidationError) and not _is_ours(error):
        error = _invalid(error)
    if isinstance(error, RouteNotFoundError):
        error = NotFoundError("There is no such route.")
    if not isinstance(error, FairslotError):
        # The message is left out: it may quote what a customer sent.
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("unexpected error", extra={"error": type(error).__name__, "where": where})
        metrics.add_metric(name="UnexpectedError", unit=MetricUnit.Count, value=1)
        error = FairslotError("Something went wrong on our side.")
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    headers: dict[str, str | list[str]] = {}
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = 'ApiKey realm="fairslot", Bearer realm="fairslot"'
    if isinstance(error, RateLimitError):
        headers["Retry-After"] = str(error.allowance.reset)
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    body: dict[str, Any] = {
        "type": f"urn:fairslot:error:{error.code.lower().replace('_', '-')}",
        "title": status.phrase,
        "status": status.value,
        "detail": error.message,
        "error": error.code,
        "message": error.message,
    }
    if error.details or isinstance(error, ValidationError):
        body["details"] = [{"loc": loc, "type": kind} for loc, kind in error.details]
    return Response(
        status_code=status.value,
        content_type="application/problem+json",
        headers=headers,
        body=json.dumps(body, separators=(",", ":")),
    )


def _is_ours(error: RequestValidationError) -> bool:
    """Tell an answer that does not fit its own type from a request that does not."""
    return any(one["loc"][0] == "response" for one in error.errors())


def _invalid(error: RequestValidationError) -> FairslotError:
    """Tell what cannot be read (400) from what cannot be meant (422) and from an id that cannot be (404)."""
    details = [(".".join(str(part) for part in one["loc"]), str(one["type"])) for one in error.errors()]
    places = {one["loc"][0] for one in error.errors()}
    if places == {"path"}:
        return NotFoundError()
    if places == {"body"} and not any(kind == "json_invalid" for _, kind in details):
        return ValidationError(details=details)
    return MalformedRequestError(details=details)
