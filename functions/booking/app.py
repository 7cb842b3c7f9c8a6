"""Book and cancel appointments, read them, and take in what calendars tell."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext

from booking import appointment_changes, holds
from booking.models import (
    Acknowledged,
    AppointmentModel,
    AppointmentPage,
    Booked,
    BookingRequest,
    CalendarEvent,
    CancelRequest,
)
from fairslot.booking import appointments
from fairslot.coach_time import inbound
from fairslot.coach_time.inbound import act_on
from fairslot.http import api, pages
from fairslot.http.types import Id, Instant
from fairslot.platform import db
from fairslot.platform.observability import logger, metrics
from fairslot.webhooks import publishing

app = api.resolver()
app.include_router(appointment_changes.router)
app.include_router(holds.router)


@app.post("/api/appointments", summary="Book a time", status_code=201)
def create_appointment(body: BookingRequest) -> Response[Booked]:
    """Book a bookable start; the coach is the one whose turn it is."""
    tenant_id = api.client(app).tenant_id
    answer, headers = api.change(
        app,
        "book",
        lambda connection, key: appointments.book(
            connection,
            tenant_id=tenant_id,
            calendar_id=body.calendar_id,
            start_time=body.start_time,
            contact=appointments.Contact(
                name=body.contact_name, email=body.contact_email, notes=body.notes, timezone=body.timezone
            ),
            metadata=body.metadata,
            key=key,
            hold_id=body.hold_id,
        ),
        publishing.publish,
    )
    return api.json_response(201, Booked.model_validate(answer), headers)


@app.get("/api/appointments", summary="List appointments")
def list_appointments(
    coach_id: Id | None = None,
    calendar_id: Id | None = None,
    status: appointments.Status | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response[AppointmentPage]:
    """Return a page of appointments in order of their start: `limit` of them at most, and 1 MB."""
    tenant_id, after = api.client(app).tenant_id, pages.read_cursor(cursor, _position)
    where = appointments.Filter(
        coach_id=coach_id, calendar_id=calendar_id, status=status, start=start, end=end
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
    return api.json_response(200, AppointmentPage(data=data, next_cursor=next_cursor))


@app.get("/api/appointments/<appointment_id>", summary="Read an appointment")
def get_appointment(appointment_id: Annotated[UUID, Path()]) -> Response[AppointmentModel]:
    """Return one appointment."""
    tenant_id = api.client(app).tenant_id
    found = db.run(
        lambda connection: appointments.get(connection, tenant_id=tenant_id, appointment_id=appointment_id)
    )
    return api.json_response(200, AppointmentModel.model_validate(found, from_attributes=True))


@app.post("/api/appointments/<appointment_id>/cancel", summary="Cancel an appointment")
def cancel_appointment(
    appointment_id: Annotated[UUID, Path()], body: CancelRequest | None = None
) -> Response[AppointmentModel]:
    """Free the time again; unless the coach cancels, the coach's credit goes back."""
    tenant_id, asked = api.client(app).tenant_id, body or CancelRequest()
    answer, headers = api.change(
        app,
        "cancel",
        lambda connection, key: appointments.cancel(
            connection,
            tenant_id=tenant_id,
            appointment_id=appointment_id,
            by=asked.by,
            reason=asked.reason,
            key=key,
        ),
        publishing.publish,
    )
    return api.json_response(200, AppointmentModel.model_validate(answer), headers)


@app.post("/api/webhooks/calendar", summary="Tell of a change in a calendar")
def receive_calendar_event(body: CalendarEvent, source: UUID | None = None) -> Response[Acknowledged]:
    """Keep an event, then act on it; the same key again is acknowledged and not acted on.

    Instead of a key it may come signed after Standard Webhooks 1.0 by the `source`: then `webhook-id` is the
    idempotency key.
    """
    tenant_id, now = api.client(app).tenant_id, api.clock()
    key = api.idempotency_key(app, required=True)
    kept = db.run(
        lambda connection: inbound.receive(
            connection,
            tenant_id=tenant_id,
            key=key,
            kind=body.event_type,
            body=body.model_dump(mode="json"),
            now=now,
        )
    )
    if kept.fresh:
        act_on(kept.event_id, now=now)
    headers = {} if kept.fresh else {"Idempotent-Replayed": "true"}
    return api.json_response(200, Acknowledged(event_id=kept.event_id), headers)


def _position(parts: list[str]) -> tuple[datetime, UUID]:
    start, appointment_id = parts
    return datetime.fromisoformat(start), UUID(appointment_id)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer an API Gateway event."""
    return api.serve(app, event, context)
