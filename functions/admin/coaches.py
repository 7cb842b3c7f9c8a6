"""Coaches: creating, reading, changing and deleting them."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from admin import team_changes
from admin.coach_models import CoachModel, CoachPage, CoachPatch, CoachRequest
from admin.settings_types import NewId
from admin.team_changes import Appointments, DryRun, IfMatch, IfNoneMatch
from fairslot.domain.errors import (
    AppointmentsAffectedError,
    ConflictError,
    NotFoundError,
    PreconditionFailedError,
)
from fairslot.http import api, pages
from fairslot.http.routing import route
from fairslot.http.types import Id
from fairslot.platform import db
from fairslot.team import coaches
from fairslot.team.changes import Options
from fairslot.team.coaches import Coach

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
PATH = "/api/coaches"
ONE = f"{PATH}/<coach_id>"
_ERRORS = (NotFoundError, ConflictError, AppointmentsAffectedError, PreconditionFailedError)


@route(router, "GET", PATH, scope="admin", summary="List coaches")
def list_coaches(
    active: bool | None = None,
    calendar_id: Id | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> CoachPage:
    """Return a page of coaches by id: `limit` at most, and 1 MB."""
    tenant_id, after = api.client(router).tenant_id, pages.read_cursor(cursor, lambda parts: parts[0])
    found = db.run(
        lambda connection: coaches.list_page(
            connection,
            tenant_id=tenant_id,
            active=active,
            calendar_id=calendar_id,
            after=after,
            limit=limit + 1,
        )
    )
    data, next_cursor = pages.page(
        [CoachModel.model_validate(one) for one in found], limit, lambda last: (last.coach_id,)
    )
    return CoachPage(data=data, next_cursor=next_cursor)


@route(
    router,
    "GET",
    ONE,
    scope="admin",
    errors=(NotFoundError,),
    summary="Read a coach",
    responses=team_changes.answers(CoachModel),
)
def get_coach(coach_id: Annotated[Id, Path()]) -> Response[CoachModel]:
    """Return one coach."""
    return team_changes.read(router, CoachModel, Coach(coach_id))


@route(
    router,
    "PUT",
    ONE,
    scope="admin",
    key="optional",
    errors=_ERRORS,
    summary="Create or replace a coach",
    responses=team_changes.answers(CoachModel, plan=True, created=True),
)
def put_coach(
    coach_id: Annotated[NewId, Path()],
    body: CoachRequest,
    dry_run: DryRun = False,
    appointments: Appointments = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Any]:
    """Create a coach, or replace everything that is set of one."""
    return team_changes.put(
        router,
        CoachModel,
        Coach(coach_id),
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
    summary="Change a coach",
    responses=team_changes.answers(CoachModel, plan=True),
)
def patch_coach(
    coach_id: Annotated[Id, Path()],
    body: CoachPatch,
    dry_run: DryRun = False,
    appointments: Appointments = None,
    if_match: IfMatch = None,
) -> Response[Any]:
    """Change the given members (RFC 7396): null removes one, so that its default holds."""
    return team_changes.patch(
        router,
        CoachModel,
        Coach(coach_id),
        body,
        CoachRequest,
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
    summary="Delete a coach",
    responses=team_changes.answers(None, plan=True),
)
def delete_coach(
    coach_id: Annotated[Id, Path()],
    dry_run: DryRun = False,
    appointments: Appointments = None,
    if_match: IfMatch = None,
) -> Response[Any]:
    """Delete a coach, who leaves every team. Appointments and decisions that there were stay on record."""
    return team_changes.delete(
        router,
        Coach(coach_id),
        Options(dry_run=dry_run, appointments=appointments),
        team_changes.precondition(if_match),
    )
