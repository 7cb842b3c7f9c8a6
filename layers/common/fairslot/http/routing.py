"""Where a route is declared: method, path, scope, key, errors and success stand together at its function.

Authorization, the OpenAPI document and the template's test read what is declared here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.api_gateway import BaseRouter, Route

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

type Scope = Literal["read", "write", "admin"]
type Key = Literal["none", "optional", "required"]
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
_KEY_ERRORS: dict[Key, Errors] = {
    "none": (),
    "optional": (IdempotencyInProgressError, IdempotencyKeyReusedError),
    "required": (IdempotencyKeyReusedError,),
}


class UndeclaredRouteError(Exception):
    """A route was registered without `route`: nobody has said which scope it needs."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a route promises beside its types.

    `scope` is what a caller needs, None where anybody may call. `key`: whether an idempotency key is passed
    over, taken or required. `signed`: a signature of the tenant's partner is as good as an API key. `errors`:
    what it can be refused with, beside what every route can.
    """

    method: str
    path: str
    scope: Scope | None
    key: Key
    signed: bool
    errors: Errors

    def all_errors(self, *, has_body: bool) -> Errors:
        """Return everything that a request can be refused with."""
        common = _WITH_CALLER if self.scope else ()
        body = _WITH_BODY if has_body else ()
        return (*self.errors, *_KEY_ERRORS[self.key], *common, *body, FairslotError)


_contracts: dict[Handler, Contract] = {}


def route[F: Handler](
    router: BaseRouter,
    method: str,
    path: str,
    *,
    scope: Scope | None,
    key: Key = "none",
    signed: bool = False,
    errors: Errors = (),
    **documented: Any,
) -> Callable[[F], F]:
    """Register a function as a route with its contract; `documented` goes to the resolver's own `route`."""
    contract = Contract(method=method, path=path, scope=scope, key=key, signed=signed, errors=errors)

    def declare(handler: F) -> F:
        _contracts[handler] = contract
        return router.route(path, method, **documented)(handler)

    return declare


def declared(app: APIGatewayHttpResolver) -> Sequence[tuple[Route, Contract]]:
    """Return the routes of an app and what they promise.

    Raises:
        UndeclaredRouteError: one has no contract.

    """
    found = (*app._static_routes, *app._dynamic_routes)  # noqa: SLF001 - the library has no other way
    for one in found:
        if one.func not in _contracts:
            raise UndeclaredRouteError(f"{one.method} {one.path}")
    return [(one, _contracts[one.func]) for one in found]


def contract_of(app: APIGatewayHttpResolver, method: str, path: str) -> Contract | None:
    """Return the contract of the route that answers a request, None where there is no such route."""
    for one, contract in declared(app):
        if one.method == method and one.rule.match(path):
            return contract
    return None
