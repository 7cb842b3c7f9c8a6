"""A partner without a network, and deliveries for it."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx

from fairslot.dispatch import subscribers
from fairslot.dispatch.subscribers import Result
from fairslot.messages.deliveries import Delivery

DELIVERY_ID = UUID(int=1)
EVENT_ID = UUID("0b0f6f9e-52a1-4a8c-8f76-0b4f2d9f7a22")
DATA: dict[str, Any] = {
    "appointment_id": "a-1",
    "calendar_id": "cal-1",
    "coach_id": "coach/1",
    "start_time": "2026-03-03T09:00:00Z",
    "end_time": "2026-03-03T09:30:00Z",
    "status": "scheduled",
    "version": 3,
    "contact_name": "Zoë",
    "contact_email": "zoe@example.com",
    "timezone": "Europe/Paris",
    "contact_id": None,
    "block_id": None,
}


def delivery(kind: str, type_: str = "appointment.created", **data: Any) -> Delivery:
    """Make a delivery of one appointment's event."""
    return Delivery(
        delivery_id=DELIVERY_ID,
        event_id=EVENT_ID,
        kind=kind,
        type=type_,
        timestamp=datetime(2026, 3, 2, 14, tzinfo=UTC),
        version=1,
        data={**DATA, **data},
    )


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
