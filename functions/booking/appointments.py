"""Booking appointments and reading them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from booking.models import (
    AppointmentModel,
    AppointmentPage,
    Booked,
    BookingRequest,
    DecisionModel,
    WholeAppointment,
)
from fairslot.booking import appointments, decisions
from fairslot.coach_time import recheck
from fairslot.domain.errors import HoldExpiredError, NotFoundError, SlotUnavailableError
from fairslot.http import api, changes, pages, routing
from fairslot.http.routing import route
from fairslot.http.types import Id, Instant
from fairslot.platform import db

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@route(
    router,
    "POST",
    "/api/appointments",
    scope="write",
    calendars="named",
    key="optional",
    errors=(NotFoundError, SlotUnavailableError, HoldExpiredError),
    success=201,
    measured="Bookings",
    summary="Book an appointment",
)
def create_appointment(body: BookingRequest) -> Response[Booked]:
    """Book a bookable start; the fairness rule chooses the coach."""
    tenant_id = api.client(router).tenant_id
    contact = appointments.Contact(
        name=body.contact_name,
        email=body.contact_email,
        notes=body.notes,
        timezone=body.timezone,
        requires=body.requires,
    )
    return changes.change(
        router,
        Booked,
        lambda connection, key: recheck.having_asked(
            connection,
            lambda: appointments.book(
                connection,
                tenant_id=tenant_id,
                calendar_id=body.calendar_id,
                start_time=body.start_time,
                contact=contact,
                metadata=body.metadata,
                key=key,
                hold_id=body.hold_id,
            ),
        ),
    )


@route(
    router,
    "GET",
    "/api/appointments",
    scope="read",
    calendars="listed",
    summary="List appointments",
)
def list_appointments(
    coach_id: Id | None = None,
    calendar_id: Id | None = None,
    status: appointments.Status | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AppointmentPage:
    """Return a page of appointments in order of their start: `limit` of them at most, and 1 MB."""
    tenant_id, after = api.client(router).tenant_id, pages.read_cursor(cursor, _position)
    where = appointments.Filter(
        coach_id=coach_id,
        calendar_id=calendar_id,
        status=status,
        start=start,
        end=end,
        seen=routing.calendars_of_caller(router),
    )
    found = db.run(
        lambda connection: appointments.list_page(
            connection, tenant_id=tenant_id, where=where, after=after, limit=limit + 1
        )
    )
    data, next_cursor = pages.page(
        [AppointmentModel.model_validate(one, from_attributes=True) for one in found],
        limit,
        lambda last: (last.start_time.isoformat(), str(last.appointment_id)),
    )
    return AppointmentPage(data=data, next_cursor=next_cursor)


@route(
    router,
    "GET",
    "/api/appointments/<appointment_id>",
    scope="read",
    calendars="appointment",
    errors=(NotFoundError,),
    summary="Read an appointment",
)
def get_appointment(appointment_id: Annotated[UUID, Path()]) -> WholeAppointment:
    """Return one appointment."""
    tenant_id = api.client(router).tenant_id
    found = db.run(
        lambda connection: appointments.get(connection, tenant_id=tenant_id, appointment_id=appointment_id)
    )
    return WholeAppointment.model_validate(found, from_attributes=True)


@route(
    router,
    "GET",
    "/api/appointments/<appointment_id>/decision",
    scope="read",
    calendars="appointment",
    errors=(NotFoundError,),
    summary="Explain the choice of the coach",
)
def get_decision(appointment_id: Annotated[UUID, Path()]) -> DecisionModel:
    """Return the decision in force: every coach of the team, what they were owed, and why not the others."""
    tenant_id = api.client(router).tenant_id
    found = db.run(
        lambda connection: decisions.decision(connection, tenant_id=tenant_id, appointment_id=appointment_id)
    )
    return DecisionModel.model_validate(found)


def _position(parts: list[str]) -> tuple[datetime, UUID]:
    start, appointment_id = parts
    return datetime.fromisoformat(start), UUID(appointment_id)
