"""Requests to the handlers as API Gateway makes them of HTTP, and their answers as it reads them."""

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any, cast
from urllib.parse import urlencode
from uuid import uuid4

from aws_lambda_powertools.utilities.typing import LambdaContext

from local.gateway_payload import Request, event, response
from local.routes import Routes
from local.template import Template

type Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

KEY = "test-key-123"
NOTHING = object()
_TEMPLATE = Path(__file__).parents[2] / "template.yaml"


@dataclass
class Context:
    """What a function gets to know of its invocation; the clock runs from when it is made."""

    seconds: float = 10.0
    function_name: str = "api"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:api"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    begun: float = field(default_factory=monotonic)

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left of the invocation."""
        return int((self.begun + self.seconds - monotonic()) * 1000)


def context(seconds: float = 10.0) -> LambdaContext:
    """Return the context of an invocation."""
    return cast("LambdaContext", Context(seconds))


@dataclass(frozen=True)
class Answer:
    """What a client gets; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def request(
    method: str,
    path: str,
    body: object = NOTHING,
    *,
    query: Mapping[str, Any] | str = "",
    key: str | None = KEY,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Return the event of a request.

    A body of bytes is sent as it is, anything else as JSON. `query` is a mapping or what stands after the
    `?`; `headers` win over the key's and the content type's.
    """
    given = list(headers.items() if isinstance(headers, Mapping) else headers)
    sent = [("host", "api.example.com")]
    if key is not None:
        sent.append(("x-api-key", key))
    raw = b""
    if body is not NOTHING:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent.append(("content-type", "application/json"))
    names = {name.lower() for name, _ in given}
    return event(
        Request(
            method=method,
            path=path,
            query=query if isinstance(query, str) else urlencode(query),
            headers=[one for one in sent if one[0] not in names] + given,
            body=raw,
            source_ip="127.0.0.1",
            request_id=str(uuid4()),
        ),
        f"{method} {path}",
        {},
    )


def send(made: dict[str, Any]) -> Answer:
    """Have the handler of the route answer an event; without a route any of them does."""
    routes, handlers = _deployed()
    match = routes.find(made["requestContext"]["http"]["method"], made["rawPath"])
    handler = handlers[match.function if match else "BookingFunction"]
    answer = response(json.dumps(handler(made, context())).encode())
    headers = {name.lower(): value for name, value in answer.headers}
    assert headers["x-request-id"] == made["requestContext"]["requestId"]
    return Answer(answer.status, headers, answer.body)


@cache
def _deployed() -> tuple[Routes, dict[str, Handler]]:
    """Return the routes and the handlers by function, as the template says."""
    functions = Template(_TEMPLATE, {}, "http://127.0.0.1").functions
    routes = [(*route, name) for name, one in functions.items() for route in one.routes]
    handlers = {}
    for name in {name for _, _, name in routes}:
        module, _, attribute = functions[name].handler.rpartition(".")
        handlers[name] = getattr(importlib.import_module(module), attribute)
    return Routes(routes), handlers


def ask(method: str, path: str, body: object = NOTHING, **more: Any) -> Answer:
    """Send a request, as `request` takes it."""
    return send(request(method, path, body, **more))
