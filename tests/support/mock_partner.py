"""A partner without a network, and deliveries for it."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx

from fairslot.dispatch import subscribers
from fairslot.dispatch.result import Result
from fairslot.messages.deliveries import Delivery
from tests.support import deliveries

DELIVERY_ID = UUID(int=1)
EVENT_ID = UUID("0b0f6f9e-52a1-4a8c-8f76-0b4f2d9f7a22")
DATA = deliveries.DATA | {"coach_id": "coach/1", "version": 3, "contact_name": "Zoë"}


def delivery(kind: str, type_: str = "appointment.created", **data: Any) -> Delivery:
    """Make a delivery of one appointment's event."""
    made = deliveries.delivery(kind, type_, **DATA | data)
    timestamp = datetime(2026, 3, 2, 14, tzinfo=UTC)
    return replace(made, delivery_id=DELIVERY_ID, event_id=EVENT_ID, timestamp=timestamp)


class Partner:
    """A partner that gives one answer and remembers what it was sent."""

    def __init__(self, status: int = 200, body: object = b"", **headers: str) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as httpx.MockTransport asks."""
        self.requests.append(request)
        return httpx.Response(self.status, headers=self.headers, stream=httpx.ByteStream(self.body))

    def receive(self, sent: Delivery) -> Result:
        """Make one attempt at a delivery to this partner."""
        return asyncio.run(subscribers.deliver(sent, seconds=5, transport=httpx.MockTransport(self)))

    @property
    def sent(self) -> Any:
        """What the one event's body says."""
        (request,) = (one for one in self.requests if one.method == "POST")
        return json.loads(request.content)
