"""Deliveries of events with their attempts, and sending one again."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from admin.models import DeliveryModel, DeliveryPage
from fairslot.domain.errors import ConflictError, NotFoundError
from fairslot.http import api, changes, pages
from fairslot.http.routing import route
from fairslot.http.types import Instant
from fairslot.platform import db
from fairslot.webhooks import deliveries
from fairslot.webhooks.subscriptions import SentType

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@route(router, "GET", "/api/deliveries", scope="admin", summary="List deliveries")
def list_deliveries(
    endpoint_id: UUID | None = None,
    status: deliveries.DeliveryStatus | None = None,
    event_type: SentType | None = None,
    appointment_id: UUID | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> DeliveryPage:
    """Return a page of deliveries with their attempts, the newest first: `limit` at most, and 1 MB."""
    tenant_id, after = api.client(router).tenant_id, pages.read_cursor(cursor, lambda parts: UUID(parts[0]))
    where = deliveries.Filter(
        endpoint_id=endpoint_id,
        status=status,
        event_type=event_type,
        appointment_id=appointment_id,
        start=start,
        end=end,
    )
    found = db.run(
        lambda connection: deliveries.list_page(
            connection, tenant_id=tenant_id, where=where, after=after, limit=limit + 1
        )
    )
    data, next_cursor = pages.page(
        [DeliveryModel.model_validate(one) for one in found], limit, lambda last: (str(last.delivery_id),)
    )
    return DeliveryPage(data=data, next_cursor=next_cursor)


@route(
    router,
    "GET",
    "/api/deliveries/<delivery_id>",
    scope="admin",
    errors=(NotFoundError,),
    summary="Read a delivery",
)
def get_delivery(delivery_id: Annotated[UUID, Path()]) -> DeliveryModel:
    """Return one delivery with its attempts."""
    tenant_id = api.client(router).tenant_id
    found = db.run(
        lambda connection: deliveries.get(connection, tenant_id=tenant_id, delivery_id=delivery_id)
    )
    return DeliveryModel.model_validate(found)


@route(
    router,
    "POST",
    "/api/deliveries/<delivery_id>/replay",
    scope="admin",
    key="optional",
    errors=(NotFoundError, ConflictError),
    summary="Send a delivery again",
)
def replay_delivery(delivery_id: Annotated[UUID, Path()]) -> Response[DeliveryModel]:
    """Begin another round of attempts at a settled delivery, whatever its status, with the same ids."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    return changes.change(
        router,
        DeliveryModel,
        lambda connection, key: deliveries.replay(
            connection, tenant_id=tenant_id, delivery_id=delivery_id, key=key, now=now
        ),
    )
