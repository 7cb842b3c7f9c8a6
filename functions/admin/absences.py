"""Absences of coaches."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID, uuid4

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from admin import team_changes
from admin.coach_models import AbsenceModel, AbsencePage, AbsencePatch, AbsenceRequest
from admin.team_changes import Appointments, DryRun, IfMatch, IfNoneMatch
from fairslot.coach_time import sync
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.domain.errors import (
    AppointmentsAffectedError,
    ConflictError,
    NotFoundError,
    PreconditionFailedError,
)
from fairslot.http import api, pages
from fairslot.http.routing import route
from fairslot.http.types import Id, Instant
from fairslot.platform import after_answer, db
from fairslot.team import absences
from fairslot.team.absences import Absence
from fairslot.team.changes import Options

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
PATH = "/api/coaches/<coach_id>/absences"
ONE = f"{PATH}/<absence_id>"
_ERRORS = (NotFoundError, ConflictError, AppointmentsAffectedError)
_OF_ONE = (*_ERRORS, PreconditionFailedError)


@route(router, "GET", PATH, scope="admin", errors=(NotFoundError,), summary="List a coach's absences")
def list_absences(
    coach_id: Annotated[Id, Path()],
    start: Instant | None = None,
    end: Instant | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AbsencePage:
    """Return a page of a coach's absences that touch a period, by their start: `limit` at most, and 1 MB."""
    tenant_id, after = api.client(router).tenant_id, pages.read_cursor(cursor, _position)
    found = db.run(
        lambda connection: absences.list_page(
            connection,
            tenant_id=tenant_id,
            coach_id=coach_id,
            start=start,
            end=end,
            after=after,
            limit=limit + 1,
        )
    )
    data, next_cursor = pages.page(
        [AbsenceModel.model_validate(one) for one in found],
        limit,
        lambda last: (last.start.isoformat(), str(last.absence_id)),
    )
    return AbsencePage(data=data, next_cursor=next_cursor)


@route(
    router,
    "GET",
    ONE,
    scope="admin",
    errors=(NotFoundError,),
    summary="Read an absence",
    responses=team_changes.answers(AbsenceModel),
)
def get_absence(
    coach_id: Annotated[Id, Path()], absence_id: Annotated[UUID, Path()]
) -> Response[AbsenceModel]:
    """Return one absence."""
    return team_changes.read(router, AbsenceModel, Absence(coach_id, absence_id))


@route(
    router,
    "POST",
    PATH,
    scope="admin",
    key="optional",
    errors=_ERRORS,
    success=201,
    summary="Add an absence",
    responses=team_changes.answers(AbsenceModel, plan=True, created=True),
)
def create_absence(
    coach_id: Annotated[Id, Path()],
    body: AbsenceRequest,
    dry_run: DryRun = False,
    appointments: Appointments = None,
) -> Response[Any]:
    """Close a coach's time, whatever calendars say. Who is away is not passed over: no credit moves by it."""
    return team_changes.put(
        router,
        AbsenceModel,
        Absence(coach_id, uuid4()),
        body.model_dump(),
        Options(dry_run=dry_run, appointments=appointments, reason=body.reason),
    )


@route(
    router,
    "PUT",
    ONE,
    scope="admin",
    key="optional",
    errors=_OF_ONE,
    summary="Create or replace an absence",
    responses=team_changes.answers(AbsenceModel, plan=True, created=True),
)
def put_absence(
    coach_id: Annotated[Id, Path()],
    absence_id: Annotated[UUID, Path()],
    body: AbsenceRequest,
    dry_run: DryRun = False,
    appointments: Appointments = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Any]:
    """Add an absence under an id of the caller's, or replace one: what it no longer closes is free again."""
    now, expected = api.clock(), team_changes.precondition(if_match, if_none_match)
    options = Options(dry_run=dry_run, appointments=appointments, reason=body.reason)
    answer = team_changes.put(
        router, AbsenceModel, Absence(coach_id, absence_id), body.model_dump(), options, expected
    )
    if not dry_run:
        _read_again(coach_id, now)
    return answer


@route(
    router,
    "PATCH",
    ONE,
    scope="admin",
    key="optional",
    errors=_OF_ONE,
    summary="Change an absence",
    responses=team_changes.answers(AbsenceModel, plan=True),
)
def patch_absence(
    coach_id: Annotated[Id, Path()],
    absence_id: Annotated[UUID, Path()],
    body: AbsencePatch,
    dry_run: DryRun = False,
    appointments: Appointments = None,
    if_match: IfMatch = None,
) -> Response[Any]:
    """Change the given members (RFC 7396), such as when it ends."""
    now, expected = api.clock(), team_changes.precondition(if_match)
    options = Options(dry_run=dry_run, appointments=appointments, reason=body.reason)
    answer = team_changes.patch(
        router, AbsenceModel, Absence(coach_id, absence_id), body, AbsenceRequest, options, expected
    )
    if not dry_run:
        _read_again(coach_id, now)
    return answer


@route(
    router,
    "DELETE",
    ONE,
    scope="admin",
    key="optional",
    errors=(NotFoundError, ConflictError, PreconditionFailedError),
    success=204,
    summary="Delete an absence",
    responses=team_changes.answers(None, plan=True),
)
def delete_absence(
    coach_id: Annotated[Id, Path()],
    absence_id: Annotated[UUID, Path()],
    dry_run: DryRun = False,
    if_match: IfMatch = None,
) -> Response[Any]:
    """Delete an absence. A coach with an external calendar is free again once that was read."""
    now, expected = api.clock(), team_changes.precondition(if_match)
    answer = team_changes.delete(router, Absence(coach_id, absence_id), Options(dry_run=dry_run), expected)
    if not dry_run:
        _read_again(coach_id, now)
    return answer


def _read_again(coach_id: str, now: datetime) -> None:
    """Have an external calendar read: it says what is free where an absence no longer is."""
    # Lost here, the request comes with the schedule.
    tenant_id, coaches = api.client(router).tenant_id, [coach_id]
    fetches = db.run(
        lambda connection: sync.request(connection, tenant_id=tenant_id, coach_ids=coaches, now=now)
    )
    after_answer.run(partial(send_fetches, fetches))


def _position(parts: list[str]) -> tuple[datetime, UUID]:
    start, absence_id = parts
    return datetime.fromisoformat(start), UUID(absence_id)
