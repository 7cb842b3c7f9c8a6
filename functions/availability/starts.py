"""Listing bookable starts, and explaining why a start is or is not one."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from availability.models import Availability, ExplainedModel, Explanation
from availability.page_text import Form, represented
from fairslot.booking import decisions
from fairslot.coach_time import bookable_starts, sync
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.coach_time.soonest import Soonest
from fairslot.domain.errors import MalformedRequestError, NotFoundError, ValidationError
from fairslot.http import api, pages, routing
from fairslot.http.representation import accepts_gzip, response
from fairslot.http.routing import route
from fairslot.http.types import Id, Instant, Requirement, Zone
from fairslot.platform import db

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped

kept = KeptTeams()
Asked = Annotated[
    list[Requirement] | None,
    Query(max_length=10, description="Attributes, `name:value`, that a coach must have too; repeatable."),
]
_LONGEST = timedelta(days=60)
_MOST = 6_000


@route(
    router,
    "GET",
    "/api/availability",
    scope="read",
    calendars="named",
    errors=(NotFoundError,),
    summary="List bookable starts",
    conditional=True,
    responses={200: {"description": "A page.", "content": {"application/json": {"model": Availability}}}},
)
def list_availability(
    calendar_id: Id | None = None,
    days: Annotated[int | None, Query(ge=1, le=60)] = None,
    start: Instant | None = None,
    end: Instant | None = None,
    timezone: Zone | None = None,
    include: Literal["coaches"] | None = None,
    requires: Asked = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = _MOST,
) -> Response[str]:
    """Return the starts at which a calendar, or every calendar, can be booked, from stored slots.

    A page has `limit` starts and 1 MB at most.
    """
    now, tenant_id = api.clock(), api.client(router).tenant_id
    first, last = _period(now, days, start, end)
    window = bookable_starts.Window(
        start=first,
        end=last,
        limit=limit,
        after=pages.read_cursor(cursor, lambda parts: (parts[0], int(parts[1]))),
    )
    asked, seen = in_order(requires), routing.calendars_of_caller(router)
    page = db.run(lambda connection: _page(connection, tenant_id, calendar_id, window, asked, now, seen=seen))
    form = Form(
        zone=timezone,
        with_calendar=calendar_id is None,
        with_coaches=include == "coaches",
        requires=asked,
    )
    headers = router.current_event.headers
    made = represented(page, calendar_id, form, compressed=accepts_gzip(headers.get("accept-encoding", "")))
    if calendar_id is not None:
        kept.weigh(tenant_id, calendar_id)
    return response(made, headers)


@route(
    router,
    "GET",
    "/api/availability/explain",
    scope="read",
    calendars="named",
    errors=(NotFoundError, ValidationError),
    summary="Explain why a time can or cannot be booked",
)
def explain_availability(calendar_id: Id, start_time: Instant, requires: Asked = None) -> Explanation:
    """Return for each coach of a calendar whether an appointment could start then, and if not, why."""
    tenant_id = api.client(router).tenant_id
    found = db.run(
        lambda connection: decisions.explain(
            connection,
            tenant_id=tenant_id,
            calendar_id=calendar_id,
            start_time=start_time,
            requires=in_order(requires),
        )
    )
    kind = db.run(
        lambda connection: decisions.kind_of(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, start_time=start_time
        )
    )
    coaches = [ExplainedModel.model_validate(one) for one in found]
    return Explanation(calendar_id=calendar_id, start_time=start_time, kind=kind, coaches=coaches)


def in_order(requires: Asked) -> tuple[str, ...]:
    """Return what is asked for, each once, in the one order."""
    return tuple(sorted(set(requires or ())))


def _page(
    connection: db.Connection,
    tenant_id: str,
    calendar_id: str | None,
    window: bookable_starts.Window,
    requires: tuple[str, ...],
    now: datetime,
    *,
    seen: Sequence[str] | None,
) -> bookable_starts.Page:
    def read() -> bookable_starts.Page:
        return bookable_starts.list_starts(
            connection,
            tenant_id=tenant_id,
            calendar_id=calendar_id,
            window=window,
            now=now,
            kept=kept,
            requires=requires,
            seen=seen,
        )

    return after_first_readings(connection, tenant_id, read, now)


def after_first_readings[T: (bookable_starts.Page, Soonest)](
    connection: db.Connection, tenant_id: str, read: Callable[[], T], now: datetime
) -> T:
    """Return what `read` does; where a calendar was never read, after its first reading or a limited wait."""
    found = read()
    if found.unread:
        sync.await_first(
            connection, tenant_id=tenant_id, calendar_ids=found.unread, send=send_fetches, now=now
        )
        found = read()
    return found


def _period(
    now: datetime, days: int | None, start: datetime | None, end: datetime | None
) -> tuple[datetime, datetime]:
    """Return the instants between which starts are asked for, by default those of the next seven days."""
    if days is not None and (start is not None or end is not None):
        raise MalformedRequestError(
            "Give either days or start and end.", [("query.days", "not_with_start_or_end")]
        )
    first = start or now
    last = end or first + timedelta(days=days or 7)
    if last <= first:
        raise MalformedRequestError("end must be after start.", [("query.end", "not_after_start")])
    if last - first > _LONGEST:
        raise MalformedRequestError(
            "Ask for 60 days at most in one request.", [("query.end", "too_far_from_start")]
        )
    return first, last
