"""Teams of calendars: who is in them, with which weight and rules."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from admin import team_changes
from admin.calendar_models import MemberModel, MemberPage, MemberPatch, MemberRequest
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
from fairslot.team import members
from fairslot.team.calendars import Calendar
from fairslot.team.changes import Options
from fairslot.team.members import Member

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
PATH = "/api/calendars/<calendar_id>/coaches"
ONE = f"{PATH}/<coach_id>"
_ERRORS = (NotFoundError, ConflictError, AppointmentsAffectedError, PreconditionFailedError)


@route(router, "GET", PATH, scope="admin", errors=(NotFoundError,), summary="List a calendar's team")
def list_team(
    calendar_id: Annotated[Id, Path()],
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> MemberPage:
    """Return a page of a calendar's team by coach: `limit` at most, and 1 MB."""
    tenant_id, after = api.client(router).tenant_id, pages.read_cursor(cursor, lambda parts: parts[0])

    def read(connection: db.Connection) -> list[dict[str, Any]]:
        Calendar(calendar_id).get(connection, tenant_id=tenant_id)
        return [
            *members.list_page(
                connection, tenant_id=tenant_id, calendar_id=calendar_id, after=after, limit=limit + 1
            )
        ]

    data, next_cursor = pages.page(
        [MemberModel.model_validate(one) for one in db.run(read)], limit, lambda last: (last.coach_id,)
    )
    return MemberPage(data=data, next_cursor=next_cursor)


@route(
    router,
    "GET",
    ONE,
    scope="admin",
    errors=(NotFoundError,),
    summary="Read a coach's place in a team",
    responses=team_changes.answers(MemberModel),
)
def get_member(calendar_id: Annotated[Id, Path()], coach_id: Annotated[Id, Path()]) -> Response[MemberModel]:
    """Return a coach's place in a team."""
    return team_changes.read(router, MemberModel, Member(calendar_id, coach_id))


@route(
    router,
    "PUT",
    ONE,
    scope="admin",
    key="optional",
    errors=_ERRORS,
    summary="Add a coach to a team, or change what is set of a member",
    responses=team_changes.answers(MemberModel, plan=True, created=True),
)
def put_member(
    calendar_id: Annotated[Id, Path()],
    coach_id: Annotated[Id, Path()],
    body: MemberRequest | None = None,
    dry_run: DryRun = False,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Any]:
    """Add a coach to a team with no credit and no debt, or replace what is set of a member."""
    return team_changes.put(
        router,
        MemberModel,
        Member(calendar_id, coach_id),
        (body or MemberRequest()).model_dump(mode="json"),
        Options(dry_run=dry_run),
        team_changes.precondition(if_match, if_none_match),
    )


@route(
    router,
    "PATCH",
    ONE,
    scope="admin",
    key="optional",
    errors=_ERRORS,
    summary="Change a coach's place in a team",
    responses=team_changes.answers(MemberModel, plan=True),
)
def patch_member(
    calendar_id: Annotated[Id, Path()],
    coach_id: Annotated[Id, Path()],
    body: MemberPatch,
    dry_run: DryRun = False,
    if_match: IfMatch = None,
) -> Response[Any]:
    """Change the given members (RFC 7396): null removes one, so that its default holds."""
    return team_changes.patch(
        router,
        MemberModel,
        Member(calendar_id, coach_id),
        body,
        MemberRequest,
        Options(dry_run=dry_run),
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
    summary="Remove a coach from a team",
    responses=team_changes.answers(None, plan=True),
)
def delete_member(
    calendar_id: Annotated[Id, Path()],
    coach_id: Annotated[Id, Path()],
    dry_run: DryRun = False,
    appointments: Appointments = None,
    if_match: IfMatch = None,
) -> Response[Any]:
    """Remove a coach from a team. The credit is divided among the rest by weight."""
    return team_changes.delete(
        router,
        Member(calendar_id, coach_id),
        Options(dry_run=dry_run, appointments=appointments),
        team_changes.precondition(if_match),
    )
