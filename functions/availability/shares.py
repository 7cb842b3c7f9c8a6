"""How the work is shared among the coaches."""

from datetime import timedelta

from aws_lambda_powertools.event_handler.api_gateway import Router

from availability.models import DistributionModel
from fairslot.booking import distribution
from fairslot.domain.errors import MalformedRequestError, NotFoundError
from fairslot.http import api, routing
from fairslot.http.routing import route
from fairslot.http.types import Id, Instant
from fairslot.platform import db

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped

_PERIOD = timedelta(days=30)


@route(
    router,
    "GET",
    "/api/coaches/distribution",
    scope="read",
    calendars="named",
    errors=(NotFoundError,),
    summary="Report how the work is shared",
)
def get_distribution(
    calendar_id: Id | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
) -> DistributionModel:
    """Return each coach's entitled and actual share; by default of the last 30 days and the next 30."""
    now, tenant_id = api.clock(), api.client(router).tenant_id
    seen = routing.calendars_of_caller(router)
    first, last = start or now - _PERIOD, end or now + _PERIOD
    if last <= first:
        raise MalformedRequestError("end must be after start.", [("query.end", "not_after_start")])
    found = db.run(
        lambda connection: distribution.distribution(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, start=first, end=last, seen=seen
        )
    )
    return DistributionModel.model_validate(found)
