"""The external calendars of coaches: adding, listing, changing and deleting them."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID, uuid4

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from admin import team_changes
from admin.source_models import SourceModel, SourcePage, SourcePatch, SourceRequest, SourceSettings
from admin.team_changes import DryRun, IfMatch
from fairslot.coach_time import sync
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.domain.errors import ConflictError, NotFoundError, PreconditionFailedError
from fairslot.domain.json_written import write
from fairslot.http import api
from fairslot.http.routing import route
from fairslot.http.types import Id
from fairslot.platform import after_answer, db, signing_secrets
from fairslot.team import connections, sources
from fairslot.team.changes import Options
from fairslot.team.sources import Credentials, Source

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
PATH = "/api/coaches/<coach_id>/sources"
ONE = f"{PATH}/<source_id>"
_ERRORS = (NotFoundError, ConflictError, PreconditionFailedError)


@route(router, "GET", PATH, scope="admin", errors=(NotFoundError,), summary="List a coach's sources")
def list_calendar_sources(coach_id: Annotated[Id, Path()]) -> SourcePage:
    """Return the external calendars of a coach, and how each of them goes."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    found = db.run(
        lambda connection: sources.list_all(connection, tenant_id=tenant_id, coach_id=coach_id, now=now)
    )
    return SourcePage(data=[SourceModel.model_validate(one) for one in found])


@route(
    router,
    "GET",
    ONE,
    scope="admin",
    errors=(NotFoundError,),
    summary="Read a source",
    responses=team_changes.answers(SourceModel),
)
def get_calendar_source(
    coach_id: Annotated[Id, Path()], source_id: Annotated[UUID, Path()]
) -> Response[SourceModel]:
    """Return one external calendar of a coach. Its entity tag is of what is set, not of how it goes."""
    return team_changes.read(router, SourceModel, Source(coach_id, source_id, now=api.clock()))


@route(
    router,
    "POST",
    PATH,
    scope="admin",
    key="optional",
    errors=_ERRORS,
    success=201,
    summary="Add a source",
    responses=team_changes.answers(SourceModel, plan=True, created=True),
)
def create_calendar_source(
    coach_id: Annotated[Id, Path()], body: SourceRequest, dry_run: DryRun = False
) -> Response[Any]:
    """Add an external calendar. It is read at once, and until then nobody can book the coach."""
    source_id = uuid4()
    given = _credentials(source_id, body.username, body.password, dry_run=dry_run) if body.password else None
    answer = team_changes.put(
        router,
        SourceModel,
        Source(coach_id, source_id, given, now=api.clock()),
        body.model_dump(mode="json", exclude={"password"}),
        Options(dry_run=dry_run),
    )
    if not dry_run:
        _request(coach_id)
    return answer


@route(
    router,
    "PATCH",
    ONE,
    scope="admin",
    key="optional",
    errors=_ERRORS,
    summary="Change a source",
    responses=team_changes.answers(SourceModel, plan=True),
)
def patch_calendar_source(
    coach_id: Annotated[Id, Path()],
    source_id: Annotated[UUID, Path()],
    body: SourcePatch,
    dry_run: DryRun = False,
    if_match: IfMatch = None,
) -> Response[Any]:
    """Change the given members (RFC 7396). It is read again at once, whatever ended it.

    Another address, account or calendar was never read: until it was, nobody can book the coach.
    """
    given = None
    if "password" in body.model_fields_set:
        given = _credentials(source_id, body.username, body.password, dry_run=dry_run)
    settings = SourcePatch.model_construct(
        body.model_fields_set - {"password"}, **body.model_dump(exclude={"password"})
    )
    answer = team_changes.patch(
        router,
        SourceModel,
        Source(coach_id, source_id, given, now=api.clock()),
        settings,
        SourceSettings,
        Options(dry_run=dry_run),
        team_changes.precondition(if_match),
    )
    if not dry_run:
        _request(coach_id)
    return answer


@route(
    router,
    "DELETE",
    ONE,
    scope="admin",
    key="optional",
    errors=_ERRORS,
    success=204,
    summary="Delete a source",
    responses=team_changes.answers(None, plan=True),
)
def delete_calendar_source(
    coach_id: Annotated[Id, Path()],
    source_id: Annotated[UUID, Path()],
    dry_run: DryRun = False,
    if_match: IfMatch = None,
) -> Response[Any]:
    """Delete an external calendar and its credentials. The time that no other one takes is free again.

    What a coach had allowed at a provider is ended there, unless another source has the same account.
    """
    tenant_id = api.client(router).tenant_id
    grant = db.run(
        lambda connection: connections.grant_of(
            connection, tenant_id=tenant_id, coach_id=coach_id, source_id=source_id
        )
    )
    answer = team_changes.delete(
        router,
        Source(coach_id, source_id, now=api.clock()),
        Options(dry_run=dry_run),
        team_changes.precondition(if_match),
    )
    if grant is not None and not dry_run:
        after_answer.run(partial(send_fetches, [grant]))
    return answer


def _credentials(
    source_id: UUID, username: str | None, password: str | None, *, dry_run: bool
) -> Credentials:
    """Return what a source is read with as ciphertext; a dry run stores none and makes none."""
    if password is None or dry_run:
        return Credentials(None)
    text = write({"username": username, "password": password})
    return Credentials(signing_secrets.encrypt(text, signing_secrets.for_calendar(source_id)))


def _request(coach_id: str) -> None:
    """Have the coach's sources read now; lost here, that comes with the schedule."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    fetches = db.run(
        lambda connection: sync.request(connection, tenant_id=tenant_id, coach_ids=[coach_id], now=now)
    )
    after_answer.run(partial(send_fetches, fetches))
