"""Endpoints and their deliveries: rows made at will, and subscribers made and read over HTTP."""

from typing import Any

from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from tests.support.http import KEY, Answer, ask, body_of
from tests.support.tables import set_columns
from tests.support.team import TENANT

PATH = "/api/webhook-endpoints"
URL = "https://hooks.example.com/fairslot"


def add_endpoint(connection: Connection, kind: str, *types: str) -> None:
    """Add the endpoint of a partner, for events of these types."""
    connection.execute(
        queries("admin")["add_endpoint"], {"tenant": TENANT, "kind": kind, "types": list(types)}
    )


def add_subscriber(connection: Connection, name: str, *types: str) -> None:
    """Add a subscriber; its secret cannot be decrypted."""
    connection.execute(
        "INSERT INTO webhook_endpoints (tenant_id, kind, url, description, event_types, secret)"
        " VALUES ('default', 'standard', %s, %s, %s, 'ciphertext')",
        (f"https://{name}.example.com/", name, list(types)),
    )


def set_endpoint(connection: Connection, kind: str | None = None, **columns: Any) -> None:
    """Set columns of the endpoints of one kind, or of every endpoint."""
    set_columns(connection, "webhook_endpoints", {"kind": kind}, columns)


def set_delivery(connection: Connection, delivery_id: object = None, **columns: Any) -> None:
    """Set columns of one delivery, or of every delivery."""
    set_columns(connection, "webhook_deliveries", {"delivery_id": delivery_id}, columns)


def subscribe(*types: str, key: str = KEY, sent: Any = (), **members: Any) -> Answer:
    """Ask for a subscriber; `sent` are the request's own headers."""
    body = {"url": URL, "event_types": list(types) or ["appointment.*"], **members}
    return ask("POST", PATH, body, key=key, headers=sent)


def subscribed(*types: str, **members: Any) -> dict[str, Any]:
    """Return a subscriber that has to be made."""
    return body_of(subscribe(*types, **members), 201)


def get_endpoint(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return an endpoint as it is now."""
    return body_of(ask("GET", f"{PATH}/{endpoint['endpoint_id']}"))


def get_delivery(message: dict[str, Any]) -> dict[str, Any]:
    """Return the delivery of a message as it is now."""
    return body_of(ask("GET", f"/api/deliveries/{message['delivery_id']}"))
