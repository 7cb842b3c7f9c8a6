"""How a function answers HTTP requests: who is calling, what may come in, and how an answer goes out."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.api_gateway import BaseRouter
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as RouteNotFoundError
from aws_lambda_powertools.event_handler.middlewares import openapi_validation
from aws_lambda_powertools.event_handler.openapi.compat import is_scalar_field
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from fairslot.access import client_address
from fairslot.access.authorize import LARGEST_BODY, allow, authenticate, rate_headers, raw_body
from fairslot.access.keys import Client
from fairslot.access.limits import RequestCount
from fairslot.domain import json_written
from fairslot.domain.errors import (
    FairslotError,
    MalformedRequestError,
    MethodNotAllowedError,
    NotFoundError,
)
from fairslot.http import measures, routing, snapshot
from fairslot.http.json_input import read_object
from fairslot.http.problems import problem
from fairslot.platform import after_answer, time_limit
from fairslot.platform import clock as system_clock
from fairslot.platform.observability import logger, metrics

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

type LambdaHandler = Callable[[dict[str, Any], "LambdaContext"], dict[str, Any]]

# Longer than the database lets anybody wait for a lock, and short enough to answer in the function's time.
_LONGEST_SECONDS = 5.5
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

# Whether a parameter is one value follows from its type; the library works it out for each request.
openapi_validation.is_scalar_field = cache(is_scalar_field)  # type: ignore[attr-defined]  # it has no setting


def resolver() -> APIGatewayHttpResolver:
    """Return a resolver that validates by the routes' types and answers every error as a problem."""
    app = APIGatewayHttpResolver(
        enable_validation=True, json_body_deserializer=read_object, serializer=json_written.dump
    )
    app.exception_handler(Exception)(problem)
    app.exception_handler(RouteNotFoundError)(lambda _: problem(_no_route(app)))
    return app


def handler(app: APIGatewayHttpResolver) -> LambdaHandler:
    """Return the entry point of a function, which does what is left for it after the answer.

    Raises:
        UndeclaredRouteError: a route has no contract; the function does not start.

    """
    routing.declared(app)
    snapshot.prepare_before(app)

    @logger.inject_lambda_context(clear_state=True)
    @metrics.log_metrics
    def lambda_handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
        return _serve(app, event, context)

    def entry_point(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
        try:
            answer: dict[str, Any] = lambda_handler(event, context)
        finally:
            after_answer.answered()
        return answer

    after_answer.begin()
    return entry_point


def client(app: BaseRouter) -> Client:
    """Return who is calling the current route."""
    found: Client = app.context["client"]
    return found


def request_count(app: BaseRouter) -> RequestCount:
    """Return the count of the current request."""
    found: RequestCount = app.context["count"]
    return found


def clock() -> datetime:
    """Return the instant that the use cases of a request work with."""
    return system_clock.now()


def _serve(app: APIGatewayHttpResolver, event: Mapping[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer one API Gateway event (payload 2.0) in the function's time, whatever hangs.

    The caller is authorized before its request is read, and counted before anything is done about it. Every
    answer carries X-Request-Id, and those to a known caller the rate-limit headers. HEAD is answered as GET,
    without the body.
    """
    begun = perf_counter()
    method, request_id = event["requestContext"]["http"]["method"], event["requestContext"]["requestId"]
    logger.append_keys(request_id=request_id)
    headers: dict[str, str] = {"X-Request-Id": request_id}
    counts: list[RequestCount] = []
    contract: routing.Contract | None = None
    try:
        client_address.check_way(event)
        contract = _contract(app, event)
        with time_limit.of(context, at_most=(contract and contract.longest_seconds) or _LONGEST_SECONDS):
            _authorize(app, event, contract, counts)
            answer: dict[str, Any] = app.resolve(_readable(event, contract), context)
            # A count that was left to the route and not made there: over the limit, that is the answer.
            for one in counts:
                one.check()
    except Exception as error:  # noqa: BLE001 - the edge answers whatever happens
        app.context.clear()
        refused = problem(error)
        answer = {"statusCode": refused.status_code, "body": refused.body, "headers": refused.headers}
        answer["headers"]["Content-Type"] = refused.content_type
    for one in counts:
        if one.allowance is not None:
            headers |= rate_headers(one.allowance)
    answer["headers"] = {**(answer.get("headers") or {}), **headers}
    measures.count(contract, answer, request_id=request_id, seconds=perf_counter() - begun)
    if method == "HEAD":
        answer["body"] = ""
    return answer


def _contract(app: APIGatewayHttpResolver, event: Mapping[str, Any]) -> routing.Contract | None:
    """Return the contract of the route that the resolver will take, None without one."""
    asked = APIGatewayProxyEventV2(dict(event))
    return routing.find(app, _routed_method(asked.http_method), asked.path)


def _authorize(
    app: APIGatewayHttpResolver,
    event: Mapping[str, Any],
    contract: routing.Contract | None,
    counts: list[RequestCount],
) -> None:
    """Authorize the caller by the contract of the route; `counts` gets the count.

    Without a route any known caller is let through to the 404 or 405.
    """
    if contract is not None and contract.scope is None:
        return
    caller, counting = authenticate(event, signed=contract is not None and contract.signed, now=clock())
    counts.append(counting)
    # Such a route counts its request when it takes the key: see changes.py.
    takes_key = contract is not None and contract.key == "optional"
    allow(caller, counting, contract.scope if contract else None, count_later=takes_key)
    app.context["client"], app.context["count"] = caller, counting


def _routed_method(method: str) -> str:
    return "GET" if method == "HEAD" else method


def _readable(event: Mapping[str, Any], contract: routing.Contract | None) -> dict[str, Any]:
    """Return the event with its body as text of JSON, whatever type the client declared.

    A body is ignored where the method gives it no meaning.

    Raises:
        PayloadTooLargeError: larger than the route allows.
        MalformedRequestError: not UTF-8.

    """
    request = event["requestContext"]
    method = request["http"]["method"]
    try:
        largest = contract.largest_body if contract else LARGEST_BODY
        text = raw_body(event, largest).decode() if method in _WITH_BODY else ""
    except UnicodeError as error:
        raise MalformedRequestError("The body is not UTF-8; send JSON in UTF-8.") from error
    return {
        **event,
        "requestContext": {**request, "http": {**request["http"], "method": _routed_method(method)}},
        "headers": {**(event.get("headers") or {}), "content-type": "application/json"},
        "body": text,
        "isBase64Encoded": False,
    }


def _no_route(app: APIGatewayHttpResolver) -> FairslotError:
    """Tell a path that has no route (404) from one that has routes for other methods (405)."""
    allowed = routing.methods(app, app.current_event.path)
    if not allowed:
        return NotFoundError("There is no such route; /openapi.json lists those that there are.")
    return MethodNotAllowedError(allowed | {"HEAD"} if "GET" in allowed else allowed)
