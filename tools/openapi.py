"""The HTTP contract as OpenAPI 3.1, from the routes and their types: `python -m tools.openapi` writes it.

The file is in the layer, so that serving it costs no generating. A test keeps it up to date.
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
from fairslot.access.authorize import LARGEST_BODY
from fairslot.domain.errors import AuthenticationError, FairslotError, RateLimitError, UnavailableError
from fairslot.http.problems import status_of
from fairslot.http.routing import Contract, declared
from tools.openapi_components import (
    CACHING,
    CONDITIONS,
    HEADERS,
    LIMITS,
    PARAMETERS,
    SECURITY,
    SIGNATURE,
    Json,
    problem,
)
from tools.openapi_webhooks import webhooks

if TYPE_CHECKING:
    from http import HTTPStatus

    from aws_lambda_powertools.event_handler.api_gateway import Route

PATH = Path(__file__).parents[1] / "layers" / "common" / "fairslot" / "openapi.json"

_ABOUT = f"""Books appointments for teams of coaches.

Instants are RFC 3339; answers give them in UTC. Bodies are JSON of {LARGEST_BODY // 1024} KiB at most, a
document of 1 MiB. An error is a problem document (RFC 9457) with a stable code in `error`."""
_APPS = (availability.app, booking.app, admin.app)


def document() -> Json:
    """Return the description of every route of every function."""
    merged = OpenAPIMerge(
        title="Fairslot",
        version="1.0.0",
        description=_ABOUT,
        security=[{name: []} for name in SECURITY],
        on_conflict="error",
    )
    handlers: dict[str, tuple[Route, Contract]] = {}
    schemas: Json = {"Problem": problem()}
    for module in _APPS:
        own: Json = json.loads(module.app.get_openapi_json_schema())
        for name, schema in own.pop("components")["schemas"].items():
            if schemas.setdefault(name, schema) != schema:
                raise ValueError(f"two functions mean different things by {name}")
        merged.add_schema(own)
        handlers |= {one.func.__name__: (one, contract) for one, contract in declared(module.app)}
    made = merged.get_openapi_schema()
    responses: Json = {}
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            suffix = re.sub(r"\W", "_", path) + "_" + method
            name = operation["operationId"] = operation["operationId"].removesuffix(suffix)
            route, contract = handlers[name]
            _complete(operation, inspect.getdoc(route.func) or "", contract)
            responses |= _add_errors(operation, contract)
    made["paths"] = _clean(made["paths"])
    made["webhooks"] = webhooks()
    made["components"] = {
        "schemas": _clean(
            {name: one for name, one in schemas.items() if not name.endswith("ValidationError")}
        ),
        "responses": responses,
        "headers": HEADERS,
        "parameters": PARAMETERS | CONDITIONS,
        "securitySchemes": SECURITY | SIGNATURE,
    }
    return made


def written() -> str:
    """Return the text of the file: sorted, a line for each value."""
    return json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _complete(operation: Json, about: str, contract: Contract) -> None:
    """Add to an operation what the resolver does not know: headers, keys and who may call."""
    headers = ["X-Request-Id"]
    if contract.scope is None:
        operation["security"] = []
    else:
        about += f" Needs the scope `{contract.scope}`."
        headers += LIMITS
    if contract.signed:
        operation["security"] = [{name: []} for name in (*SECURITY, *SIGNATURE)]
    if contract.key != "none":
        required = contract.key == "required"
        operation["parameters"] = operation.get("parameters", []) + _keys(required=required)
        headers.append("Idempotent-Replayed")
    if contract.conditional:
        operation["parameters"] = operation.get("parameters", []) + [
            {"$ref": f"#/components/parameters/{name}"} for name in CONDITIONS
        ]
        operation["responses"]["304"] = {"description": "The client has the page."}
        headers += CACHING
    operation["description"] = about
    del operation["responses"]["422"]  # the resolver's own; ours has another shape
    for status, response in operation["responses"].items():
        response["headers"] = response.get("headers", {}) | _references("headers", headers)
        if contract.conditional and status == "200":
            response["headers"] |= _references("headers", ["Content-Encoding"])
        if status == "204":
            del response["content"]


def _keys(*, required: bool) -> list[Json]:
    if not required:
        return list(_references("parameters", PARAMETERS).values())
    # Neither by itself: either name will do, and a signed request has its key already.
    needed = " Without a signature one of both names is required; with one, `webhook-id` is the key."
    return [one | {"description": one["description"] + needed} for one in PARAMETERS.values()]


def _add_errors(operation: Json, contract: Contract) -> Json:
    """Add to an operation the errors of its contract; return these responses, which operations share."""
    errors = contract.all_errors(has_body="requestBody" in operation)
    by_status: dict[HTTPStatus, list[type[FairslotError]]] = {}
    for error in sorted(errors, key=lambda error: error.code):
        by_status.setdefault(status_of(error), []).append(error)
    responses = {}
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
        responses[name] = {
            "description": "\n".join(f"`{kind.code}`: {(kind.__doc__ or '').strip()}" for kind in kinds),
            "headers": _references("headers", headers),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return responses


def _references(kind: str, names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/{kind}/{name}"} for name in names}


def _clean(value: Any, *, of_query: bool = False) -> Any:
    """Return a part of the document without what the resolver adds to no use.

    That is: titles made from names, whole numbers as fractions, and null as a query parameter's type.
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
