"""Changing an appointment: cancelling, rescheduling, reassigning, and reporting its outcome."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from booking.models import (
    AppointmentModel,
    CancelRequest,
    OutcomeRequest,
    ReassignRequest,
    RescheduleRequest,
)
from fairslot.booking import appointments
from fairslot.domain.errors import IllegalTransitionError, NotFoundError, SlotUnavailableError
from fairslot.http import api, changes
from fairslot.http.routing import route

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
ONE = "/api/appointments/<appointment_id>"


@route(
    router,
    "POST",
    f"{ONE}/cancel",
    scope="write",
    calendars="appointment",
    key="optional",
    errors=(NotFoundError, IllegalTransitionError),
    summary="Cancel an appointment",
)
def cancel_appointment(
    appointment_id: Annotated[UUID, Path()], body: CancelRequest | None = None
) -> Response[AppointmentModel]:
    """Free the time again; unless the coach cancels, the coach's credit is given back."""
    tenant_id, asked = api.client(router).tenant_id, body or CancelRequest()
    return changes.change(
        router,
        AppointmentModel,
        lambda connection, key: appointments.cancel(
            connection,
            tenant_id=tenant_id,
            appointment_id=appointment_id,
            by=asked.by,
            reason=asked.reason,
            key=key,
        ),
    )


@route(
    router,
    "POST",
    f"{ONE}/reschedule",
    scope="write",
    calendars="appointment",
    key="optional",
    errors=(NotFoundError, IllegalTransitionError, SlotUnavailableError),
    summary="Reschedule an appointment",
)
def reschedule_appointment(
    appointment_id: Annotated[UUID, Path()], body: RescheduleRequest
) -> Response[AppointmentModel]:
    """Move an appointment to another start; it stays where it is if the new start is not available."""
    tenant_id = api.client(router).tenant_id
    return changes.change(
        router,
        AppointmentModel,
        lambda connection, key: appointments.reschedule(
            connection,
            tenant_id=tenant_id,
            appointment_id=appointment_id,
            start_time=body.start_time,
            any_coach=body.coach == "any",
            key=key,
        ),
    )


@route(
    router,
    "POST",
    f"{ONE}/reassign",
    scope="write",
    calendars="appointment",
    key="optional",
    errors=(NotFoundError, IllegalTransitionError, SlotUnavailableError),
    summary="Reassign an appointment to another coach",
)
def reassign_appointment(
    appointment_id: Annotated[UUID, Path()], body: ReassignRequest | None = None
) -> Response[AppointmentModel]:
    """Give an appointment to a named coach of the team, or to the one the fairness rule chooses."""
    tenant_id, asked = api.client(router).tenant_id, body or ReassignRequest()
    return changes.change(
        router,
        AppointmentModel,
        lambda connection, key: appointments.reassign(
            connection,
            tenant_id=tenant_id,
            appointment_id=appointment_id,
            coach_id=asked.coach_id,
            reason=asked.reason,
            key=key,
        ),
    )


@route(
    router,
    "POST",
    f"{ONE}/outcome",
    scope="write",
    calendars="appointment",
    key="optional",
    errors=(NotFoundError, IllegalTransitionError),
    summary="Report the outcome of an appointment",
)
def report_outcome(
    appointment_id: Annotated[UUID, Path()], body: OutcomeRequest
) -> Response[AppointmentModel]:
    """Report that the appointment took place or that the customer did not come; it updates the score."""
    tenant_id = api.client(router).tenant_id
    return changes.change(
        router,
        AppointmentModel,
        lambda connection, key: appointments.report_outcome(
            connection, tenant_id=tenant_id, appointment_id=appointment_id, outcome=body.outcome, key=key
        ),
    )
