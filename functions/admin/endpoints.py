"""Who is told of events: make, see, change and try endpoints, and send them what they did not get."""

from dataclasses import replace
from datetime import timedelta
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
from fairslot.http import api
from fairslot.platform import db, signing_secrets
from fairslot.webhooks import endpoints, publishing
from fairslot.webhooks.subscriptions import Subscription, accept

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairslot.domain.idempotency import ChangeResult, Key
    from fairslot.platform.db import Connection

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@router.post("/api/webhook-endpoints", summary="Subscribe to events", status_code=201)
def create_endpoint(body: EndpointRequest) -> Response[EndpointWithSecret]:
    """Make a subscriber. The secret that signs its events is in this answer and in no other.

    An address is had once, however it is written, and there are 50 subscribers at most: 409. A repetition of
    a request under its idempotency key is answered with the endpoint as it is then.
    """
    tenant_id, endpoint_id = api.client(router).tenant_id, uuid4()
    # Before a key of KMS is used for it.
    wish = accept(Subscription(**body.model_dump()))
    secret = signing_secrets.make()
    ciphertext = signing_secrets.encrypt(secret, signing_secrets.for_endpoint(endpoint_id))
    answer, headers = _change(
        "create_endpoint",
        lambda connection, key: endpoints.create(
            connection,
            tenant_id=tenant_id,
            endpoint_id=endpoint_id,
            subscription=wish,
            ciphertext=ciphertext,
            key=key,
        ),
    )
    shown = None if headers else secret
    return api.json_response(201, EndpointWithSecret.model_validate({**answer, "secret": shown}), headers)


@router.get("/api/webhook-endpoints", summary="List endpoints")
def list_endpoints() -> Response[EndpointPage]:
    """Return every endpoint, the partners of the deployment among them."""
    tenant_id = api.client(router).tenant_id
    found = db.run(lambda connection: endpoints.find_all(connection, tenant_id=tenant_id))
    return api.json_response(
        200, EndpointPage(data=[EndpointModel.model_validate(one) for one in found], next_cursor=None)
    )


@router.get("/api/webhook-endpoints/<endpoint_id>", summary="Read an endpoint")
def get_endpoint(endpoint_id: Annotated[UUID, Path()]) -> Response[EndpointModel]:
    """Return one endpoint, without its secret."""
    tenant_id = api.client(router).tenant_id
    found = db.run(lambda connection: endpoints.get(connection, tenant_id=tenant_id, endpoint_id=endpoint_id))
    return api.json_response(200, EndpointModel.model_validate(found))


@router.patch("/api/webhook-endpoints/<endpoint_id>", summary="Change an endpoint")
def update_endpoint(endpoint_id: Annotated[UUID, Path()], body: EndpointChange) -> Response[EndpointModel]:
    """Change what is given. Turning an endpoint on forgets how it failed.

    What is on its way still uses what was for one attempt at the most; after it the delivery goes on with
    what is, or ends where the endpoint was turned off.
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    given = body.model_dump()
    answer, headers = _change(
        "update_endpoint",
        lambda connection, key: endpoints.update(
            connection, tenant_id=tenant_id, endpoint_id=endpoint_id, given=given, key=key, now=now
        ),
    )
    return api.json_response(200, EndpointModel.model_validate(answer), headers)


@router.delete("/api/webhook-endpoints/<endpoint_id>", summary="Take a subscriber away", status_code=204)
def delete_endpoint(endpoint_id: Annotated[UUID, Path()]) -> Response[None]:
    """Tell a subscriber nothing more: what is on its way is cancelled, after one attempt each at the most."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    _, headers = api.change(
        router,
        "delete_endpoint",
        lambda connection, key: endpoints.delete(
            connection, tenant_id=tenant_id, endpoint_id=endpoint_id, key=key, now=now
        ),
        publishing.publish,
    )
    return Response(204, headers=dict(headers))


@router.post("/api/webhook-endpoints/<endpoint_id>/rotate-secret", summary="Give a subscriber another secret")
def rotate_endpoint_secret(
    endpoint_id: Annotated[UUID, Path()], body: RotationRequest | None = None
) -> Response[EndpointWithSecret]:
    """Make another secret, shown in this answer alone; for a while the one so far signs too.

    What is on its way is signed as it was for one attempt at the most, and as it is to be after that.
    Each secret signs until the time promised when it was replaced. At most three sign at once: a fourth is
    refused (409).
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    overlap = timedelta(hours=(body or RotationRequest()).overlap_hours)
    secret = signing_secrets.make()
    ciphertext = signing_secrets.encrypt(secret, signing_secrets.for_endpoint(endpoint_id))
    answer, headers = _change(
        "rotate_endpoint_secret",
        lambda connection, key: endpoints.rotate(
            connection,
            tenant_id=tenant_id,
            endpoint_id=endpoint_id,
            ciphertext=ciphertext,
            overlap=overlap,
            key=key,
            now=now,
        ),
    )
    shown = None if headers else secret
    return api.json_response(200, EndpointWithSecret.model_validate({**answer, "secret": shown}), headers)


@router.post("/api/webhook-endpoints/<endpoint_id>/test", summary="Send a test event")
def test_endpoint(endpoint_id: Annotated[UUID, Path()]) -> Response[TestSent]:
    """Send a subscriber an event of the type `endpoint.test`, whatever types it has asked for."""
    tenant_id = api.client(router).tenant_id
    answer, headers = api.change(
        router,
        "test_endpoint",
        lambda connection, key: endpoints.send_test(
            connection, tenant_id=tenant_id, endpoint_id=endpoint_id, key=key
        ),
        publishing.publish,
    )
    return api.json_response(200, TestSent.model_validate(answer), headers)


@router.post("/api/webhook-endpoints/<endpoint_id>/recover", summary="Send what an endpoint did not get")
def recover_endpoint(endpoint_id: Annotated[UUID, Path()], body: RecoveryRequest) -> Response[Recovered]:
    """Send again what failed since an instant, and what happened while the endpoint was turned off.

    Nothing is sent of what happened before the endpoint was made, or is no longer kept (90 days).
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    answer, headers = api.change(
        router,
        "recover_endpoint",
        lambda connection, key: endpoints.recover(
            connection, tenant_id=tenant_id, endpoint_id=endpoint_id, since=body.since, key=key, now=now
        ),
        publishing.publish,
    )
    return api.json_response(200, Recovered.model_validate(answer), headers)


def _change(
    operation: str, work: "Callable[[Connection, Key], ChangeResult]"
) -> tuple[dict[str, Any], dict[str, str]]:
    """Change an endpoint as api.change does; return it and the headers.

    The cache gets no more of it than the database keeps for the key.
    """
    made: list[dict[str, Any]] = []

    def once(connection: "Connection", key: "Key") -> "ChangeResult":
        done = work(connection, key)
        made.append(done.answer)
        return replace(done, answer=endpoints.stored_answer(done.answer))

    kept, headers = api.change(router, operation, once, publishing.publish)
    if made:
        return made[-1], headers
    tenant_id = api.client(router).tenant_id
    endpoint = db.run(
        lambda connection: endpoints.replayed_answer(connection, tenant_id=tenant_id, stored=kept)
    )
    return endpoint, headers
