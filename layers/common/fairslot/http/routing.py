"""Where a route says everything once: method, path, scope, calendars, idempotency key, errors and success.

Authorization, the OpenAPI document and the test of the template read what is declared here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.api_gateway import BaseRouter, Route

from fairslot.access import calendars_seen
from fairslot.access.authorize import LARGEST_BODY, Scope
from fairslot.access.calendars_seen import Subject
from fairslot.domain.errors import (
    AuthenticationError,
    FairslotError,
    ForbiddenError,
    IdempotencyInProgressError,
    IdempotencyKeyReusedError,
    MalformedRequestError,
    PayloadTooLargeError,
    RateLimitError,
    UnavailableError,
    ValidationError,
)

if TYPE_CHECKING:
    from fairslot.access.keys import Client

type KeyUse = Literal["none", "optional", "required"]
type Errors = tuple[type[FairslotError], ...]
type Handler = Callable[..., Any]

_WITH_CALLER: Errors = (
    MalformedRequestError,
    AuthenticationError,
    ForbiddenError,
    RateLimitError,
    UnavailableError,
)
_WITH_BODY: Errors = (PayloadTooLargeError, ValidationError)
_WITH_KEY: dict[KeyUse, Errors] = {
    "none": (),
    "optional": (IdempotencyInProgressError, IdempotencyKeyReusedError),
    "required": (IdempotencyKeyReusedError,),
}


class UndeclaredRouteError(Exception):
    """A route was not declared with `route`, or not wholly: nothing says who may call it about what."""


class UnlimitedAnswerError(Exception):
    """A route answered a caller that may see some calendars without asking which: the answer is withheld."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a route promises beside its types.

    `scope` is what a caller needs; None where anybody may call. `calendars` says what the route is about,
    which limits callers that may see some calendars only: see calendars_seen.py. `key` says whether an
    idempotency key is ignored, taken or required. With `signed` a signature of the tenant's partner is as
    good as an API key. `errors` are its own, beside those that every route has. `success` is the status of
    what it returns; a `conditional` answer has an ETag, and 304 in its place. A body has `largest_body` bytes
    at most, and an answer comes within `longest_seconds`, or what is usual. `measured` is what its metrics
    are called: see measures.py.
    """

    method: str
    path: str
    scope: Scope | None
    calendars: Subject
    key: KeyUse
    signed: bool
    errors: Errors
    success: int
    conditional: bool
    largest_body: int = LARGEST_BODY
    longest_seconds: float | None = None
    measured: str | None = None

    def all_errors(self, *, has_body: bool) -> Errors:
        """Return every error that the route can answer with, each once."""
        caller = _WITH_CALLER if self.scope else ()
        body = _WITH_BODY if has_body else ()
        return tuple(dict.fromkeys((*self.errors, *_WITH_KEY[self.key], *caller, *body, FairslotError)))


# What is noted in a request's context when its route asks which calendars the caller may see.
_ASKED = "calendars_of_caller"
_contracts: dict[tuple[Handler, str, str], Contract] = {}


def route[F: Handler](  # noqa: PLR0913 - a route says everything in one place
    router: BaseRouter,
    method: str,
    path: str,
    *,
    scope: Scope | None,
    calendars: Subject | None = None,
    key: KeyUse = "none",
    signed: bool = False,
    errors: Errors = (),
    success: int = 200,
    conditional: bool = False,
    largest_body: int = LARGEST_BODY,
    longest_seconds: float | None = None,
    measured: str | None = None,
    **documented: Any,
) -> Callable[[F], F]:
    """Register a function as a route with its contract; `documented` goes to the resolver's own `route`.

    A route with the scope `admin`, or with none, is about all calendars unless it says otherwise.

    Raises:
        UndeclaredRouteError: a route for other callers does not say which calendars it is about.

    """
    if calendars is None and scope in {"read", "write"}:
        raise UndeclaredRouteError(f"Say which `calendars` {method} {path} is about.")
    contract = Contract(
        method=method,
        path=path,
        scope=scope,
        calendars=calendars or "all",
        key=key,
        signed=signed,
        errors=errors,
        success=success,
        conditional=conditional,
        largest_body=largest_body,
        longest_seconds=longest_seconds,
        measured=measured,
    )

    def declare(handler: F) -> F:
        limited = handler if scope is None else _limited(router, handler, contract.calendars)
        _contracts[limited, method, path] = contract
        router.route(path, method, status_code=success, **documented)(limited)
        return handler

    return declare


def calendars_of_caller(app: BaseRouter) -> list[str] | None:
    """Return the calendars that the current caller may see, sorted; None: all."""
    app.context[_ASKED] = True
    seen = app.context["client"].calendars
    return None if seen is None else sorted(seen)


def _limited(router: BaseRouter, handler: Handler, subject: Subject) -> Handler:
    """Return a handler that answers only as far as its caller may see the calendars that it is about.

    It is called with the arguments as they were validated. UnlimitedAnswerError: the handler had to limit its
    answer, and has not asked to what.
    """

    @wraps(handler)
    def limited(**arguments: Any) -> Any:
        caller: Client = router.context["client"]
        if caller.calendars is None:
            return handler(**arguments)
        calendars_seen.check(caller, subject, arguments)
        answer = handler(**arguments)
        if calendars_seen.must_be_limited(subject, arguments) and _ASKED not in router.context:
            raise UnlimitedAnswerError
        return answer

    return limited


def declared(app: APIGatewayHttpResolver) -> Sequence[tuple[Route, Contract]]:
    """Return the routes of an app with their contracts.

    Raises:
        UndeclaredRouteError: one has no contract.

    """
    return [(one, _contract(one)) for one in _routes(app)]


def find(app: APIGatewayHttpResolver, method: str, path: str) -> Contract | None:
    """Return the contract of the route that the resolver takes for a request, None where it finds none.

    Raises:
        UndeclaredRouteError: it has no contract.

    """
    for one in _routes(app):
        if one.method == method.upper() and one.rule.match(path):
            return _contract(one)
    return None


def methods(app: APIGatewayHttpResolver, path: str) -> set[str]:
    """Return the methods that a path has routes for."""
    return {one.method for one in _routes(app) if one.rule.match(path)}


def current(app: BaseRouter) -> tuple[Route, Contract]:
    """Return the route of the current request with its contract."""
    found: Route = app.context["_route"]
    return found, _contract(found)


def _routes(app: APIGatewayHttpResolver) -> Sequence[Route]:
    """Return the routes of an app in the order in which the resolver tries them."""
    return (*app._static_routes, *app._dynamic_routes)  # noqa: SLF001 - the library has no other way


def _contract(one: Route) -> Contract:
    try:
        return _contracts[one.func, one.method, one.path]
    except KeyError:
        raise UndeclaredRouteError(f"Declare {one.method} {one.path} with `route`.") from None
