"""The HTTP contract as OpenAPI 3.1, from the handlers' own types: `python -m tools.openapi` writes it.

The file stands in the layer, so that serving it costs no generating. A test holds it to the types.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler.openapi.merge import OpenAPIMerge

import admin.app
import availability.app
import booking.app
from fairslot.access.authorize import LARGEST_BODY, SIGNED_PATH, scope_of
from fairslot.domain.errors import (
    AuthenticationError,
    ConflictError,
    FairslotError,
    ForbiddenError,
    HoldExpiredError,
    HoldLimitError,
    IdempotencyInProgressError,
    IdempotencyKeyReusedError,
    IllegalTransitionError,
    MalformedRequestError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    SlotUnavailableError,
    UnavailableError,
    ValidationError,
)
from fairslot.http.api import OPEN_PATHS, STATUS, routes
from tools.openapi_components import HEADERS, LIMITS, PARAMETERS, SECURITY, SIGNATURE, Json, problem
from tools.openapi_webhooks import webhooks

if TYPE_CHECKING:
    from http import HTTPStatus

PATH = Path(__file__).parents[1] / "layers" / "common" / "fairslot" / "openapi.json"

type Errors = tuple[type[FairslotError], ...]

_ABOUT = f"""Books appointments for teams of coaches.

Instants are RFC 3339; answers give them in UTC. Bodies are JSON of {LARGEST_BODY // 1024} KiB at most. The
answer to a request that could not be served is a problem (RFC 9457) with a stable code in `error`."""
_APPS = (availability.app, booking.app, admin.app)

_ALWAYS: Errors = (
    MalformedRequestError,
    AuthenticationError,
    ForbiddenError,
    RateLimitError,
    UnavailableError,
    FairslotError,
)
_WITH_BODY: Errors = (PayloadTooLargeError, ValidationError)
_CHANGING: Errors = (NotFoundError, IdempotencyInProgressError, IdempotencyKeyReusedError)
# What a route can be refused with beyond what every route can.
_OWN: dict[str, Errors] = {
    "list_availability": (NotFoundError,),
    "explain_availability": (NotFoundError, ValidationError),
    "get_distribution": (NotFoundError,),
    "get_health": (),
    "create_appointment": (*_CHANGING, SlotUnavailableError, HoldExpiredError),
    "create_hold": (*_CHANGING, SlotUnavailableError, HoldLimitError),
    "delete_hold": _CHANGING,
    "list_appointments": (),
    "get_appointment": (NotFoundError,),
    "get_decision": (NotFoundError,),
    "cancel_appointment": (*_CHANGING, IllegalTransitionError),
    "report_outcome": (*_CHANGING, IllegalTransitionError),
    "reschedule_appointment": (*_CHANGING, IllegalTransitionError, SlotUnavailableError),
    "reassign_appointment": (*_CHANGING, IllegalTransitionError, SlotUnavailableError),
    "receive_calendar_event": (IdempotencyKeyReusedError,),
    "create_endpoint": (IdempotencyInProgressError, IdempotencyKeyReusedError, ConflictError),
    "list_endpoints": (),
    "get_endpoint": (NotFoundError,),
    "update_endpoint": (*_CHANGING, ConflictError),
    "delete_endpoint": (*_CHANGING, ConflictError),
    "rotate_endpoint_secret": (*_CHANGING, ConflictError),
    "test_endpoint": (*_CHANGING, ConflictError),
    "recover_endpoint": (*_CHANGING, ConflictError),
    "list_deliveries": (),
    "get_delivery": (NotFoundError,),
    "replay_delivery": (*_CHANGING, ConflictError),
    "get_source": (NotFoundError,),
    "rotate_source_secret": (IdempotencyInProgressError, IdempotencyKeyReusedError, ConflictError),
    "delete_source": _CHANGING,
}
# By name, whether a key is required.
_KEYED = {
    **{name: False for name, errors in _OWN.items() if IdempotencyInProgressError in errors},
    "receive_calendar_event": True,
}


def document() -> Json:
    """Return the description of every route of every function."""
    merged = OpenAPIMerge(
        title="Fairslot",
        version="1.0.0",
        description=_ABOUT,
        security=[{name: []} for name in SECURITY],
        on_conflict="error",
    )
    handlers: Json = {}
    schemas: Json = {"Problem": problem()}
    for module in _APPS:
        own: Json = json.loads(module.app.get_openapi_json_schema())
        for name, schema in own.pop("components")["schemas"].items():
            if schemas.setdefault(name, schema) != schema:
                raise ValueError(f"two functions mean different things by {name}")
        merged.add_schema(own)
        handlers |= {route.func.__name__: route.func for route in routes(module.app)}
    made = merged.get_openapi_schema()
    refusals: Json = {}
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            _complete(path, method, operation, handlers)
            refusals |= _refuse(operation, is_open=path in OPEN_PATHS)
    made["paths"] = _clean(made["paths"])
    made["webhooks"] = webhooks()
    made["components"] = {
        "schemas": _clean(
            {name: one for name, one in schemas.items() if not name.endswith("ValidationError")}
        ),
        "responses": refusals,
        "headers": HEADERS,
        "parameters": PARAMETERS,
        "securitySchemes": SECURITY | SIGNATURE,
    }
    return made


def written() -> str:
    """Return the document as it is filed: in one order, a line a fact."""
    return json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _complete(path: str, method: str, operation: Json, handlers: Json) -> None:
    """Add to an operation what the resolver does not know: headers, keys and who may call."""
    suffix = re.sub(r"\W", "_", path) + "_" + method
    name = operation["operationId"] = operation["operationId"].removesuffix(suffix)
    about = inspect.getdoc(handlers[name]) or ""
    headers = ["X-Request-Id"]
    if path in OPEN_PATHS:
        operation["security"] = []
    else:
        about += f" Needs the scope `{scope_of(method.upper(), path)}`."
        headers += LIMITS
    if path == SIGNED_PATH:
        operation["security"] = [{name: []} for name in (*SECURITY, *SIGNATURE)]
    if name in _KEYED:
        operation["parameters"] = operation.get("parameters", []) + _keys(required=_KEYED[name])
        headers.append("Idempotent-Replayed")
    operation["description"] = about
    del operation["responses"]["422"]  # the resolver's own; ours has another shape
    for status, response in operation["responses"].items():
        response["headers"] = _references("headers", headers)
        if status == "204":
            del response["content"]


def _keys(*, required: bool) -> list[Json]:
    if not required:
        return list(_references("parameters", PARAMETERS).values())
    # Neither by itself: either name will do, and a signed request has its key already.
    needed = " Without a signature one of both names is required; with one, `webhook-id` is the key."
    return [one | {"description": one["description"] + needed} for one in PARAMETERS.values()]


def _refuse(operation: Json, *, is_open: bool) -> Json:
    """Add to an operation what it is refused with; return these responses, which operations share."""
    errors = _OWN[operation["operationId"]]
    errors += (FairslotError,) if is_open else _ALWAYS
    if "requestBody" in operation:
        errors += _WITH_BODY
    by_status: dict[HTTPStatus, list[type[FairslotError]]] = {}
    for error in sorted(errors, key=lambda error: error.code):
        status = next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)
        by_status.setdefault(status, []).append(error)
    refusals = {}
    for status, kinds in by_status.items():
        name = "Or".join(kind.__name__.removesuffix("Error") for kind in kinds)
        operation["responses"][str(status.value)] = {"$ref": f"#/components/responses/{name}"}
        headers = ["X-Request-Id"]
        if AuthenticationError in kinds:
            headers.append("WWW-Authenticate")
        elif FairslotError not in kinds:
            headers += LIMITS
        if {RateLimitError, UnavailableError}.intersection(kinds):
            headers.append("Retry-After")
        refusals[name] = {
            "description": "\n".join(f"`{kind.code}`: {(kind.__doc__ or '').strip()}" for kind in kinds),
            "headers": _references("headers", headers),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return refusals


def _references(kind: str, names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/{kind}/{name}"} for name in names}


def _clean(value: Any, *, of_query: bool = False) -> Any:
    """Return a part of the document without the resolver's noise.

    That is: titles made of names, whole numbers as fractions, and null as a query parameter's type.
    """
    if isinstance(value, dict):
        choices = value.get("anyOf")
        if of_query and isinstance(choices, list) and {"type": "null"} in choices:
            rest = [one for one in choices if one != {"type": "null"}]
            value = {name: one for name, one in value.items() if name != "anyOf"} | rest[0]
        of_query = of_query or value.get("in") == "query"
        return {
            name: _clean(one, of_query=of_query)
            for name, one in value.items()
            if name != "title" or not isinstance(one, str)
        }
    if isinstance(value, list):
        return [_clean(one, of_query=of_query) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def main() -> None:
    """Write the document into the layer."""
    PATH.write_text(written(), "utf-8")
    sys.stdout.write(f"wrote {PATH}\n")


if __name__ == "__main__":
    main()
