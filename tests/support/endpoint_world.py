"""What tests of endpoints and deliveries share: subscribers made over HTTP, and attempts reported at will."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from fairslot.messages.attempts import Attempt
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.gateway_events import KEY, Answer, ask
from tests.support.world import NOW

PATH = "/api/webhook-endpoints"
URL = "https://hooks.example.com/fairslot"


def subscribe(*types: str, key: str = KEY, sent: Any = (), **members: Any) -> Answer:
    """Ask for a subscriber; `sent` are the request's own headers."""
    body = {"url": URL, "event_types": list(types) or ["appointment.*"], **members}
    return ask("POST", PATH, body, key=key, headers=sent)


def subscribed(*types: str, **members: Any) -> dict[str, Any]:
    """Return a subscriber that has to be made."""
    answer = subscribe(*types, **members)
    assert answer.status == 201, answer
    found: dict[str, Any] = answer.json
    return found


def shown(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return an endpoint as it is now."""
    found: dict[str, Any] = ask("GET", f"{PATH}/{endpoint['endpoint_id']}").json
    return found


def delivery(message: dict[str, Any]) -> dict[str, Any]:
    """Return the delivery that a message is of."""
    found: dict[str, Any] = ask("GET", f"/api/deliveries/{message['delivery_id']}").json
    return found


def add_subscriber(connection: Connection, name: str, *types: str) -> None:
    """Make a subscriber; nobody opens its secret here."""
    connection.execute(
        "INSERT INTO webhook_endpoints (tenant_id, kind, url, description, event_types, secret)"
        " VALUES ('default', 'standard', %s, %s, %s, 'ciphertext')",
        (f"https://{name}.example.com/", name, list(types)),
    )


def report(
    connection: Connection,
    message: dict[str, Any],
    error: str | None = None,
    *,
    at: datetime = NOW,
    **more: Any,
) -> list[dict[str, Any]]:
    """Record an attempt, failed where an `error` is given; return the messages that follow from it."""
    values = {
        "attempt": 1,
        "outcome": "delivered" if error is None else "failed",
        "latency_ms": 7,
        "status_code": 200 if error is None else None,
        "error": error,
        "answer": {},
        "round": message.get("round", 1),
        **more,
    }
    made = Attempt(
        delivery_id=UUID(message["delivery_id"]),
        event_id=UUID(message["event_id"]),
        kind=message["kind"],
        type=message["type"],
        at=at,
        **values,
    )
    messages = outbox.record(connection, attempt=Attempt.from_json(made.to_json())).messages
    assert json.loads(json.dumps(messages)) == messages
    return messages
