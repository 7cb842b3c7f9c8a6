"""What subscribers receive, as part of the HTTP contract; docs/webhooks.md has the details."""

from typing import get_args

from fairslot.webhooks.subscriptions import SentType
from tools.openapi_components import Json

_TEXT: Json = {"type": "string"}
_HEADERS = {
    "webhook-id": "The event's id: the same at every attempt and every replay.",
    "webhook-timestamp": "When this attempt was made, in Unix seconds.",
    "webhook-signature": "One or more `v1,…`, separated by spaces (Standard Webhooks 1.0).",
    "X-Idempotency-Key": "The same as `webhook-id`.",
}


def webhooks() -> Json:
    """Return the one request that every subscriber receives."""
    body = {
        "type": "object",
        "properties": {
            "type": {**_TEXT, "enum": list(get_args(SentType))},
            "timestamp": {**_TEXT, "format": "date-time", "description": "When it happened."},
            "version": {
                "type": "integer",
                "description": "The number of the appointment's change; 1 for other events.",
            },
            "data": {"type": "object", "description": "Ids, times and status; no names or addresses."},
        },
        "required": ["type", "timestamp", "version", "data"],
    }
    headers = [
        {"name": name, "in": "header", "required": True, "description": about, "schema": _TEXT}
        for name, about in _HEADERS.items()
    ]
    operation = {
        "operationId": "receive_event",
        "summary": "What a subscriber receives",
        "description": "At least once, in any order. New members can come at any time.",
        "security": [],
        "parameters": headers,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "2XX": {"description": "The event was received."},
            "410": {"description": "No more events are wanted: the endpoint will be turned off."},
            "default": {"description": "The event is sent again later."},
        },
    }
    return {"event": {"post": operation}}
