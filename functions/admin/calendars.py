"""Calendars: creating, reading, changing and deleting them."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from admin import team_changes
from admin.calendar_models import CalendarModel, CalendarPage, CalendarPatch, CalendarRequest
from admin.settings_types import NewId
from admin.team_changes import Appointments, DryRun, IfMatch, IfNoneMatch
from fairslot.domain.errors import (
    AppointmentsAffectedError,
    ConflictError,
    NotFoundError,
    PreconditionFailedError,
    SlugTakenError,
)
from fairslot.http import api, pages
from fairslot.http.routing import route
from fairslot.http.types import Id
from fairslot.platform import db
from fairslot.team import calendars
from fairslot.team.calendars import Calendar
from fairslot.team.changes import Options

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
PATH = "/api/calendars"
ONE = f"{PATH}/<calendar_id>"
_ERRORS = (NotFoundError, ConflictError, AppointmentsAffectedError, SlugTakenError, PreconditionFailedError)


@route(router, "GET", PATH, scope="admin", summary="List calendars")
def list_calendars(
    active: bool | None = None,
    coach_id: Id | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> CalendarPage:
    """Return a page of calendars by id: `limit` at most, and 1 MB."""
    tenant_id, after = api.client(router).tenant_id, pages.read_cursor(cursor, lambda parts: parts[0])
    found = db.run(
        lambda connection: calendars.list_page(
            connection,
            tenant_id=tenant_id,
            active=active,
            coach_id=coach_id,
            after=after,
            limit=limit + 1,
        )
    )
    data, next_cursor = pages.page(
        [CalendarModel.model_validate(one) for one in found], limit, lambda last: (last.calendar_id,)
    )
    return CalendarPage(data=data, next_cursor=next_cursor)


@route(
    router,
    "GET",
    ONE,
    scope="admin",
    errors=(NotFoundError,),
    summary="Read a calendar",
    responses=team_changes.answers(CalendarModel),
)
def get_calendar(calendar_id: Annotated[Id, Path()]) -> Response[CalendarModel]:
    """Return one calendar."""
    return team_changes.read(router, CalendarModel, Calendar(calendar_id))


@route(
    router,
    "PUT",
    ONE,
    scope="admin",
    key="optional",
    errors=_ERRORS,
    summary="Create or replace a calendar",
    responses=team_changes.answers(CalendarModel, plan=True, created=True),
)
def put_calendar(
    calendar_id: Annotated[NewId, Path()],
    body: CalendarRequest,
    dry_run: DryRun = False,
    appointments: Appointments = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Any]:
    """Create a calendar, or replace everything that is set of one."""
    return team_changes.put(
        router,
        CalendarModel,
        Calendar(calendar_id),
        body.model_dump(mode="json"),
        Options(dry_run=dry_run, appointments=appointments),
        team_changes.precondition(if_match, if_none_match),
    )


@route(
    router,
    "PATCH",
    ONE,
    scope="admin",
    key="optional",
    errors=_ERRORS,
    summary="Change a calendar",
    responses=team_changes.answers(CalendarModel, plan=True),
)
def patch_calendar(
    calendar_id: Annotated[Id, Path()],
    body: CalendarPatch,
    dry_run: DryRun = False,
    appointments: Appointments = None,
    if_match: IfMatch = None,
) -> Response[Any]:
    """Change the given members (RFC 7396): null removes one, so that its default holds."""
    return team_changes.patch(
        router,
        CalendarModel,
        Calendar(calendar_id),
        body,
        CalendarRequest,
        Options(dry_run=dry_run, appointments=appointments),
        team_changes.precondition(if_match),
    )


@route(
    router,
    "DELETE",
    ONE,
    scope="admin",
    key="optional",
    errors=_ERRORS,
    success=204,
    summary="Delete a calendar",
    responses=team_changes.answers(None, plan=True),
)
def delete_calendar(
    calendar_id: Annotated[Id, Path()],
    dry_run: DryRun = False,
    appointments: Appointments = None,
    if_match: IfMatch = None,
) -> Response[Any]:
    """Delete a calendar, whose team leaves it. Appointments and decisions that there were stay on record."""
    return team_changes.delete(
        router,
        Calendar(calendar_id),
        Options(dry_run=dry_run, appointments=appointments),
        team_changes.precondition(if_match),
    )
