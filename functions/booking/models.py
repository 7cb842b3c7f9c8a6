"""Requests and answers of booking's routes."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    ConfigDict,
    EmailStr,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from fairslot.domain.json_written import write
from fairslot.http.models import Model, PersonalModel, Request, RequirementModel, example
from fairslot.http.types import Id, Instant, JsonText, Name, Requires, Zone

LARGEST_METADATA = 16 * 1024


def _bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    if len(write(metadata).encode()) > LARGEST_METADATA:
        raise PydanticCustomError("too_large", "metadata is larger than 16 KiB")
    return metadata


Metadata = Annotated[
    dict[str, Any],
    Field(max_length=50, description="16 KiB at most as compact JSON; numbers keep their spelling."),
    AfterValidator(_bounded),
]


class BookingRequest(Request):
    """A booking: a calendar, a bookable start and the customer.

    What is held is booked with the `requires` of the hold; leave them out.
    """

    model_config = example(
        calendar_id="intro",
        start_time="2026-12-01T09:00:00Z",
        contact_email="kim@example.com",
        contact_name="Kim",
        requires=["language:de"],
    )

    calendar_id: Id
    start_time: Instant
    contact_email: EmailStr
    contact_name: Name
    notes: Annotated[str, StringConstraints(max_length=4000)] | None = None
    timezone: Zone | None = None
    metadata: Metadata = Field(default_factory=dict)
    hold_id: UUID | None = None
    requires: Requires = Field(default_factory=list)


class CancelRequest(Request):
    """Who cancels and why; when a coach cancels, the booking still counts as theirs."""

    model_config = example(by="customer", reason="Ill")

    by: Literal["customer", "coach", "system"] = "customer"
    reason: Annotated[str, StringConstraints(max_length=1000)] | None = None


class RescheduleRequest(Request):
    """Another start, with the same coach or the one that the fairness rule chooses."""

    model_config = example(start_time="2026-12-02T09:00:00Z", coach="any")

    start_time: Instant
    coach: Literal["same_coach", "any"] = "same_coach"


class ReassignRequest(Request):
    """Another coach: a named one, or the one that the fairness rule chooses."""

    model_config = example(coach_id="ben", reason="Ann is ill")

    coach_id: Id | None = None
    reason: Annotated[str, StringConstraints(max_length=1000)] | None = None


class OutcomeRequest(Request):
    """How an appointment ended."""

    model_config = example(outcome="completed")

    outcome: Literal["completed", "no_show"]


class HoldRequest(Request):
    """A bookable start, and for how many minutes to hold it."""

    model_config = example(calendar_id="intro", start_time="2026-12-01T09:00:00Z", minutes=5)

    calendar_id: Id
    start_time: Instant
    minutes: Annotated[int, Field(ge=1, le=15)] = 5
    requires: Requires = Field(default_factory=list)


class HoldModel(Model):
    """A hold; a booking confirms it by its hold_id before it expires."""

    hold_id: UUID
    calendar_id: str
    coach_id: str
    start_time: datetime
    end_time: datetime
    expires_at: datetime


class WeighedModel(Model):
    """One coach in a decision; share and credit in bookings, `met` and `missing` of what was required.

    Excluded too: who was not the coach that a person named (`not_named`), and who was to be replaced
    (`replaced`).
    """

    model_config = ConfigDict(from_attributes=True)

    coach_id: str
    eligible: bool
    excluded_reason: (
        Literal[
            "inactive",
            "missing_attribute",
            "not_synced",
            "unverified",
            "outside_working_hours",
            "busy_external",
            "booked",
            "daily_maximum",
            "weekly_maximum",
            "monthly_maximum",
            "weekly_minutes",
            "minimum_notice",
            "buffer",
            "not_named",
            "replaced",
        ]
        | None
    )
    weight: float | None
    share: float | None
    credit_before: float | None
    last_assigned_seq: int | None
    met: list[RequirementModel]
    missing: list[RequirementModel]


class DecisionModel(Model):
    """Why an appointment went to its coach; when it is reversed, its credits were given back.

    `kind` is the kind of hour whose credits it moved.
    """

    model_config = ConfigDict(from_attributes=True)

    appointment_id: UUID
    calendar_id: str
    seq: int
    kind: str
    policy: str
    policy_version: int
    chosen: str
    reason: str
    reversed: bool
    requires: list[RequirementModel]
    candidates: list[WeighedModel]


class Booked(Model):
    """The answer to a booking."""

    appointment_id: UUID
    coach_id: str
    calendar_id: str
    start_time: datetime
    end_time: datetime
    status: Literal["scheduled"]
    version: int


class CalendarEventModel(Model):
    """The appointment's event in one of the coach's own calendars.

    It is `pending` until the calendar has answered, then `confirmed`. `moved` or `deleted`: the coach did
    that, and it stays so. `waiting`: the calendar has to be connected again. `failed`: tried again when the
    calendar can be read. `removing`: it is no longer wanted there.
    """

    source_id: UUID
    state: Literal["pending", "confirmed", "moved", "deleted", "waiting", "failed", "removing"]


class AppointmentModel(PersonalModel):
    """An appointment; once its customer is forgotten, everything about them is null.

    `external_block` is its block in the coach's external calendar: `confirmed`, with the id
    `external_calendar_id`; `unconfirmed`, perhaps there, at its time or an earlier one, with an id that we
    never received; null, none that we know of. `requires` is what the customer asked for beyond what the
    calendar requires.
    """

    appointment_id: UUID
    calendar_id: str
    coach_id: str
    contact_name: str | None
    contact_email: str | None
    start_time: datetime
    end_time: datetime
    timezone: str | None
    status: Literal["scheduled", "completed", "no_show", "cancelled", "rescheduled"]
    version: int
    notes: str | None
    metadata: JsonText
    crm_contact_id: str | None
    external_calendar_id: str | None
    external_block: Literal["confirmed", "unconfirmed"] | None = None
    conflict: bool
    requires: list[str]
    created_at: datetime
    updated_at: datetime
    cancelled_at: datetime | None


class WholeAppointment(AppointmentModel):
    """An appointment with its events in the coach's own calendars, one for each that is written."""

    calendar_events: list[CalendarEventModel]


class AppointmentPage(Model):
    """A page of appointments in order of their start."""

    data: list[AppointmentModel]
    next_cursor: str | None
