"""Requests to the handlers as API Gateway makes them of HTTP, and the responses as it reads them."""

import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from aws_lambda_powertools.utilities.typing import LambdaContext

from fairslot.access.keys import hash_key
from fairslot.platform.db import Connection
from local import demo
from local.gateway_payload import Request, event, response
from local.routes import Routes
from local.template import Template
from tests.support.clock import NINE
from tests.support.lambda_context import context
from tests.support.team import TENANT

type Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

KEY = "test-key-123"
NOTHING = object()
DETAILED = {"VALIDATION_ERROR", "PAYLOAD_TOO_LARGE", "SLOT_UNAVAILABLE", "ILLEGAL_TRANSITION", "SLUG_TAKEN"}
ALL_SCOPES = ("read", "write", "admin")
_TEMPLATE = Path(__file__).parents[2] / "template.yaml"


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
            query=query if isinstance(query, str) else urlencode(query, doseq=True),
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


def add_key(
    connection: Connection,
    key: str = KEY,
    *,
    scopes: Sequence[str] = ALL_SCOPES,
    tenant_id: str = TENANT,
    rate_limit: int = 100_000,
    revoked: bool = False,
) -> None:
    """Make an API key."""
    connection.execute(
        demo.SQL["add_key"],
        {
            "tenant": tenant_id,
            "hash": hash_key(key),
            "label": "test",
            "scopes": list(scopes),
            "rate_limit": rate_limit,
        },
    )
    if revoked:
        connection.execute("UPDATE api_keys SET revoked_at = now() WHERE key_hash = %s", (hash_key(key),))


def replace_key(connection: Connection, old: str, new: str, *, until: datetime) -> None:
    """Put another key in the place of one, which stays valid until an instant."""
    connection.execute(
        "UPDATE api_keys SET previous_hash = key_hash, previous_until = %s, key_hash = %s"
        " WHERE key_hash = %s",
        (until, hash_key(new), hash_key(old)),
    )


def body_of(answer: Answer, status: int = 200) -> dict[str, Any]:
    """Return the body of an answer that has to have a status."""
    assert answer.status == status, answer
    body: dict[str, Any] = answer.json
    return body


def booking_body(start: datetime | str = NINE, **members: Any) -> dict[str, Any]:
    """Return the body of a booking; a member that is None is left out."""
    text = start if isinstance(start, str) else start.isoformat()
    body = {
        "calendar_id": "cal",
        "start_time": text,
        "contact_email": "zoe@example.com",
        "contact_name": "Zoë Secret",
    }
    return {name: value for name, value in (body | members).items() if value is not None}


def book(start: datetime | str = NINE, *, headers: Any = (), key: str = KEY, **members: Any) -> Answer:
    """Ask for an appointment."""
    return ask("POST", "/api/appointments", booking_body(start, **members), headers=headers, key=key)


def booked(start: datetime | str = NINE, **members: Any) -> dict[str, Any]:
    """Return what a booking that has to succeed is answered with."""
    return body_of(book(start, **members), 201)


def get_appointment(made: dict[str, Any]) -> dict[str, Any]:
    """Return what was booked as it is now."""
    return body_of(ask("GET", f"/api/appointments/{made['appointment_id']}"))


def check_problem(
    answer: Answer, status: int, code: str, *, place: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Assert that an answer is a problem as every error is said, with this place if any; return it."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    assert problem["error"] == code, problem
    assert problem["status"] == status
    assert problem["message"] == problem["detail"] != ""
    assert problem["title"]
    assert problem["type"] == f"urn:fairslot:error:{code.lower().replace('_', '-')}"
    assert ("details" in problem) == (code in DETAILED or place is not None)
    if place is not None:
        assert {"loc": place[0], "type": place[1]} in problem["details"]
    return problem
