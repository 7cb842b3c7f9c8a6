"""Hold a time while a customer fills in a form."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from booking.models import HoldModel, HoldRequest
from fairslot.booking import holds
from fairslot.http import api
from fairslot.webhooks import publishing

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@router.post("/api/holds", summary="Hold a time", status_code=201)
def create_hold(body: HoldRequest) -> Response[HoldModel]:
    """Claim a bookable start for some minutes with the coach whose turn it is."""
    client = api.client(router)
    answer, headers = api.change(
        router,
        "hold",
        lambda connection, key: holds.hold(
            connection,
            tenant_id=client.tenant_id,
            client_id=client.key_id,
            calendar_id=body.calendar_id,
            start_time=body.start_time,
            minutes=body.minutes,
            key=key,
        ),
        publishing.publish,
    )
    return api.json_response(201, HoldModel.model_validate(answer), headers)


@router.delete("/api/holds/<hold_id>", summary="Give a held time back", status_code=204)
def delete_hold(hold_id: Annotated[UUID, Path()]) -> Response[None]:
    """Give the time back before the hold expires."""
    tenant_id = api.client(router).tenant_id
    _, headers = api.change(
        router,
        "release",
        lambda connection, key: holds.release(connection, tenant_id=tenant_id, hold_id=hold_id, key=key),
        publishing.publish,
    )
    return Response(204, headers=dict(headers))
