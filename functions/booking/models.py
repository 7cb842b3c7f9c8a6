"""What booking's routes take and give."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, EmailStr, Field, StringConstraints, model_validator

from fairslot.types import Id, Instant, Name, Zone


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BookingRequest(_Request):
    """A customer's wish: a calendar and a bookable start."""

    calendar_id: Id
    start_time: Instant
    contact_email: EmailStr
    contact_name: Name
    notes: Annotated[str, StringConstraints(max_length=4000)] | None = None
    timezone: Zone | None = None
    metadata: Annotated[dict[str, Any], Field(max_length=50)] = Field(default_factory=dict)


class CancelRequest(_Request):
    """Who cancels and why; a coach who cancels keeps the booking on the account."""

    by: Literal["customer", "coach", "system"] = "customer"
    reason: Annotated[str, StringConstraints(max_length=1000)] | None = None


class Booked(BaseModel):
    """The answer to a booking."""

    appointment_id: UUID
    coach_id: str
    calendar_id: str
    start_time: datetime
    end_time: datetime
    status: Literal["scheduled"]
    version: int


class AppointmentModel(BaseModel):
    """An appointment."""

    appointment_id: UUID
    calendar_id: str
    coach_id: str
    contact_name: str
    contact_email: str
    start_time: datetime
    end_time: datetime
    timezone: str | None
    status: Literal["scheduled", "completed", "no_show", "cancelled", "rescheduled"]
    version: int
    notes: str | None
    metadata: dict[str, Any]
    crm_contact_id: str | None
    external_calendar_id: str | None
    conflict: bool
    created_at: datetime
    updated_at: datetime
    cancelled_at: datetime | None


class AppointmentPage(BaseModel):
    """A page of appointments in order of their start."""

    data: list[AppointmentModel]
    next_cursor: str | None


class CalendarEvent(BaseModel):
    """What a calendar or partner tells; members that the type does not need are kept as they came."""

    model_config = ConfigDict(extra="allow", frozen=True)

    event_type: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    appointment_id: UUID | None = None
    coach_id: Id | None = None
    start_time: Instant | None = None
    end_time: Instant | None = None
    reason: Annotated[str, StringConstraints(max_length=1000)] | None = None

    @model_validator(mode="after")
    def _has_its_subject(self) -> "CalendarEvent":
        if self.event_type in _APPOINTMENT_EVENTS and self.appointment_id is None:
            raise ValueError("appointment_id is missing")
        if self.event_type in _COACH_EVENTS and self.coach_id is None:
            raise ValueError("coach_id is missing")
        if self.start_time and self.end_time and self.end_time <= self.start_time:
            raise ValueError("end_time is not after start_time")
        return self


_APPOINTMENT_EVENTS = {"appointment.cancelled", "appointment.confirmed", "appointment.updated"}
_COACH_EVENTS = {"coach.unavailable", "coach.calendar_changed"}


class Acknowledged(BaseModel):
    """The answer to an event."""

    received: Literal[True] = True
    event_id: UUID
