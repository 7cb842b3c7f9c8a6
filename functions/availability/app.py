"""Say when calendars can be booked, how the work is shared, and whether all is well."""

import json
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.utilities.typing import LambdaContext

from availability.models import (
    Availability,
    Dependency,
    DistributionModel,
    ExplainedModel,
    Explanation,
    Health,
    Outbox,
)
from fairslot.booking import decisions, distribution
from fairslot.coach_time import bookable_starts, sync
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.domain.errors import FairslotError, MalformedRequestError
from fairslot.http import api, pages
from fairslot.http.types import Id, Instant, Zone
from fairslot.platform import cache, db, time_limit
from fairslot.platform.observability import logger, metrics
from fairslot.platform.settings import settings
from fairslot.webhooks import outbox

app = api.resolver()

_LONGEST = timedelta(days=60)
_MOST = 6_000
_PERIOD = timedelta(days=30)
_HEALTH_SECONDS = 3.0


@app.get(
    "/api/availability",
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
    """Return the starts at which a calendar, or every calendar, can be booked, from the stored slots.

    A page has `limit` starts and 1 MB at the most.
    """
    now, tenant_id = api.clock(), api.client(app).tenant_id
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


@app.get("/api/availability/explain", summary="Why a time can or cannot be booked")
def explain_availability(calendar_id: Id, start_time: Instant) -> Response[Explanation]:
    """Say of each coach of a calendar whether an appointment could start then, and if not, why."""
    tenant_id = api.client(app).tenant_id
    found = db.run(
        lambda connection: decisions.explain(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, start_time=start_time
        )
    )
    coaches = [ExplainedModel.model_validate(one) for one in found]
    return api.json_response(
        200, Explanation(calendar_id=calendar_id, start_time=start_time, coaches=coaches)
    )


@app.get("/api/coaches/distribution", summary="How the work is shared")
def get_distribution(
    calendar_id: Id | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
) -> Response[DistributionModel]:
    """Return each coach's entitled and actual share; by default of the last 30 days and the next 30."""
    now, tenant_id = api.clock(), api.client(app).tenant_id
    first, last = start or now - _PERIOD, end or now + _PERIOD
    if last <= first:
        raise MalformedRequestError("end is not after start.", [("query.end", "not_after_start")])
    found = db.run(
        lambda connection: distribution.distribution(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, start=first, end=last
        )
    )
    return api.json_response(200, DistributionModel.model_validate(found))


@app.get(
    "/health",
    summary="Whether bookings can be taken",
    responses={
        200: {"description": "They can.", "content": {"application/json": {"model": Health}}},
        503: {"description": "They cannot.", "content": {"application/json": {"model": Health}}},
    },
)
def get_health() -> Response[Health]:
    """Return 200 while bookings can be taken, else 503, with the state of each dependency."""
    try:
        with time_limit.within(_HEALTH_SECONDS):
            waiting, database = db.run(lambda connection: outbox.waiting(connection, now=api.clock())), "ok"
    except FairslotError:
        waiting, database = 0, "down"
    cached = "unused" if not settings().redis_url else "ok" if cache.is_alive() else "down"
    status = "down" if database == "down" else "degraded" if cached == "down" or waiting else "ok"
    health = Health.model_validate(
        {
            "status": status,
            "database": Dependency.model_validate({"status": database}),
            "cache": Dependency.model_validate({"status": cached}),
            "outbox": Outbox(status="ok" if database == "ok" else "down", waiting=waiting),
        }
    )
    return api.json_response(503 if database == "down" else 200, health)


@app.get("/openapi.json", summary="This contract", include_in_schema=False)
def get_contract() -> Response[str]:
    """Return the OpenAPI description, made from the handlers' own types when the layer is built."""
    return Response(200, "application/json", files("fairslot").joinpath("openapi.json").read_text("utf-8"))


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
    """Return the instants between which starts are asked for."""
    if days is not None and (start is not None or end is not None):
        raise MalformedRequestError("Give days, or start and end.", [("query.days", "not_with_start_or_end")])
    first = start or now
    last = end or first + timedelta(days=days or 7)
    if last <= first:
        raise MalformedRequestError("end is not after start.", [("query.end", "not_after_start")])
    if last - first > _LONGEST:
        raise MalformedRequestError("At most 60 days at once.", [("query.end", "too_far_from_start")])
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


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer an API Gateway event."""
    return api.serve(app, event, context)
