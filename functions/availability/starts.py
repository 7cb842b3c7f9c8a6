"""Listing bookable starts, and explaining why a start is or is not one."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from availability.models import Availability, ExplainedModel, Explanation
from fairslot.booking import decisions
from fairslot.coach_time import bookable_starts, sync
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.domain.errors import MalformedRequestError, NotFoundError, ValidationError
from fairslot.http import api, pages
from fairslot.http.routing import route
from fairslot.http.types import Id, Instant, Zone
from fairslot.platform import db

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped

_LONGEST = timedelta(days=60)
_MOST = 6_000


@route(
    router,
    "GET",
    "/api/availability",
    scope="read",
    errors=(NotFoundError,),
    summary="List bookable starts",
    responses={200: {"description": "A page.", "content": {"application/json": {"model": Availability}}}},
)
def list_availability(
    calendar_id: Id | None = None,
    days: Annotated[int | None, Query(ge=1, le=60)] = None,
    start: Instant | None = None,
    end: Instant | None = None,
    timezone: Zone | None = None,
    include: Literal["coaches"] | None = None,
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
        with_coaches=include == "coaches",
    )
    page = db.run(lambda connection: _page(connection, tenant_id, calendar_id, window, now))
    return Response(200, "application/json", _written(page, calendar_id, timezone))


@route(
    router,
    "GET",
    "/api/availability/explain",
    scope="read",
    errors=(NotFoundError, ValidationError),
    summary="Explain why a time can or cannot be booked",
)
def explain_availability(calendar_id: Id, start_time: Instant) -> Explanation:
    """Return for each coach of a calendar whether an appointment could start then, and if not, why."""
    tenant_id = api.client(router).tenant_id
    found = db.run(
        lambda connection: decisions.explain(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, start_time=start_time
        )
    )
    coaches = [ExplainedModel.model_validate(one) for one in found]
    return Explanation(calendar_id=calendar_id, start_time=start_time, coaches=coaches)


def _page(
    connection: db.Connection,
    tenant_id: str,
    calendar_id: str | None,
    window: bookable_starts.Window,
    now: datetime,
) -> bookable_starts.Page:
    team = bookable_starts.team(connection, tenant_id=tenant_id, calendar_id=calendar_id, now=now)
    if team.has_unread:
        sync.await_first(connection, calendar_ids=team.calendar_ids, send=send_fetches, now=now)
        team = bookable_starts.team(connection, tenant_id=tenant_id, calendar_id=calendar_id, now=now)
    return bookable_starts.list_starts(connection, team=team, window=window, now=now)


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


def _written(page: bookable_starts.Page, calendar_id: str | None, timezone: str | None) -> str:
    """Write a page as JSON."""
    zone = ZoneInfo(timezone) if timezone else None
    slots = []
    for start in page.starts:
        entry: dict[str, Any] = {
            "start_time": bookable_starts.instant_text(start.slot),
            "end_time": bookable_starts.instant_text(start.end),
            "available_coaches": start.available_coaches,
        }
        if calendar_id is None:
            entry["calendar_id"] = start.calendar_id
        if zone is not None:
            entry["local_start_time"] = bookable_starts.local_text(start.slot, zone)
        if start.coach_ids is not None:
            entry["coach_ids"] = start.coach_ids
        slots.append(entry)
    synced_at = page.synced_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if page.synced_at else None
    answer = {
        "calendar_id": calendar_id,
        "slots": slots,
        "total_available": page.total,
        "synced_at": synced_at,
        "stale": page.stale,
        "next_cursor": pages.cursor(page.next_after[0], str(page.next_after[1])) if page.next_after else None,
    }
    text = _compact(answer)
    if len(text) > pages.LARGEST_PAGE:
        fitting = pages.fitting(slots, lambda one: len(_compact(one)) + 1)
        last = page.starts[len(fitting) - 1]
        text = _compact(
            answer | {"slots": fitting, "next_cursor": pages.cursor(last.calendar_id, str(last.slot))}
        )
    return text


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
