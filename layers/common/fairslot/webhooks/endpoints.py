"""Webhook endpoints: a tenant's subscribers, and the partners of the deployment."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fairslot.domain.errors import ConflictError, EndpointExistsError, NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform import idempotent, signing_secrets
from fairslot.platform.db import Connection
from fairslot.platform.idempotent import Effect
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings
from fairslot.webhooks.endpoint_entries import entry_of
from fairslot.webhooks.subscriptions import Subscription, accept

# How many deliveries of a recovery are published at once; the sweep sends the rest.
RECOVER_AT_ONCE = 200

_SQL = queries("endpoints")


def create(
    connection: Connection,
    *,
    tenant_id: str,
    endpoint_id: UUID,
    subscription: Subscription,
    ciphertext: str,
    key: Key,
    now: datetime | None = None,
) -> ChangeResult:
    """Create a subscriber; the answer is the endpoint without its secret, for a known key as it is now.

    Raises:
        ValidationError: its address, patterns or headers are invalid.
        EndpointExistsError: the tenant has an endpoint with this address.
        ConflictError: it has as many endpoints as it may have.

    """
    values = {
        **accept(subscription).columns(),
        "tenant": tenant_id,
        "endpoint": endpoint_id,
        "secret": ciphertext,
    }

    def work() -> Effect:
        connection.execute(_SQL["lock_tenant"], values)
        row = connection.execute(_SQL["create"], values).fetchone()
        if row is None:
            raise EndpointExistsError
        _check_number(connection, tenant_id)
        return Effect(
            answer=row["endpoint"], entries=[entry_of("created", endpoint_id, None, row["endpoint"])]
        )

    return _once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def find_all(connection: Connection, *, tenant_id: str) -> list[dict[str, Any]]:
    """Return the tenant's endpoints, including the partners."""
    return [row["endpoint"] for row in connection.execute(_SQL["list"], {"tenant": tenant_id})]


def get(connection: Connection, *, tenant_id: str, endpoint_id: UUID) -> dict[str, Any]:
    """Return one endpoint. Raises NotFoundError."""
    return _one(connection, "get", {"tenant": tenant_id, "endpoint": endpoint_id})


def stored_answer(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored of an endpoint for an idempotency key; see replayed_answer."""
    return {"endpoint_id": endpoint["endpoint_id"]}


def replayed_answer(connection: Connection, *, tenant_id: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the endpoint of a stored answer as it is now, even if it was deleted since."""
    return _one(connection, "get_any", {"tenant": tenant_id, "endpoint": stored["endpoint_id"]})


def update(
    connection: Connection,
    *,
    tenant_id: str,
    endpoint_id: UUID,
    given: Mapping[str, Any],
    key: Key,
    now: datetime,
) -> ChangeResult:
    """Change the given members, named as in Subscription; enabling an endpoint clears its failures.

    Raises:
        NotFoundError: the tenant has no such endpoint.
        EndpointExistsError: another endpoint has that address.
        ConflictError: a partner's address and headers belong to the deployment.
        ValidationError: as for create.

    """

    def work() -> Effect:
        # Before the endpoint's own lock, as in create.
        connection.execute(_SQL["lock_tenant"], {"tenant": tenant_id})
        known = _lock(connection, tenant_id, endpoint_id)
        if known["kind"] != "standard" and given.keys() & {"url", "headers"}:
            raise ConflictError("The URL and headers of a partner are set by the deployment.")
        names = Subscription.__dataclass_fields__
        changed = Subscription(**{name: given.get(name, known[name]) for name in names})
        # What stays is not validated: an endpoint from before a rule can still be disabled.
        own = {"tenant": tenant_id, "endpoint": endpoint_id, "now": now}
        values = {**accept(changed, names=given.keys()).columns(), **own}
        row = connection.execute(_SQL["update"], values).fetchone()
        if row is None:
            raise EndpointExistsError
        entry = entry_of("updated", endpoint_id, known, row["endpoint"])
        return Effect(answer=row["endpoint"], entries=[entry])

    return _once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def delete(
    connection: Connection, *, tenant_id: str, endpoint_id: UUID, key: Key, now: datetime
) -> ChangeResult:
    """Delete a subscriber; the sweep cancels its pending deliveries.

    Raises:
        NotFoundError: the tenant has no such endpoint.
        ConflictError: it is a partner.

    """

    def work() -> Effect:
        known = _lock(connection, tenant_id, endpoint_id)
        if known["kind"] != "standard":
            raise ConflictError("A partner cannot be deleted. Disable it instead.")
        connection.execute(_SQL["delete"], {"tenant": tenant_id, "endpoint": endpoint_id, "now": now})
        return Effect(answer={}, entries=[entry_of("deleted", endpoint_id, known, None)])

    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def rotate(
    connection: Connection,
    *,
    tenant_id: str,
    endpoint_id: UUID,
    ciphertext: str,
    overlap: timedelta,
    key: Key,
    now: datetime,
) -> ChangeResult:
    """Give a subscriber a new secret; for `overlap` the current one signs too.

    Earlier ones sign until the time promised for them. Without an overlap only the new one signs.

    Raises:
        NotFoundError: the tenant has no such endpoint.
        ConflictError: it is a partner, or as many secrets are valid as may be.

    """

    def work() -> Effect:
        known = _subscriber(connection, tenant_id, endpoint_id)
        values = {
            "tenant": tenant_id,
            "endpoint": endpoint_id,
            "secret": ciphertext,
            "until": now + overlap,
            "most_earlier": signing_secrets.MOST_EARLIER,
            "now": now,
        }
        row = connection.execute(_SQL["rotate"], values).fetchone()
        if row is None:  # it exists and is locked, so the number of secrets is the reason
            raise ConflictError(signing_secrets.TOO_MANY)
        entry = entry_of("rotated", endpoint_id, known, row["endpoint"])
        return Effect(answer=row["endpoint"], entries=[entry])

    return _once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def send_test(
    connection: Connection, *, tenant_id: str, endpoint_id: UUID, key: Key, now: datetime | None = None
) -> ChangeResult:
    """Send a subscriber the event `endpoint.test`, whatever its event types; the answer names the delivery.

    Raises:
        NotFoundError: the tenant has no such endpoint.
        ConflictError: it is a partner, or disabled.

    """

    def work() -> Effect:
        known = _subscriber(connection, tenant_id, endpoint_id)
        _check_enabled(known)
        values = {"tenant": tenant_id, "endpoint": endpoint_id}
        row = connection.execute(_SQL["test"], values).fetchone()
        message: dict[str, Any] = row["message"] if row else {}
        sent = {name: message[name] for name in ("delivery_id", "event_id")}
        return Effect(answer=sent, messages=[message], entries=[entry_of("tested", endpoint_id, None, sent)])

    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def recover(
    connection: Connection, *, tenant_id: str, endpoint_id: UUID, since: datetime, key: Key, now: datetime
) -> ChangeResult:
    """Send an endpoint the events since an instant that it did not get; the answer says how many.

    These are the deliveries that failed or were cancelled, and the events that it missed while it was
    disabled, none from before it was created. The first ones are published at once, the sweep sends the rest.

    Raises:
        NotFoundError: the tenant has no such endpoint.
        ConflictError: it is disabled.

    """

    def work() -> Effect:
        # Not the endpoint's row lock: recording an attempt locks the delivery first and then the endpoint.
        connection.execute(_SQL["lock_recovery"], {"endpoint": endpoint_id})
        _check_enabled(get(connection, tenant_id=tenant_id, endpoint_id=endpoint_id))
        # Ids begin with the milliseconds (UUID version 7), so the primary key finds recent rows.
        first = UUID(int=int(max(since.timestamp(), 0) * 1000) << 80)
        # An hour less than the retention, so that nothing is deleted meanwhile.
        kept_since = now - timedelta(days=settings().keep_events_days, hours=-1)
        values = {
            "tenant": tenant_id,
            "endpoint": endpoint_id,
            "since": since,
            "first": first,
            "kept_since": kept_since,
            "now": now,
        }
        found = 0
        for statement in ("restart_failed", "add_missed"):
            row = connection.execute(_SQL[statement], values).fetchone()
            found += row["n"] if row else 0
        waiting = connection.execute(_SQL["unpublished"], {**values, "limit": RECOVER_AT_ONCE})
        answer = {"deliveries": found}
        return Effect(
            answer=answer,
            messages=[row["message"] for row in waiting],
            entries=[entry_of("recovered", endpoint_id, None, answer)],
        )

    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def _once(
    connection: Connection, *, tenant_id: str, key: Key, now: datetime | None, work: idempotent.Work
) -> ChangeResult:
    """Make a change of an endpoint once; a repetition is answered with the endpoint as it is then.

    Only its id is stored for the key: an address or a header can hold a token.
    """
    fresh: list[dict[str, Any]] = []

    def once() -> Effect:
        done = work()
        fresh.append(done.answer)
        return replace(done, answer=stored_answer(done.answer))

    done = idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=once)
    if fresh:
        return replace(done, answer=fresh[-1])
    return replace(done, answer=replayed_answer(connection, tenant_id=tenant_id, stored=done.answer))


def _one(connection: Connection, statement: str, values: Mapping[str, Any]) -> dict[str, Any]:
    row = connection.execute(_SQL[statement], values).fetchone()
    if row is None:
        raise NotFoundError("Endpoint not found.")
    endpoint: dict[str, Any] = row["endpoint"]
    return endpoint


def _check_number(connection: Connection, tenant_id: str) -> None:
    row = connection.execute(_SQL["count"], {"tenant": tenant_id}).fetchone()
    most = settings().max_endpoints_per_tenant
    if row and row["n"] > most:
        raise ConflictError(f"The limit of {most} endpoints is reached. Delete one first.")


def _lock(connection: Connection, tenant_id: str, endpoint_id: UUID) -> dict[str, Any]:
    return _one(connection, "lock", {"tenant": tenant_id, "endpoint": endpoint_id})


def _subscriber(connection: Connection, tenant_id: str, endpoint_id: UUID) -> dict[str, Any]:
    known = _lock(connection, tenant_id, endpoint_id)
    if known["kind"] != "standard":
        raise ConflictError("This is possible for subscribers only, not for partners.")
    return known


def _check_enabled(known: Mapping[str, Any]) -> None:
    if not known["enabled"]:
        raise ConflictError("The endpoint is disabled. Enable it first.")
