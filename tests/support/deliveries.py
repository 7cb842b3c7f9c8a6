"""Deliveries as the dispatcher receives them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from fairslot.messages.attempts import Attempt
from fairslot.messages.deliveries import Delivery
from fairslot.platform import signing_secrets

KMS_KEY = "alias/test/webhooks"
DATA: dict[str, Any] = {
    "appointment_id": "a-1",
    "calendar_id": "cal-1",
    "coach_id": "coach-1",
    "start_time": "2026-03-03T09:00:00Z",
    "end_time": "2026-03-03T09:30:00Z",
    "status": "scheduled",
    "version": 1,
    "contact_name": "Zoë Secret",
    "contact_email": "zoe@example.com",
    "timezone": "Europe/Paris",
    "contact_id": None,
    "block_id": None,
}


def delivery(kind: str = "crm", type_: str = "appointment.created", **data: Any) -> Delivery:
    """Make a delivery with ids of its own."""
    return Delivery(
        delivery_id=uuid4(),
        event_id=uuid4(),
        kind=kind,
        type=type_,
        timestamp=datetime.now(UTC),
        version=1,
        data={**DATA, **data},
    )


def subscription(url: str, *secrets_: str, type_: str = "appointment.created", **members: Any) -> Delivery:
    """Make a delivery for an endpoint of its own, with what it signs by locked up by the key."""
    endpoint_id = uuid4()
    locked = tuple(
        signing_secrets.encrypt(one, signing_secrets.for_endpoint(endpoint_id))
        for one in secrets_ or [signing_secrets.make()]
    )
    made = {"endpoint_id": endpoint_id, "url": url, "secrets": locked, **members}
    return replace(delivery("standard", type_), **made)


def idempotency_keys(*deliveries: Delivery) -> list[str]:
    """Return the deliveries' idempotency keys: the event's for the CRM, its own for a calendar."""
    return [
        str(delivery.event_id if delivery.kind == "crm" else delivery.delivery_id) for delivery in deliveries
    ]


def ids(attempts: Sequence[Attempt]) -> set[UUID]:
    """Return what the attempts were for."""
    return {attempt.delivery_id for attempt in attempts}
