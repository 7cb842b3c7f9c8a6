"""Holding a time while a customer fills in a form."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from booking.models import HoldModel, HoldRequest
from fairslot.booking import holds
from fairslot.coach_time import recheck
from fairslot.domain.errors import HoldLimitError, NotFoundError, SlotUnavailableError
from fairslot.http import api, changes
from fairslot.http.routing import route

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@route(
    router,
    "POST",
    "/api/holds",
    scope="write",
    calendars="named",
    key="optional",
    errors=(NotFoundError, SlotUnavailableError, HoldLimitError),
    success=201,
    summary="Hold a time",
)
def create_hold(body: HoldRequest) -> Response[HoldModel]:
    """Hold a bookable start for some minutes; the fairness rule chooses the coach."""
    client = api.client(router)
    return changes.change(
        router,
        HoldModel,
        lambda connection, key: recheck.having_asked(
            connection,
            lambda: holds.hold(
                connection,
                tenant_id=client.tenant_id,
                client_id=client.key_id,
                calendar_id=body.calendar_id,
                start_time=body.start_time,
                minutes=body.minutes,
                key=key,
                requires=body.requires,
            ),
        ),
    )


@route(
    router,
    "DELETE",
    "/api/holds/<hold_id>",
    scope="write",
    calendars="hold",
    key="optional",
    errors=(NotFoundError,),
    success=204,
    summary="Release a hold",
)
def delete_hold(hold_id: Annotated[UUID, Path()]) -> Response[None]:
    """Release the time before the hold expires."""
    tenant_id = api.client(router).tenant_id
    return changes.delete(
        router,
        lambda connection, key: holds.release(connection, tenant_id=tenant_id, hold_id=hold_id, key=key),
    )
