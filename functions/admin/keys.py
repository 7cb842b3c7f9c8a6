"""API keys: making, listing, rotating and revoking them."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from admin.key_models import KeyModel, KeyPage, KeyRequest, KeyRotationRequest, KeyWithSecret
from fairslot.access import key_form, key_management
from fairslot.access.keys import hash_key
from fairslot.domain.errors import ConflictError, NotFoundError
from fairslot.http import api, changes, pages
from fairslot.http.routing import route
from fairslot.platform import db

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairslot.domain.idempotency import ChangeResult, Key
    from fairslot.platform.db import Connection

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped
PATH = "/api/keys"
ONE = f"{PATH}/<key_id>"


@route(router, "POST", PATH, scope="admin", key="optional", success=201, summary="Make an API key")
def create_key(body: KeyRequest) -> Response[KeyWithSecret]:
    """Make an API key, which is returned in this answer only. A replay is answered without it."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    grant = key_management.Grant(**body.model_dump())
    return _with_new_key(
        lambda connection, secret, key: key_management.create(
            connection, tenant_id=tenant_id, secret=secret, grant=grant, key=key, now=now
        )
    )


@route(router, "GET", PATH, scope="admin", summary="List API keys")
def list_keys(
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> KeyPage:
    """Return a page of API keys, the newest first, expired and revoked ones among them."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    after = pages.read_cursor(cursor, lambda parts: UUID(parts[0]))
    found = db.run(
        lambda connection: key_management.list_page(
            connection, tenant_id=tenant_id, after=after, limit=limit + 1, now=now
        )
    )
    data, next_cursor = pages.page(
        [KeyModel.model_validate(one) for one in found], limit, lambda last: (str(last.key_id),)
    )
    return KeyPage(data=data, next_cursor=next_cursor)


@route(router, "GET", ONE, scope="admin", errors=(NotFoundError,), summary="Read an API key")
def get_key(key_id: Annotated[UUID, Path()]) -> KeyModel:
    """Return what an API key is for, without the key."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    found = db.run(
        lambda connection: key_management.get(connection, tenant_id=tenant_id, key_id=key_id, now=now)
    )
    return KeyModel.model_validate(found)


@route(
    router,
    "POST",
    f"{ONE}/rotate",
    scope="admin",
    key="optional",
    errors=(NotFoundError, ConflictError),
    summary="Rotate an API key",
)
def rotate_key(
    key_id: Annotated[UUID, Path()], body: KeyRotationRequest | None = None
) -> Response[KeyWithSecret]:
    """Replace an API key; the new one is returned in this answer only. For a while the current one works too.

    Two work at most: while the one before the current is still valid, another rotation is refused (409)
    unless it ends both.
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    overlap = (body or KeyRotationRequest()).overlap
    return _with_new_key(
        lambda connection, secret, key: key_management.rotate(
            connection,
            tenant_id=tenant_id,
            key_id=key_id,
            secret=secret,
            overlap=overlap,
            key=key,
            now=now,
        )
    )


@route(
    router,
    "DELETE",
    ONE,
    scope="admin",
    key="optional",
    errors=(NotFoundError,),
    success=204,
    summary="Revoke an API key",
)
def delete_key(key_id: Annotated[UUID, Path()]) -> Response[None]:
    """Revoke an API key at once, with the one before it; it stays in the list."""
    tenant_id, now = api.client(router).tenant_id, api.clock()
    return changes.delete(
        router,
        lambda connection, key: key_management.revoke(
            connection, tenant_id=tenant_id, key_id=key_id, key=key, now=now
        ),
    )


def _with_new_key(
    work: "Callable[[Connection, key_management.Secret, Key], ChangeResult]",
) -> Response[KeyWithSecret]:
    """Make a key, do `work` with its hash, and answer with the key: null in a replay."""
    made = key_form.make()
    secret = key_management.Secret(hash=hash_key(made), start=key_form.start_of(made))
    done = changes.apply(router, lambda connection, key: work(connection, secret, key))
    answer = {**done.answer, "key": None if done.replayed else made}
    return changes.respond(router, KeyWithSecret.model_validate(answer), replayed=done.replayed)
