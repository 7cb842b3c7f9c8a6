"""Deliveries: list, read, replay, and mark as failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fairslot.domain.errors import ConflictError, NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform import db, idempotent
from fairslot.platform.audit import Entry
from fairslot.platform.db import Connection
from fairslot.platform.idempotent import Effect
from fairslot.platform.queries import queries

type DeliveryStatus = Literal["pending", "delivered", "failed", "cancelled"]

_SQL = queries("deliveries")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which deliveries: None matches all; they were created in [start, end)."""

    endpoint_id: UUID | None = None
    status: DeliveryStatus | None = None
    event_type: str | None = None
    appointment_id: UUID | None = None
    start: datetime | None = None
    end: datetime | None = None


def list_page(
    connection: Connection, *, tenant_id: str, where: Filter, after: UUID | None, limit: int
) -> Sequence[dict[str, Any]]:
    """Return up to `limit` deliveries with their attempts, newest first, after the given one."""
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
    """Return one delivery. Raises NotFoundError."""
    values = {"tenant": tenant_id, "delivery": delivery_id}
    row = connection.execute(_SQL["get"], values).fetchone()
    if row is None:
        raise NotFoundError("Delivery not found.")
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
    """Start another round of attempts at a delivery that has ended, with the same ids; None is any tenant.

    Raises:
        NotFoundError: the tenant has no such delivery.
        ConflictError: it is pending, or its endpoint is disabled.

    """

    def work() -> Effect:
        values = {"tenant": tenant_id, "delivery": delivery_id, "now": now}
        known = connection.execute(_SQL["lock"], values).fetchone()
        if known is None:
            raise NotFoundError("Delivery not found.")
        if known["status"] == "pending":
            raise ConflictError("The delivery is pending. Replay it once it has ended.")
        if not known["enabled"]:
            raise ConflictError("The endpoint is disabled. Enable it first.")
        row = connection.execute(_SQL["replay"], values).fetchone()
        entry = Entry(
            resource="delivery",
            resource_id=str(delivery_id),
            action="replayed",
            before={"status": known["status"]},
            after={"status": "pending"},
        )
        if row is None:
            return Effect(answer={}, entries=[])
        return Effect(answer=row["delivery"], messages=[row["message"]], entries=[entry])

    return idempotent.once(connection, tenant_id=tenant_id or "", key=key, now=now, work=work)


def mark_dead_letters_failed(
    connection: Connection, *, rounds: Sequence[tuple[UUID, int]], now: datetime
) -> int:
    """Mark deliveries as failed that are pending in the given round; return how many."""
    values = {
        "deliveries": [delivery_id for delivery_id, _ in rounds],
        "rounds": [number for _, number in rounds],
        "now": now,
    }
    return db.number(connection, _SQL["mark_dead_letters_failed"], values)


def states(connection: Connection, *, delivery_ids: Sequence[UUID]) -> dict[UUID, tuple[str, int]]:
    """Return the status and the round of each delivery that exists."""
    rows = connection.execute(_SQL["states"], {"deliveries": list(delivery_ids)})
    return {row["delivery_id"]: (row["status"], row["round"]) for row in rows}
