"""Appointments: book, change and read them; each change is one call of a database function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from psycopg.types.json import Jsonb

from fairslot.domain.errors import NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.domain.json_written import write
from fairslot.platform.db import Connection
from fairslot.platform.idempotent import call
from fairslot.platform.queries import queries

type Status = Literal["scheduled", "completed", "no_show", "cancelled", "rescheduled"]
type Canceller = Literal["customer", "coach", "system"]
type ExternalBlock = Literal["confirmed", "unconfirmed"]
type Outcome = Literal["completed", "no_show"]
type EventState = Literal["pending", "confirmed", "moved", "deleted", "waiting", "failed", "removing"]

_SQL = queries("appointments")


@dataclass(frozen=True, kw_only=True)
class Booked:
    """The answer to a booking; instants are UTC."""

    appointment_id: UUID
    calendar_id: str
    coach_id: str
    start_time: datetime
    end_time: datetime
    status: Status
    version: int

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Read what booked_json() or appointment_json() of the database wrote."""
        values = dict(given)
        values["appointment_id"] = UUID(values["appointment_id"])
        for name in ("start_time", "end_time", "created_at", "updated_at", "cancelled_at"):
            values[name] = datetime.fromisoformat(values[name]) if values.get(name) else None
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


@dataclass(frozen=True, kw_only=True)
class Appointment(Booked):
    """An appointment as the API shows it; `metadata` is the text of a JSON object."""

    contact_name: str | None
    contact_email: str | None
    timezone: str | None
    notes: str | None
    metadata: str
    crm_contact_id: str | None
    external_calendar_id: str | None
    conflict: bool
    requires: Sequence[str]
    created_at: datetime
    updated_at: datetime
    cancelled_at: datetime | None
    external_block: ExternalBlock | None = None
    calendar_events: Sequence["CalendarEvent"] = ()


@dataclass(frozen=True, kw_only=True)
class CalendarEvent:
    """How the appointment's event stands in one of the coach's calendars."""

    source_id: UUID
    state: EventState


@dataclass(frozen=True, kw_only=True)
class Contact:
    """Who books; `requires` is what they ask of a coach beyond the calendar: name:value, sorted."""

    name: str
    email: str
    notes: str | None = None
    timezone: str | None = None
    requires: Sequence[str] = ()


def book(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str,
    start_time: datetime,
    contact: Contact,
    metadata: Mapping[str, Any],
    key: Key,
    now: datetime | None = None,
    hold_id: UUID | None = None,
) -> ChangeResult:
    """Book the calendar at an instant with the coach whose turn it is, or with the coach of the hold.

    What a hold was made with stands, so a booking of it requires the same or nothing. Without `now` the
    database's clock counts, here as in every change.

    Raises:
        SlotUnavailableError: no coach of the team is free then.
        HoldExpiredError: the hold is gone.
        NotFoundError: the tenant has no such calendar.
        ValidationError: the instant is past or off the calendar's grid, nobody meets `requires`, or
            the hold is for something else.
        IdempotencyKeyReusedError: the key was used for another request.

    """
    values = {
        "tenant": tenant_id,
        "calendar": calendar_id,
        "start": start_time,
        "name": contact.name,
        "email": contact.email,
        "notes": contact.notes,
        "timezone": contact.timezone,
        "metadata": Jsonb(write(metadata)),  # as a string: jsonb would change how its numbers are written
        "hold": hold_id,
        "now": now,
        "requires": [*contact.requires] or None,
    }
    return call(connection, "appointments", "book", values, key)


def cancel(
    connection: Connection,
    *,
    tenant_id: str,
    appointment_id: UUID,
    by: Canceller,
    reason: str | None,
    key: Key,
    now: datetime | None = None,
) -> ChangeResult:
    """Cancel an appointment: its time is free again, and unless the coach cancels, the credits go back.

    Raises:
        NotFoundError: the tenant has no such appointment.
        IllegalTransitionError: it is not scheduled.

    """
    values = {"tenant": tenant_id, "appointment": appointment_id, "by": by, "reason": reason, "now": now}
    return call(connection, "appointments", "cancel", values, key)


def reschedule(
    connection: Connection,
    *,
    tenant_id: str,
    appointment_id: UUID,
    start_time: datetime,
    any_coach: bool,
    key: Key,
    now: datetime | None = None,
) -> ChangeResult:
    """Move an appointment to another start, with its coach or with whoever's turn it is.

    It keeps its old time if the new one is not free. With the same coach the credits stay.

    Raises:
        SlotUnavailableError: the coach, or everybody, is busy then.
        NotFoundError, IllegalTransitionError, ValidationError: as for booking and cancelling.

    """
    values = {
        "tenant": tenant_id,
        "appointment": appointment_id,
        "start": start_time,
        "any": any_coach,
        "now": now,
    }
    return call(connection, "appointments", "reschedule", values, key)


def reassign(
    connection: Connection,
    *,
    tenant_id: str,
    appointment_id: UUID,
    coach_id: str | None,
    reason: str | None,
    key: Key,
    now: datetime | None = None,
) -> ChangeResult:
    """Hand an appointment to a named coach of the team, or to whoever's turn it is among the others.

    Raises:
        SlotUnavailableError: that coach, or everybody else, is busy then.
        NotFoundError, IllegalTransitionError, ValidationError: as for booking and cancelling.

    """
    values = {
        "tenant": tenant_id,
        "appointment": appointment_id,
        "coach": coach_id,
        "reason": reason,
        "now": now,
    }
    return call(connection, "appointments", "reassign", values, key)


def report_outcome(
    connection: Connection,
    *,
    tenant_id: str,
    appointment_id: UUID,
    outcome: Outcome,
    key: Key,
    now: datetime | None = None,
) -> ChangeResult:
    """Store how an appointment ended, and update the coach's score and the weights that follow from it.

    Raises:
        NotFoundError: the tenant has no such appointment.
        IllegalTransitionError: it is not scheduled.

    """
    values = {"tenant": tenant_id, "appointment": appointment_id, "outcome": outcome, "now": now}
    return call(connection, "appointments", "report_outcome", values, key)


def get(connection: Connection, *, tenant_id: str, appointment_id: UUID) -> Appointment:
    """Return one appointment, with its events; NotFoundError when the tenant has no such appointment."""
    values = {"tenant": tenant_id, "appointment": appointment_id}
    row = connection.execute(_SQL["get"], values).fetchone()
    if row is None:
        raise NotFoundError("There is no such appointment.")
    events = [
        CalendarEvent(source_id=UUID(one["source_id"]), state=one["state"]) for one in row["calendar_events"]
    ]
    return replace(Appointment.from_json(row["appointment"]), calendar_events=tuple(events))


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which appointments: None matches all; instants bound start_time, the end exclusive.

    `seen`: the calendars that the caller may see.
    """

    coach_id: str | None = None
    calendar_id: str | None = None
    status: Status | None = None
    start: datetime | None = None
    end: datetime | None = None
    seen: Sequence[str] | None = None


def list_page(
    connection: Connection,
    *,
    tenant_id: str,
    where: Filter,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Appointment]:
    """Return up to `limit` appointments in order of (start_time, appointment_id), after the given one."""
    values = {
        "tenant": tenant_id,
        "coach": where.coach_id,
        "calendar": where.calendar_id,
        "seen": where.seen,
        "status": where.status,
        "start": where.start,
        "end": where.end,
        "after_start": after[0] if after else None,
        "after_id": after[1] if after else None,
        "limit": limit,
    }
    return [
        Appointment.from_json(row["appointment"]) for row in connection.execute(_SQL["list_page"], values)
    ]
