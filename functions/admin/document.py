"""The whole team as one document: applied in one transaction, and exported."""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from admin import team_changes
from admin.plan_models import Document, DocumentModel, Plan
from admin.team_changes import Appointments, DryRun
from fairslot.domain.errors import (
    AppointmentsAffectedError,
    ConflictError,
    NotFoundError,
    SlugTakenError,
)
from fairslot.domain.idempotency import ChangeResult
from fairslot.http import api, changes
from fairslot.http.routing import route
from fairslot.platform import db
from fairslot.platform.db import Connection
from fairslot.team import document
from fairslot.team.changes import ChangeRequest, Options

_LARGEST_DOCUMENT = 1024 * 1024
# What the function has, less what it needs to answer.
_LONGEST_SECONDS = 8.5

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@route(
    router,
    "POST",
    "/api/apply",
    scope="admin",
    key="optional",
    errors=(NotFoundError, ConflictError, AppointmentsAffectedError, SlugTakenError),
    largest_body=_LARGEST_DOCUMENT,
    longest_seconds=_LONGEST_SECONDS,
    summary="Apply a document",
)
def apply_document(
    body: Document,
    prune: bool = False,
    dry_run: DryRun = False,
    appointments: Appointments = None,
) -> Response[Plan]:
    """Make coaches, calendars and teams as a document says, in one transaction; return what was changed.

    What is not in the document stays as it is; with `prune` it is deleted. The same document again changes
    nothing.
    """
    options = Options(dry_run=dry_run, appointments=appointments)
    wanted: dict[str, Any] = body.model_dump(mode="json")

    def apply(connection: Connection, asked: ChangeRequest) -> ChangeResult:
        return document.apply(connection, asked, document=wanted, prune=prune)

    if dry_run:
        return team_changes.plan(router, apply, options)
    done = team_changes.make(router, apply, options)
    return changes.respond(router, Plan.model_validate(done.answer["plan"]), replayed=done.replayed)


@route(router, "GET", "/api/export", scope="admin", summary="Export the team as a document")
def export_document() -> DocumentModel:
    """Return the document of what there is. Applied where there is nothing, it makes the same."""
    tenant_id = api.client(router).tenant_id
    found = db.run(lambda connection: document.export(connection, tenant_id=tenant_id))
    return DocumentModel.model_validate(found)
