"""The secret with which a tenant's partners sign calendar events."""

from uuid import uuid4

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from admin.models import SourceModel, SourceRotationRequest, SourceWithSecret
from admin.new_secrets import with_new_secret
from fairslot.access import signed_requests
from fairslot.domain.errors import ConflictError, NotFoundError
from fairslot.http import api, changes
from fairslot.http.routing import route
from fairslot.platform import db, signing_secrets

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
PATH = "/api/webhooks/calendar/secret"


@route(
    router, "GET", PATH, scope="admin", errors=(NotFoundError,), summary="Read the source of calendar events"
)
def get_source() -> SourceModel:
    """Return the source that signed requests name in their query, without its secrets."""
    tenant_id = api.client(router).tenant_id
    found = db.run(lambda connection: signed_requests.source_of(connection, tenant_id=tenant_id))
    return SourceModel.model_validate(found)


@route(
    router,
    "POST",
    PATH,
    scope="admin",
    key="optional",
    errors=(ConflictError,),
    summary="Make or rotate the secret for calendar events",
)
def rotate_source_secret(body: SourceRotationRequest | None = None) -> Response[SourceWithSecret]:
    """Make a secret, returned in this answer only; for a while the current one stays valid.

    Each secret is valid until the overlap that it was replaced with ends. At most three are valid at once: a
    fourth is refused (409).
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    overlap = (body or SourceRotationRequest()).overlap
    known = db.run(lambda connection: signed_requests.source_id_of(connection, tenant_id=tenant_id))
    source_id = known or uuid4()
    return with_new_secret(
        router,
        SourceWithSecret,
        signing_secrets.for_source(source_id),
        lambda ciphertext: changes.apply(
            router,
            lambda connection, key: signed_requests.rotate(
                connection,
                tenant_id=tenant_id,
                source_id=source_id,
                ciphertext=ciphertext,
                overlap=overlap,
                key=key,
                now=now,
            ),
        ),
    )


@route(
    router,
    "DELETE",
    PATH,
    scope="admin",
    key="optional",
    errors=(NotFoundError,),
    success=204,
    summary="Stop taking signed calendar events",
)
def delete_source() -> Response[None]:
    """Delete the source with its secrets: from now on calendar events need an API key."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    return changes.delete(
        router,
        lambda connection, key: signed_requests.delete(connection, tenant_id=tenant_id, key=key, now=now),
    )
