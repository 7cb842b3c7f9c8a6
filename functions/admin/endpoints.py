"""Webhook endpoints: making, reading, changing and testing them, and recovering what they missed."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from admin.models import (
    EndpointChange,
    EndpointModel,
    EndpointPage,
    EndpointRequest,
    EndpointWithSecret,
    Recovered,
    RecoveryRequest,
    RotationRequest,
    TestSent,
)
from admin.new_secrets import with_new_secret
from fairslot.domain.errors import ConflictError, NotFoundError
from fairslot.http import api, changes
from fairslot.http.routing import route
from fairslot.platform import db, signing_secrets
from fairslot.webhooks import endpoints
from fairslot.webhooks.subscriptions import Subscription, accept

if TYPE_CHECKING:
    from fairslot.domain.idempotency import ChangeResult, Key
    from fairslot.platform.db import Connection

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
PATH = "/api/webhook-endpoints"
ONE = f"{PATH}/<endpoint_id>"


@route(
    router,
    "POST",
    PATH,
    scope="admin",
    key="optional",
    errors=(ConflictError,),
    success=201,
    summary="Subscribe to events",
)
def create_endpoint(body: EndpointRequest) -> Response[EndpointWithSecret]:
    """Make a subscriber. The secret that signs its events is returned in this answer only.

    A URL can be subscribed once, however it is written, and there are 50 subscribers at most: 409. A replay
    is answered with the endpoint as it is then.
    """
    tenant_id, endpoint_id = api.client(router).tenant_id, uuid4()
    # Before the secret: what is refused costs no call of KMS.
    wish = accept(Subscription(**body.model_dump()))
    return with_new_secret(
        router,
        EndpointWithSecret,
        signing_secrets.for_endpoint(endpoint_id),
        lambda ciphertext: _apply(
            lambda connection, key: endpoints.create(
                connection,
                tenant_id=tenant_id,
                endpoint_id=endpoint_id,
                subscription=wish,
                ciphertext=ciphertext,
                key=key,
            )
        ),
    )


@route(router, "GET", PATH, scope="admin", summary="List endpoints")
def list_endpoints() -> EndpointPage:
    """Return every endpoint, the deployment's partners included."""
    tenant_id = api.client(router).tenant_id
    found = db.run(lambda connection: endpoints.find_all(connection, tenant_id=tenant_id))
    return EndpointPage(data=[EndpointModel.model_validate(one) for one in found], next_cursor=None)


@route(router, "GET", ONE, scope="admin", errors=(NotFoundError,), summary="Read an endpoint")
def get_endpoint(endpoint_id: Annotated[UUID, Path()]) -> EndpointModel:
    """Return one endpoint, without its secrets."""
    tenant_id = api.client(router).tenant_id
    found = db.run(lambda connection: endpoints.get(connection, tenant_id=tenant_id, endpoint_id=endpoint_id))
    return EndpointModel.model_validate(found)


@route(
    router,
    "PATCH",
    ONE,
    scope="admin",
    key="optional",
    errors=(NotFoundError, ConflictError),
    summary="Change an endpoint",
)
def update_endpoint(endpoint_id: Annotated[UUID, Path()], body: EndpointChange) -> Response[EndpointModel]:
    """Change the given members. Turning an endpoint on resets its failures.

    Pending deliveries make one more attempt with the old settings at most. Then they go on with the new ones,
    or are cancelled where the endpoint was turned off.
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    given = body.model_dump()
    done = _apply(
        lambda connection, key: endpoints.update(
            connection, tenant_id=tenant_id, endpoint_id=endpoint_id, given=given, key=key, now=now
        )
    )
    return changes.respond(router, EndpointModel.model_validate(done.answer), replayed=done.replayed)


@route(
    router,
    "DELETE",
    ONE,
    scope="admin",
    key="optional",
    errors=(NotFoundError, ConflictError),
    success=204,
    summary="Delete a subscriber",
)
def delete_endpoint(endpoint_id: Annotated[UUID, Path()]) -> Response[None]:
    """Delete a subscriber: its pending deliveries are cancelled, after one more attempt each at most."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    return changes.delete(
        router,
        lambda connection, key: endpoints.delete(
            connection, tenant_id=tenant_id, endpoint_id=endpoint_id, key=key, now=now
        ),
    )


@route(
    router,
    "POST",
    f"{ONE}/rotate-secret",
    scope="admin",
    key="optional",
    errors=(NotFoundError, ConflictError),
    summary="Rotate a subscriber's secret",
)
def rotate_endpoint_secret(
    endpoint_id: Annotated[UUID, Path()], body: RotationRequest | None = None
) -> Response[EndpointWithSecret]:
    """Make a new secret, returned in this answer only; for a while the current one signs too.

    Pending deliveries make one more attempt with the old signatures at most. Each secret signs until the
    overlap that it was replaced with ends. At most three sign at once: a fourth is refused (409).
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    overlap = (body or RotationRequest()).overlap
    return with_new_secret(
        router,
        EndpointWithSecret,
        signing_secrets.for_endpoint(endpoint_id),
        lambda ciphertext: _apply(
            lambda connection, key: endpoints.rotate(
                connection,
                tenant_id=tenant_id,
                endpoint_id=endpoint_id,
                ciphertext=ciphertext,
                overlap=overlap,
                key=key,
                now=now,
            )
        ),
    )


@route(
    router,
    "POST",
    f"{ONE}/test",
    scope="admin",
    key="optional",
    errors=(NotFoundError, ConflictError),
    summary="Send a test event",
)
def test_endpoint(endpoint_id: Annotated[UUID, Path()]) -> Response[TestSent]:
    """Send a subscriber an event of the type `endpoint.test`, whatever types it subscribes to."""
    tenant_id = api.client(router).tenant_id
    return changes.change(
        router,
        TestSent,
        lambda connection, key: endpoints.send_test(
            connection, tenant_id=tenant_id, endpoint_id=endpoint_id, key=key
        ),
    )


@route(
    router,
    "POST",
    f"{ONE}/recover",
    scope="admin",
    key="optional",
    errors=(NotFoundError, ConflictError),
    summary="Recover what an endpoint missed",
)
def recover_endpoint(endpoint_id: Annotated[UUID, Path()], body: RecoveryRequest) -> Response[Recovered]:
    """Send again what failed since an instant, and what happened while the endpoint was turned off.

    Events from before the endpoint was made, or past their retention (90 days), are not sent.
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    return changes.change(
        router,
        Recovered,
        lambda connection, key: endpoints.recover(
            connection, tenant_id=tenant_id, endpoint_id=endpoint_id, since=body.since, key=key, now=now
        ),
    )


def _apply(work: changes.Work) -> changes.Done:
    """Do a change of an endpoint as `changes.apply` does; a replay returns the endpoint as it is now.

    Valkey gets no more of the answer than the database keeps for the key.
    """
    made: list[dict[str, Any]] = []

    def once(connection: "Connection", key: "Key") -> "ChangeResult":
        result = work(connection, key)
        made.append(result.answer)
        return replace(result, answer=endpoints.stored_answer(result.answer))

    done = changes.apply(router, once)
    if made:
        return replace(done, answer=made[-1])
    tenant_id = api.client(router).tenant_id
    endpoint = db.run(
        lambda connection: endpoints.replayed_answer(connection, tenant_id=tenant_id, stored=done.answer)
    )
    return replace(done, answer=endpoint)
