"""Who is told of events: subscribers, which a tenant makes itself, and the partners of the deployment."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fairslot.domain.errors import ConflictError, NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform import idempotent, signing_secrets
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings
from fairslot.webhooks.subscriptions import Subscription, accept

# What of a recovery is on the queue at once; the sweep sends the rest.
RECOVER_AT_ONCE = 200

_HAD = "There is an endpoint with this address already."

_SQL = queries("endpoints")


def create(
    connection: Connection,
    *,
    tenant_id: str,
    endpoint_id: UUID,
    wish: Subscription,
    ciphertext: str,
    key: Key,
    now: datetime | None = None,
) -> ChangeResult:
    """Make a subscriber; the answer is the endpoint without its secret, or for a known key as it is now.

    Raises:
        ValidationError: its address, patterns or headers cannot be.
        ConflictError: the tenant has an endpoint with this address, or as many as it may have.

    """
    values = {**accept(wish).columns(), "tenant": tenant_id, "endpoint": endpoint_id, "secret": ciphertext}

    def work() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        connection.execute(_SQL["one_at_a_time"], values)
        row = connection.execute(_SQL["create"], values).fetchone()
        if row is None:
            raise ConflictError(_HAD)
        _check_number(connection, tenant_id)
        return row["endpoint"], []

    return _once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def find_all(connection: Connection, *, tenant_id: str) -> list[dict[str, Any]]:
    """Return the tenant's endpoints, the partners among them."""
    return [row["endpoint"] for row in connection.execute(_SQL["list"], {"tenant": tenant_id})]


def get(connection: Connection, *, tenant_id: str, endpoint_id: UUID) -> dict[str, Any]:
    """Return one endpoint; NotFoundError when the tenant has no such one."""
    return _one(connection, "get", {"tenant": tenant_id, "endpoint": endpoint_id})


def kept(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be kept of an endpoint to answer a request again with again()."""
    return {"endpoint_id": endpoint["endpoint_id"]}


def again(connection: Connection, *, tenant_id: str, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the endpoint of which something was kept as it is now, also where it was taken away since."""
    return _one(connection, "get_any", {"tenant": tenant_id, "endpoint": kept["endpoint_id"]})


def update(
    connection: Connection,
    *,
    tenant_id: str,
    endpoint_id: UUID,
    given: Mapping[str, Any],
    key: Key,
    now: datetime,
) -> ChangeResult:
    """Change what is given, by the names of Subscription; turning an endpoint on forgets how it failed.

    Raises:
        NotFoundError: the tenant has no such endpoint.
        ConflictError: a partner's address is the deployment's, or another endpoint has that address.
        ValidationError: as for making one.

    """

    def work() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        # Before the endpoint's own lock, as in making one.
        connection.execute(_SQL["one_at_a_time"], {"tenant": tenant_id})
        known = _lock(connection, tenant_id, endpoint_id)
        if known["kind"] != "standard" and given.keys() & {"url", "headers"}:
            raise ConflictError("The deployment decides where a partner is and what it is sent.")
        names = Subscription.__dataclass_fields__
        wish = Subscription(**{name: given.get(name, known[name]) for name in names})
        # What stays is not judged: an endpoint from before a rule can still be turned off.
        values = {**accept(wish, names=given.keys()).columns(), "endpoint": endpoint_id, "now": now}
        row = connection.execute(_SQL["update"], values).fetchone()
        if row is None:
            raise ConflictError(_HAD)
        return row["endpoint"], []

    return _once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def delete(
    connection: Connection, *, tenant_id: str, endpoint_id: UUID, key: Key, now: datetime
) -> ChangeResult:
    """Take a subscriber away; what is still on its way to it is cancelled by the sweep.

    Raises:
        NotFoundError: the tenant has no such endpoint.
        ConflictError: a partner can be turned off, not taken away.

    """

    def work() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        known = _lock(connection, tenant_id, endpoint_id)
        if known["kind"] != "standard":
            raise ConflictError("A partner can be turned off, not taken away.")
        connection.execute(_SQL["delete"], {"endpoint": endpoint_id, "now": now})
        return {}, []

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
    """Give a subscriber another secret; for `overlap` the one so far signs too.

    Those before it sign as long as was promised. Without an overlap only the new one does.

    Raises:
        NotFoundError: the tenant has no such endpoint.
        ConflictError: a partner has no secret, or as many sign as may.

    """

    def work() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        _subscriber(connection, tenant_id, endpoint_id)
        values = {
            "endpoint": endpoint_id,
            "secret": ciphertext,
            "until": now + overlap,
            "most_earlier": signing_secrets.MOST_EARLIER,
            "now": now,
        }
        row = connection.execute(_SQL["rotate"], values).fetchone()
        if row is None:  # it is locked: the number of secrets is all that can stand against it
            raise ConflictError(signing_secrets.TOO_MANY)
        return row["endpoint"], []

    return _once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def send_test(
    connection: Connection, *, tenant_id: str, endpoint_id: UUID, key: Key, now: datetime | None = None
) -> ChangeResult:
    """Send a subscriber the event `endpoint.test`, whatever it has asked for; the answer names the delivery.

    Raises:
        NotFoundError: the tenant has no such endpoint.
        ConflictError: it is a partner, or turned off.

    """

    def work() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        known = _subscriber(connection, tenant_id, endpoint_id)
        _is_on(known)
        values = {"tenant": tenant_id, "endpoint": endpoint_id}
        row = connection.execute(_SQL["test"], values).fetchone()
        messages: list[dict[str, Any]] = row["messages"] if row else []
        return {name: messages[0][name] for name in ("delivery_id", "event_id")}, messages

    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def recover(
    connection: Connection, *, tenant_id: str, endpoint_id: UUID, since: datetime, key: Key, now: datetime
) -> ChangeResult:
    """Send an endpoint again what it did not get of the events since an instant; the answer says how many.

    That is every delivery that failed or was cancelled, and the events that found the endpoint turned off,
    none from before it was made. The first of them are on the queue at once, the sweep sends the rest.

    Raises:
        NotFoundError: the tenant has no such endpoint.
        ConflictError: it is turned off.

    """

    def work() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        # Not by the endpoint's lock: who records an attempt takes the delivery first, and then that.
        connection.execute(_SQL["one_recovery"], {"endpoint": endpoint_id})
        _is_on(get(connection, tenant_id=tenant_id, endpoint_id=endpoint_id))
        # Ids begin with the milliseconds (UUID version 7), so the primary key finds what is young.
        first = UUID(int=int(max(since.timestamp(), 0) * 1000) << 80)
        # An hour less than is kept, so that nothing is forgotten while it is written.
        kept_since = now - timedelta(days=settings().keep_events_days, hours=-1)
        values = {
            "endpoint": endpoint_id,
            "since": since,
            "first": first,
            "kept_since": kept_since,
            "now": now,
        }
        found = 0
        for statement in ("revive", "catch_up"):
            row = connection.execute(_SQL[statement], values).fetchone()
            found += row["n"] if row else 0
        waiting = connection.execute(_SQL["unpublished"], {**values, "limit": RECOVER_AT_ONCE})
        return {"deliveries": found}, [row["message"] for row in waiting]

    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def _once(
    connection: Connection, *, tenant_id: str, key: Key, now: datetime | None, work: idempotent.Work
) -> ChangeResult:
    """Do a change of an endpoint once; the answer to a repetition is the endpoint as it is then.

    Its id is all that is kept for the key: an address or a header can hold a token.
    """
    made: list[dict[str, Any]] = []

    def once() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        endpoint, messages = work()
        made.append(endpoint)
        return kept(endpoint), messages

    done = idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=once)
    return replace(
        done, answer=made[-1] if made else again(connection, tenant_id=tenant_id, kept=done.answer)
    )


def _one(connection: Connection, statement: str, values: Mapping[str, Any]) -> dict[str, Any]:
    row = connection.execute(_SQL[statement], values).fetchone()
    if row is None:
        raise NotFoundError("There is no such endpoint.")
    endpoint: dict[str, Any] = row["endpoint"]
    return endpoint


def _check_number(connection: Connection, tenant_id: str) -> None:
    row = connection.execute(_SQL["count"], {"tenant": tenant_id}).fetchone()
    most = settings().max_endpoints_per_tenant
    if row and row["n"] > most:
        raise ConflictError(
            f"There are {most} endpoints, which is as many as there may be. Take one away first."
        )


def _lock(connection: Connection, tenant_id: str, endpoint_id: UUID) -> dict[str, Any]:
    return _one(connection, "lock", {"tenant": tenant_id, "endpoint": endpoint_id})


def _subscriber(connection: Connection, tenant_id: str, endpoint_id: UUID) -> dict[str, Any]:
    known = _lock(connection, tenant_id, endpoint_id)
    if known["kind"] != "standard":
        raise ConflictError("That is for subscribers, not for partners.")
    return known


def _is_on(known: Mapping[str, Any]) -> None:
    if not known["enabled"]:
        raise ConflictError("The endpoint is turned off.")
