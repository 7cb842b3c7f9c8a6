"""What was sent, to whom and with what success; and sending it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fairslot.domain.errors import ConflictError, NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform import idempotent
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

type DeliveryStatus = Literal["pending", "delivered", "failed", "cancelled"]

_SQL = queries("deliveries")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which deliveries: None matches all; instants bound when they were made, the end exclusive."""

    endpoint_id: UUID | None = None
    status: DeliveryStatus | None = None
    event_type: str | None = None
    appointment_id: UUID | None = None
    start: datetime | None = None
    end: datetime | None = None


def list_page(
    connection: Connection, *, tenant_id: str, where: Filter, after: UUID | None, limit: int
) -> Sequence[dict[str, Any]]:
    """Return up to `limit` deliveries with their attempts, the newest first, after the given one."""
    values = {
        "tenant": tenant_id,
        "endpoint": where.endpoint_id,
        "status": where.status,
        "event_type": where.event_type,
        "appointment": where.appointment_id,
        "start": where.start,
        "end": where.end,
        "after": after,
        "limit": limit,
    }
    return [row["delivery"] for row in connection.execute(_SQL["list_page"], values)]


def get(connection: Connection, *, tenant_id: str, delivery_id: UUID) -> dict[str, Any]:
    """Return one delivery; NotFoundError when the tenant has no such one."""
    values = {"tenant": tenant_id, "delivery": delivery_id}
    row = connection.execute(_SQL["get"], values).fetchone()
    if row is None:
        raise NotFoundError("There is no such delivery.")
    delivery: dict[str, Any] = row["delivery"]
    return delivery


def replay(
    connection: Connection,
    *,
    tenant_id: str | None,
    delivery_id: UUID,
    key: Key,
    now: datetime,
) -> ChangeResult:
    """Begin another round of attempts at a delivery that is over, with the same ids; None is every tenant.

    Raises:
        NotFoundError: the tenant has no such delivery.
        ConflictError: it is under way, or its endpoint is turned off.

    """

    def work() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        values = {"delivery": delivery_id, "now": now}
        known = connection.execute(_SQL["lock"], values).fetchone()
        if known is None or tenant_id not in {None, known["tenant_id"]}:
            raise NotFoundError("There is no such delivery.")
        if known["status"] == "pending":
            raise ConflictError("The delivery is under way.")
        if not known["enabled"]:
            raise ConflictError("The endpoint is turned off.")
        row = connection.execute(_SQL["replay"], values).fetchone()
        return (row["delivery"], [row["message"]]) if row else ({}, [])

    return idempotent.once(connection, tenant_id=tenant_id or "", key=key, now=now, work=work)


def mark_dead_letters_failed(
    connection: Connection, *, letters: Sequence[tuple[UUID, int]], now: datetime
) -> int:
    """Mark deliveries as failed that are pending in the round whose message was set aside; say how many."""
    values = {
        "deliveries": [delivery_id for delivery_id, _ in letters],
        "rounds": [number for _, number in letters],
        "now": now,
    }
    return connection.execute(_SQL["bury"], values).rowcount


def states(connection: Connection, *, delivery_ids: Sequence[UUID]) -> dict[UUID, tuple[str, int]]:
    """Return the status and the round of each delivery that there is."""
    rows = connection.execute(_SQL["state"], {"deliveries": list(delivery_ids)})
    return {row["delivery_id"]: (row["status"], row["round"]) for row in rows}
