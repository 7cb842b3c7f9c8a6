"""Events that calendars and partners send."""

from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from booking.event_models import Acknowledged, CalendarEvent
from fairslot.coach_time import inbound
from fairslot.http import api, changes
from fairslot.http.routing import route
from fairslot.platform import db

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@route(
    router,
    "POST",
    "/api/webhooks/calendar",
    scope="write",
    calendars="all",  # what a coach's calendar says is about every calendar of the coach
    key="required",
    signed=True,
    summary="Receive a calendar event",
)
def receive_calendar_event(body: CalendarEvent, source: UUID | None = None) -> Response[Acknowledged]:
    """Store an event, then process it; a repeated key is acknowledged and not processed again.

    Instead of an API key the request may be signed after Standard Webhooks 1.0 by the `source`: then
    `webhook-id` is the idempotency key.
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    key = changes.idempotency_key(router)
    received = db.run(
        lambda connection: inbound.receive(
            connection,
            tenant_id=tenant_id,
            key=key,
            kind=body.event_type,
            body=body.model_dump(mode="json"),
            now=now,
        )
    )
    if received.fresh:
        inbound.act_on(received.event_id, now=now)
    return changes.respond(router, Acknowledged(event_id=received.event_id), replayed=not received.fresh)
