"""What becomes of an appointment: moved, handed over, reported on; and why its coach was chosen."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from booking.models import (
    AppointmentModel,
    DecisionModel,
    OutcomeRequest,
    ReassignRequest,
    RescheduleRequest,
)
from fairslot.booking import appointments, decisions
from fairslot.http import api
from fairslot.platform import db
from fairslot.webhooks import publishing

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@router.post("/api/appointments/<appointment_id>/reschedule", summary="Move an appointment")
def reschedule_appointment(
    appointment_id: Annotated[UUID, Path()], body: RescheduleRequest
) -> Response[AppointmentModel]:
    """Move an appointment to another start; the old one is kept if the new one is not to be had."""
    tenant_id = api.client(router).tenant_id
    answer, headers = api.change(
        router,
        "reschedule",
        lambda connection, key: appointments.reschedule(
            connection,
            tenant_id=tenant_id,
            appointment_id=appointment_id,
            start_time=body.start_time,
            any_coach=body.coach == "any",
            key=key,
        ),
        publishing.publish,
    )
    return api.json_response(200, AppointmentModel.model_validate(answer), headers)


@router.post("/api/appointments/<appointment_id>/reassign", summary="Hand an appointment to another coach")
def reassign_appointment(
    appointment_id: Annotated[UUID, Path()], body: ReassignRequest | None = None
) -> Response[AppointmentModel]:
    """Hand an appointment to a named coach of the team, or to whoever's turn it is among the others."""
    tenant_id, asked = api.client(router).tenant_id, body or ReassignRequest()
    answer, headers = api.change(
        router,
        "reassign",
        lambda connection, key: appointments.reassign(
            connection,
            tenant_id=tenant_id,
            appointment_id=appointment_id,
            coach_id=asked.coach_id,
            reason=asked.reason,
            key=key,
        ),
        publishing.publish,
    )
    return api.json_response(200, AppointmentModel.model_validate(answer), headers)


@router.post("/api/appointments/<appointment_id>/outcome", summary="Say how an appointment ended")
def report_outcome(
    appointment_id: Annotated[UUID, Path()], body: OutcomeRequest
) -> Response[AppointmentModel]:
    """Report that the appointment took place or that the customer did not come; the coach's score learns."""
    tenant_id = api.client(router).tenant_id
    answer, headers = api.change(
        router,
        "outcome",
        lambda connection, key: appointments.report_outcome(
            connection, tenant_id=tenant_id, appointment_id=appointment_id, outcome=body.outcome, key=key
        ),
        publishing.publish,
    )
    return api.json_response(200, AppointmentModel.model_validate(answer), headers)


@router.get("/api/appointments/<appointment_id>/decision", summary="Why this coach")
def get_decision(appointment_id: Annotated[UUID, Path()]) -> Response[DecisionModel]:
    """Return the standing decision: every coach of the team, what they were owed, and why not the others."""
    tenant_id = api.client(router).tenant_id
    found = db.run(
        lambda connection: decisions.decision(connection, tenant_id=tenant_id, appointment_id=appointment_id)
    )
    return api.json_response(200, DecisionModel.model_validate(found))
