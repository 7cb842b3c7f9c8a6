"""What every HTTP route shares: who is calling, what may come in, and how errors and headers go out."""

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import BaseRouter, Route
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as RouteNotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.metrics import MetricUnit
from pydantic import BaseModel

from fairslot.access import authorize
from fairslot.access.keys import Client
from fairslot.domain import json_written
from fairslot.domain.errors import (
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
    RateLimitError,
    UnavailableError,
    ValidationError,
)
from fairslot.domain.idempotency import Key, fingerprint
from fairslot.http.json_input import read_object
from fairslot.platform import cache, db, deadline
from fairslot.platform.observability import logger, metrics
from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from fairslot.domain.idempotency import ChangeResult
    from fairslot.platform.db import Connection

STATUS: dict[type[FairslotError], HTTPStatus] = {
    FairslotError: HTTPStatus.INTERNAL_SERVER_ERROR,
    ValidationError: HTTPStatus.UNPROCESSABLE_ENTITY,
    MalformedRequestError: HTTPStatus.BAD_REQUEST,
    PayloadTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    AuthenticationError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    MethodNotAllowedError: HTTPStatus.METHOD_NOT_ALLOWED,
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
    app = APIGatewayHttpResolver(
        enable_validation=True, json_body_deserializer=read_object, serializer=json_written.dump
    )
    app.exception_handler(Exception)(_answer_error)
    app.exception_handler(RouteNotFoundError)(lambda _: _answer_error(_no_route(app)))
    return app


def routes(app: APIGatewayHttpResolver) -> Sequence[Route]:
    """Return the routes of an app."""
    return (*app._static_routes, *app._dynamic_routes)  # noqa: SLF001 - the library has no other way


def serve(app: APIGatewayHttpResolver, event: Mapping[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer one API Gateway event (payload 2.0), whatever hangs, in the function's time.

    The caller is known and counted before its request is looked at. Every answer carries X-Request-Id, and
    those to a known caller the rate-limit headers. HEAD is answered as GET, without the body.
    """
    http = event["requestContext"]["http"]
    headers: dict[str, str] = {"X-Request-Id": event["requestContext"]["requestId"]}
    try:
        with deadline.of(context, at_most=_LONGEST_SECONDS):
            if http["path"] not in OPEN_PATHS:
                app.context["client"] = authorize.admit(event, headers, now=clock())
            answer: dict[str, Any] = app.resolve(_readable(event), context)
    except Exception as error:  # noqa: BLE001 - the edge answers whatever happens
        app.context.clear()
        problem = _answer_error(error)
        answer = {"statusCode": problem.status_code, "body": problem.body, "headers": problem.headers}
        answer["headers"]["Content-Type"] = problem.content_type
    answer["headers"] = {**(answer.get("headers") or {}), **headers}
    if http["method"] == "HEAD":
        answer["body"] = ""
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


def idempotency_key(app: BaseRouter, *, required: bool = False) -> Key:
    """Return the current request's idempotency key, tied to the request.

    Raises:
        MalformedRequestError: it is missing where it is required, or two differ, or it is no key.

    """
    headers, signed = app.current_event.headers, client(app).message_id
    given = {headers[name] for name in ("x-idempotency-key", "idempotency-key") if name in headers}
    # What is signed counts: else who overhears a request could send it again under another key.
    given |= {signed} if signed else set()
    if len(given) > 1:
        raise MalformedRequestError("The idempotency keys of the request differ.")
    value = next(iter(given), None)
    if required and value is None:
        raise MalformedRequestError("An idempotency key is required (X-Idempotency-Key).")
    if value is not None and not _is_key(value):
        # An empty one, too: taken for none it would have what is repeated done twice.
        raise MalformedRequestError("An idempotency key is 1 to 255 printable ASCII characters.")
    return Key(value=value, fingerprint=_fingerprint(app), hours=settings().idempotency_hours)


def _is_key(value: str) -> bool:
    return 0 < len(value.strip()) <= len(value) <= LONGEST_KEY and value.isascii() and value.isprintable()


def _fingerprint(app: BaseRouter) -> bytes:
    """Return the digest of the route and of what was asked of it, as it was understood.

    However an instant or an id is written, and whether a default is written out: it is the same request. Its
    query is left out, since all that a changing call has there is who signs.
    """
    route, given = app.context["_route"], app.context["_route_args"]
    asked = {}
    for one in (*route.dependant.path_params, *route.dependant.body_params):
        value = given[one.name]
        asked[one.name] = value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value
    return fingerprint(f"{route.method} {route.path}", {name: one or {} for name, one in asked.items()})


def change(
    app: BaseRouter,
    operation: str,
    work: "Callable[[Connection, Key], ChangeResult]",
    publish: Callable[[list[dict[str, Any]]], None],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Do a changing call once for its idempotency key, and have its events sent; return body and headers.

    The events are sent after the commit; a queue that does not take them costs the caller nothing, since the
    sweep sends what is left.
    """
    key = idempotency_key(app)
    kept: list[ChangeResult] = []

    def once() -> dict[str, Any]:
        kept.append(db.run(lambda connection: work(connection, key), idempotent=key.value is not None))
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
        text = authorize.raw_body(event).decode() if has_body else ""
    except UnicodeError as error:
        raise MalformedRequestError("The body is not UTF-8.") from error
    headers = {**(event.get("headers") or {}), "content-type": "application/json"}
    around = event["requestContext"]
    if around["http"]["method"] == "HEAD":
        around = {**around, "http": {**around["http"], "method": "GET"}}
    return {**event, "requestContext": around, "headers": headers, "body": text, "isBase64Encoded": False}


def _no_route(app: APIGatewayHttpResolver) -> FairslotError:
    """Tell a path that has no route from one that has, but not for this method."""
    path = app.current_event.path
    allowed = {route.method for route in routes(app) if route.rule.match(path)}
    if not allowed:
        return NotFoundError("There is no such route.")
    return MethodNotAllowedError(allowed | {"HEAD"} if "GET" in allowed else allowed)


def _answer_error(error: Exception) -> Response[Any]:
    """Say any error as a problem (RFC 9457), with the members that older clients read."""
    if isinstance(error, RequestValidationError) and not _is_ours(error):
        error = _invalid(error)
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
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = ", ".join(error.allowed)
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
