"""Changing calls: each done once for its idempotency key, its events published after the commit.

Powertools idempotency over Valkey is the fast way to replay an answer. The truth is in Postgres, where the
answer is kept in the transaction of its effect: see docs/decisions/0076-routes-and-their-contracts.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel

from fairslot.domain.errors import FairslotError, IdempotencyInProgressError, MalformedRequestError
from fairslot.domain.idempotency import ChangeResult, Key, fingerprint
from fairslot.http import api, measures, routing
from fairslot.http.models import PersonalModel
from fairslot.platform import after_answer, cache, db, idempotent
from fairslot.platform.settings import settings
from fairslot.webhooks import publishing

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

    from fairslot.platform.db import Connection

type Work = Callable[[Connection, Key], ChangeResult]

LONGEST_KEY = 255


@dataclass(frozen=True, kw_only=True)
class Done:
    """The answer of a changing call, and whether it is a replay of what the key was given for before."""

    answer: dict[str, Any]
    replayed: bool


def change[T: BaseModel](router: "BaseRouter", model: type[T], work: "Work") -> Response[T]:
    """Do a changing call and answer with its model and the route's success."""
    done = apply(router, work, personal=issubclass(model, PersonalModel))
    return respond(router, model.model_validate(done.answer), replayed=done.replayed)


def delete(router: "BaseRouter", work: "Work") -> Response[None]:
    """Do a changing call and answer with the route's success and no body."""
    return respond(router, None, replayed=apply(router, work).replayed)


def respond[T](router: "BaseRouter", body: T, *, replayed: bool) -> Response[T]:
    """Answer a changing call with the route's success, and say so when it is a replay."""
    _, contract = routing.current(router)
    return Response(
        status_code=contract.success,
        content_type=None if body is None else "application/json",
        headers={"Idempotent-Replayed": "true"} if replayed else {},
        body=body,
    )


def apply(router: "BaseRouter", work: "Work", *, personal: bool = False) -> Done:
    """Do a changing call once for its idempotency key, and publish its events, if possible after the answer.

    A queue that does not take them costs the caller nothing: the sweep sends them later. Of a `personal`
    answer Valkey remembers only that there is one, and Postgres has it.
    """
    key = idempotency_key(router)
    results: list[ChangeResult] = []

    def once() -> dict[str, Any]:
        results.append(db.run(lambda connection: work(connection, key), idempotent=key.value is not None))
        return {} if personal else results[-1].answer

    answer = _replayed_or_done(router, key, once)
    if personal:
        if not results:
            once()  # Postgres knows the key, and answers with what was done
        answer = results[-1].answer
    measures.note_change(answer)
    if results:
        messages = [message for one in results for message in one.messages]
        after_answer.run(partial(publishing.publish, messages))
    return Done(answer=answer, replayed=all(one.replayed for one in results))


def idempotency_key(router: "BaseRouter") -> Key:
    """Return the current request's idempotency key, tied to the request.

    Raises:
        MalformedRequestError: it is missing where the route requires it, or two differ, or it is malformed.

    """
    headers, signed = router.current_event.headers, api.client(router).message_id
    given = {headers[name] for name in ("x-idempotency-key", "idempotency-key") if name in headers}
    # What is signed counts: whoever overhears a request could otherwise repeat it under another key.
    given |= {signed} if signed else set()
    if len(given) > 1:
        raise MalformedRequestError("The idempotency keys of the request differ; send one.")
    value = next(iter(given), None)
    if value is None and routing.current(router)[1].key == "required":
        raise MalformedRequestError("This route requires an idempotency key; send X-Idempotency-Key.")
    if value is not None and not _is_key(value):
        # An empty one too: ignored, it would let a retry have a second effect.
        raise MalformedRequestError(
            f"Invalid idempotency key; use 1 to {LONGEST_KEY} printable ASCII characters."
        )
    # Of a document it takes as long as reading it does.
    known_by = b"" if value is None else _fingerprint(router)
    return Key(value=value, fingerprint=known_by, hours=settings().idempotency_hours, origin=_origin(router))


def _is_key(value: str) -> bool:
    return 0 < len(value.strip()) <= len(value) <= LONGEST_KEY and value.isascii() and value.isprintable()


def _origin(router: "BaseRouter") -> dict[str, Any]:
    """Return what the audit says of the current request: who made it, its id, and what it asked for."""
    route, _ = routing.current(router)
    return {
        "actor": api.client(router).actor(),
        "request_id": router.current_event["requestContext"]["requestId"],
        "method": route.method,
        "route": route.path.replace("<", "{").replace(">", "}"),
    }


def _fingerprint(router: "BaseRouter") -> bytes:
    """Return the digest of the route and of what it was called with, as it was understood.

    However an instant or an id is written, and whether a default is written out: it is the same request. Who
    signs a request, which stands in its query, is left out.
    """
    (route, contract), arguments = routing.current(router), router.context["_route_args"]
    asked = {}
    query = () if contract.signed else route.dependant.query_params
    for one in (*route.dependant.path_params, *query, *route.dependant.body_params):
        value = arguments[one.name]
        asked[one.name] = value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value
    return fingerprint(f"{route.method} {route.path}", {name: one or {} for name, one in asked.items()})


def _replayed_or_done(router: "BaseRouter", key: Key, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the answer that Valkey has for this key, or do the work and let Valkey remember its answer.

    The record is tied to the fingerprint too: another request under the same key comes to Postgres, which
    refuses it. What `work` raises is not remembered. If Valkey fails, before the work or after it, the work
    is done once more, and Postgres answers with what was done. The request is counted in the command that
    takes the record.

    Raises:
        RateLimitError: the client is over its limit.
        AuthenticationError: the client's key is not valid any more.
        IdempotencyInProgressError: the same request is in progress.

    """
    counting = api.request_count(router)
    if key.value is None or not cache.is_in_use():
        counting.check()
        return work()
    from aws_lambda_powertools.utilities.idempotency.exceptions import (
        IdempotencyAlreadyInProgressError,
        IdempotencyInconsistentStateError,
        IdempotencyPersistenceLayerError,
    )

    tenant_id = api.client(router).tenant_id
    name = f"{tenant_id}\n{key.value}\n{key.fingerprint.hex()}"
    try:
        answer: dict[str, Any] = _remembered(router, key, work)(call={"key": name})
    except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
        known = db.run(lambda connection: idempotent.find(connection, tenant_id=tenant_id, key=key))
        if known is None:
            raise IdempotencyInProgressError from error
        return known
    except IdempotencyPersistenceLayerError as error:
        if isinstance(error.__cause__, FairslotError):
            raise error.__cause__ from None
        cache.rest(error)
        counting.check()
        return work()
    return answer


def _remembered(
    router: "BaseRouter", key: Key, work: Callable[[], dict[str, Any]]
) -> Callable[..., dict[str, Any]]:
    """Return the work as Powertools does it once for the `key` of its argument `call`."""
    from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function

    from fairslot.http.idempotency_records import records

    def once(*, call: dict[str, str]) -> dict[str, Any]:  # noqa: ARG001 - read by the decorator
        return work()

    counting = api.request_count(router)
    config = IdempotencyConfig(
        event_key_jmespath="key", expires_after_seconds=key.hours * 3600, raise_on_no_idempotency_key=True
    )
    config.register_lambda_context(router.lambda_context)
    remembered: Callable[..., dict[str, Any]] = idempotent_function(
        once,
        data_keyword_argument="call",
        persistence_store=records(cache.client(), counting),
        config=config,
        key_prefix=counting.records,
    )
    return remembered
