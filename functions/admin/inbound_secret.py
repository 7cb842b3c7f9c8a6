"""The secret that a tenant's partners sign their requests to us with."""

from datetime import timedelta
from uuid import UUID, uuid4

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from admin.models import SourceModel, SourceRotationRequest, SourceWithSecret
from fairslot.access import signed_requests
from fairslot.domain.errors import NotFoundError
from fairslot.http import api
from fairslot.platform import db, signing_secrets
from fairslot.webhooks import publishing

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
PATH = "/api/webhooks/calendar/secret"


@router.get(PATH, summary="Read who signs calendar events")
def get_source() -> Response[SourceModel]:
    """Return the id that signed requests name in their address, without the secret."""
    tenant_id = api.client(router).tenant_id
    found = db.run(lambda connection: signed_requests.source_of(connection, tenant_id=tenant_id))
    return api.json_response(200, SourceModel.model_validate(found))


@router.post(PATH, summary="Make or rotate the secret for calendar events")
def rotate_source_secret(body: SourceRotationRequest | None = None) -> Response[SourceWithSecret]:
    """Make a secret, shown in this answer alone; for a while the one so far is good too.

    Each secret is good until the time promised when it was replaced. At most three are at once: a fourth is
    refused (409).
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    overlap = timedelta(hours=(body or SourceRotationRequest()).overlap_hours)
    source_id = _known(tenant_id) or uuid4()
    secret = signing_secrets.make()
    ciphertext = signing_secrets.encrypt(secret, signing_secrets.for_source(source_id))
    answer, headers = api.change(
        router,
        "rotate_source_secret",
        lambda connection, key: signed_requests.rotate(
            connection,
            tenant_id=tenant_id,
            source_id=source_id,
            ciphertext=ciphertext,
            overlap=overlap,
            key=key,
            now=now,
        ),
        publishing.publish,
    )
    shown = None if headers else secret
    return api.json_response(200, SourceWithSecret.model_validate({**answer, "secret": shown}), headers)


@router.delete(PATH, summary="Take signed calendar events no longer", status_code=204)
def delete_source() -> Response[None]:
    """Forget the secret: from now on only API keys tell us of calendars."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    _, headers = api.change(
        router,
        "delete_source",
        lambda connection, key: signed_requests.delete(connection, tenant_id=tenant_id, key=key, now=now),
        publishing.publish,
    )
    return Response(204, headers=dict(headers))


def _known(tenant_id: str) -> UUID | None:
    """Return the id of the tenant's source: the secret is locked up for it, and it stays over rotations."""
    try:
        found = db.run(lambda connection: signed_requests.source_of(connection, tenant_id=tenant_id))
    except NotFoundError:
        return None
    return UUID(found["source_id"])
