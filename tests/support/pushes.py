"""Notifications of calendars' providers, as the gateway hands them to the function."""

import json
from typing import Any
from uuid import uuid4

from fairslot.calendars.push_secret import Channel, PushSecrets

PUSH_SECRET = "the tests' own of thirty-two characters"
SECRETS = PushSecrets([PUSH_SECRET])


def push_event(
    path: str, body: str | None = None, *, headers: dict[str, str] | None = None, query: str = ""
) -> dict[str, Any]:
    """Return the event of a POST (payload 2.0); header names come in lower case."""
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": f"POST {path}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": "application/json", **(headers or {})},
        "requestContext": {
            "http": {"method": "POST", "path": path, "sourceIp": "192.0.2.1"},
            "requestId": str(uuid4()),
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        event["body"] = body
    return event


def google_push(channel: Channel, *, state: str = "exists", token: str | None = None) -> dict[str, Any]:
    """Return a notification as Google sends it: all of it is in the headers."""
    headers = {
        "x-goog-channel-id": "01234567-89ab-cdef-0123456789ab",
        "x-goog-channel-token": SECRETS.make(channel) if token is None else token,
        "x-goog-resource-id": "ret08u3rv24htgh289g",
        "x-goog-resource-state": state,
        "x-goog-message-number": "10",
    }
    return push_event("/calendar-push/google", headers=headers)


def graph_notification(channel: Channel, **more: object) -> dict[str, object]:
    """Return one notification as Microsoft Graph makes it."""
    return {
        "subscriptionId": "f37536ac-b308-4bc7-b239-b2b51cd2ff24",
        "changeType": "updated",
        "resource": "Users/x/Events/y",
        "clientState": SECRETS.make(channel),
        **more,
    }


def graph_push(*notifications: object) -> dict[str, Any]:
    """Return a request of Microsoft Graph, which tells of many things at a time."""
    return push_event("/calendar-push/microsoft", json.dumps({"value": notifications}))
