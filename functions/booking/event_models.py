"""The events that a calendar or a partner sends."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from fairslot.http.models import Model, example
from fairslot.http.types import Id, Instant

_APPOINTMENT_EVENTS = {"appointment.cancelled", "appointment.confirmed", "appointment.updated"}
_ABSENCE_EVENTS = {"coach.unavailable", "coach.available"}
_COACH_EVENTS = _ABSENCE_EVENTS | {"coach.calendar_changed"}


class CalendarEvent(Model):
    """An event from a calendar or partner.

    The members below belong to the event types that we know. An event of an unknown type is stored as it
    came, whatever its members are; so is any other member.
    """

    model_config = ConfigDict(extra="allow", frozen=True) | example(
        event_type="coach.unavailable",
        coach_id="ann",
        start_time="2026-12-01T09:00:00Z",
        end_time="2026-12-01T17:00:00Z",
    )

    event_type: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    appointment_id: UUID | None = None
    coach_id: Id | None = None
    start_time: Instant | None = None
    end_time: Instant | None = None
    reason: Annotated[str, StringConstraints(max_length=1000)] | None = None

    _unread: dict[str, Any] | None = PrivateAttr(None)

    @model_validator(mode="wrap")
    @classmethod
    def _validate_known_type(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        kind = given.get("event_type") if isinstance(given, dict) else None
        if not isinstance(kind, str) or kind in _APPOINTMENT_EVENTS | _COACH_EVENTS:
            return read(given)
        event = read({"event_type": kind})
        event._unread = given  # noqa: SLF001 - of its own class
        return event

    @model_serializer(mode="wrap")
    def _as_it_came(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self) if self._unread is None else self._unread
        return written

    @model_validator(mode="after")
    def _has_required_members(self) -> "CalendarEvent":
        if self.event_type in _APPOINTMENT_EVENTS and self.appointment_id is None:
            raise ValueError("appointment_id is missing")
        if self.event_type in _COACH_EVENTS and self.coach_id is None:
            raise ValueError("coach_id is missing")
        if self.event_type in _ABSENCE_EVENTS and (self.start_time is None) != (self.end_time is None):
            raise ValueError("give both start_time and end_time, or neither")
        if self.start_time and self.end_time and self.end_time <= self.start_time:
            raise ValueError("end_time must be after start_time")
        return self


class Acknowledged(Model):
    """The answer to an event."""

    received: Literal[True] = True
    event_id: UUID
