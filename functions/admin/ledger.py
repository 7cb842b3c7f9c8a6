"""A calendar's ledger: adjustments by a person, and the record of every step."""

from typing import Annotated, Any
from uuid import uuid4

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from admin import team_changes
from admin.ledger_models import (
    AdjustmentModel,
    AdjustmentPage,
    AdjustmentRequest,
    CreditModel,
    RecordPage,
    StepModel,
)
from admin.team_changes import DryRun
from fairslot.booking import record
from fairslot.domain.errors import ConflictError, NotFoundError
from fairslot.http import api, pages
from fairslot.http.routing import route
from fairslot.http.types import Id
from fairslot.platform import db
from fairslot.team import adjustments
from fairslot.team.adjustments import Adjustment
from fairslot.team.changes import Options

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
ADJUSTMENTS = "/api/calendars/<calendar_id>/adjustments"
RECORD = "/api/calendars/<calendar_id>/record"


@route(
    router,
    "POST",
    ADJUSTMENTS,
    scope="admin",
    key="optional",
    errors=(NotFoundError, ConflictError),
    success=201,
    summary="Adjust what a coach is owed",
    responses=team_changes.answers(AdjustmentModel, plan=True, created=True),
)
def create_adjustment(
    calendar_id: Annotated[Id, Path()], body: AdjustmentRequest, dry_run: DryRun = False
) -> Response[Any]:
    """Correct the ledger: the coach is owed that many bookings more, and the rest of the team pays."""
    return team_changes.put(
        router,
        AdjustmentModel,
        Adjustment(calendar_id, uuid4()),
        body.model_dump(),
        Options(dry_run=dry_run),
    )


@route(router, "GET", ADJUSTMENTS, scope="admin", errors=(NotFoundError,), summary="List adjustments")
def list_adjustments(
    calendar_id: Annotated[Id, Path()],
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AdjustmentPage:
    """Return a page of a calendar's adjustments in their order: `limit` at most, and 1 MB."""
    tenant_id, after = api.client(router).tenant_id, pages.read_cursor(cursor, _seq)
    found = db.run(
        lambda connection: adjustments.list_page(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, after=after, limit=limit + 1
        )
    )
    data, next_cursor = pages.page(
        [AdjustmentModel.model_validate(one) for one in found], limit, lambda last: (str(last.seq),)
    )
    return AdjustmentPage(data=data, next_cursor=next_cursor)


@route(router, "GET", RECORD, scope="admin", errors=(NotFoundError,), summary="Read the record")
def read_record(
    calendar_id: Annotated[Id, Path()],
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> RecordPage:
    """Return a page of the steps that moved credits: `limit` at most, fewer of a large team, and 1 MB."""
    tenant_id, after = api.client(router).tenant_id, pages.read_cursor(cursor, _seq)
    found = db.run(
        lambda connection: record.read(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, after=after, limit=limit
        )
    )
    if not found.steps:
        return RecordPage(data=[], next_cursor=None, credits=_credits(found))
    data, next_cursor = pages.page(
        [StepModel.model_validate(one) for one in found.steps], found.limit, lambda last: (str(last.seq),)
    )
    return RecordPage(data=data, next_cursor=next_cursor, credits=None if next_cursor else _credits(found))


def _credits(found: record.Page) -> list[CreditModel]:
    return [CreditModel.model_validate(one) for one in found.credits]


def _seq(parts: list[str]) -> int:
    """Read the number in a cursor, which has to fit a bigint."""
    seq = int(parts[0])
    if not 0 <= seq < 2**63:
        raise ValueError(seq)
    return seq
