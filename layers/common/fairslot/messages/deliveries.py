"""What travels over DeliveriesQueue (one delivery a message) and ResultsQueue (one attempt a message)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, JsonValue, TypeAdapter, ValidationError

# `held`: nothing was sent, and the delivery will be looked at again.
Outcome = Literal["delivered", "retrying", "failed", "held"]


class MessageError(ValueError):
    """The message does not have the agreed shape."""

    def __init__(self) -> None:
        """Say no more than that: what is wrong with a customer's data is not for the logs."""
        super().__init__(type(self).__doc__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentData:
    """What an `appointment.*` event says; instants are RFC 3339 text in UTC and pass through unread."""

    appointment_id: str
    coach_id: str
    start_time: str
    end_time: str
    status: str
    version: int
    calendar_id: str | None = None
    contact_name: str | None = None
    contact_email: str | None = None
    timezone: str | None = None
    contact_id: str | None = None
    block_id: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one subscriber; `kind` is `crm`, `calendar_api` or `standard`, but any text is read.

    Only `standard` has an address, `headers` and `secrets` of its own: ciphertexts, the newest first, more
    than one while one replaces the other. `concurrency` and `rate_per_second` bound what one dispatcher does
    to the endpoint. `revision` is the endpoint's of when the message was made. `round` tells the attempts of
    one series from those of a replay. What was held back is another message, which carries how many
    `attempts` were made before it and `since` when the delivery is under way.
    """

    delivery_id: UUID
    event_id: UUID
    kind: str
    type: str
    timestamp: AwareDatetime
    version: int
    data: Mapping[str, JsonValue]
    url: str | None = None
    endpoint_id: UUID | None = None
    revision: int = 1
    round: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    concurrency: int | None = None
    rate_per_second: float | None = None
    attempts: Annotated[int, Field(ge=0)] = 0
    since: AwareDatetime | None = None

    @staticmethod
    def from_json(body: str) -> "Delivery":
        """Read a message's body; members that are not known are passed over. Raises MessageError."""
        return _read(_DELIVERY, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return _write(_DELIVERY, self)

    def appointment(self) -> AppointmentData:
        """Read `data` as an appointment's. Raises MessageError."""
        try:
            return _APPOINTMENT.validate_python(self.data)
        except ValidationError:
            # Its text quotes the values, which are a customer's.
            raise MessageError from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of one attempt at a delivery, or why none was made yet.

    `attempt` counts from 1, and what is held back says how many were made so far; `answer` holds what is
    kept of the partner's answer: `{"crm_id": …}`, `{"block_id": …}` or nothing. Of a calendar's list it
    holds `{"found_block_id": …}`, the block at that very time, or `{"absent": "true"}`. By `receipt_handle`
    the message that asked for the attempt can be taken off the queue; `revision` is the message's.
    """

    delivery_id: UUID
    event_id: UUID
    kind: str
    type: str
    attempt: int
    at: AwareDatetime
    outcome: Outcome
    latency_ms: int
    status_code: int | None = None
    error: str | None = None
    response_excerpt: str = ""
    answer: Mapping[str, str]
    next_attempt_at: AwareDatetime | None = None
    round: int = 1
    revision: int = 1
    receipt_handle: str | None = None

    @staticmethod
    def from_json(body: str) -> "Attempt":
        """Read a message's body; members that are not known are passed over. Raises MessageError."""
        return _read(_ATTEMPT, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return _write(_ATTEMPT, self)


_APPOINTMENT = TypeAdapter(AppointmentData)
_DELIVERY = TypeAdapter(Delivery)
_ATTEMPT = TypeAdapter(Attempt)


def _read[T](adapter: TypeAdapter[T], body: str) -> T:
    try:
        return adapter.validate_json(body)
    except ValidationError:
        # Its text quotes the values, which are a customer's.
        raise MessageError from None


def _write[T](adapter: TypeAdapter[T], message: T) -> str:
    # Escaped to ASCII: SQS refuses a body with characters outside XML's, such as U+FFFF.
    return json.dumps(adapter.dump_python(message, mode="json"), separators=(",", ":"))
