"""The audit: who changed what."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import AfterValidator, StringConstraints

from admin.audit_models import AuditEntry, AuditPage
from fairslot.http import api, pages
from fairslot.http.routing import route
from fairslot.http.types import Instant, storable
from fairslot.platform import audit, db

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped

type Text = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(storable)]


@route(router, "GET", "/api/audit", scope="admin", summary="List the audit")
def list_audit(
    actor: Annotated[
        Text | None, Query(description="The id of a key or source, or a token's subject.")
    ] = None,
    resource: Annotated[Text | None, Query(description="Such as `appointment`, `coach`, `key`.")] = None,
    resource_id: Text | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AuditPage:
    """Return a page of what requests changed, the newest first: `limit` entries at most, and 1 MB."""
    tenant_id, after = api.client(router).tenant_id, pages.read_cursor(cursor, lambda parts: UUID(parts[0]))
    where = audit.Filter(actor=actor, resource=resource, resource_id=resource_id, since=since, until=until)
    found = db.run(
        lambda connection: audit.list_page(
            connection, tenant_id=tenant_id, where=where, after=after, limit=limit + 1
        )
    )
    data, next_cursor = pages.page([_entry(one) for one in found], limit, lambda last: (str(last.entry_id),))
    return AuditPage(data=data, next_cursor=next_cursor)


def _entry(row: dict[str, Any]) -> AuditEntry:
    origin = row.pop("origin") or dict.fromkeys(("actor", "request_id", "method", "route"))
    return AuditEntry.model_validate({**row, **origin})
