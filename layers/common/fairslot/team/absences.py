"""Absences of coaches as an operator sets them, beside those that partners report."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from fairslot.coach_time.absences import begin_absence, end_absence
from fairslot.domain.errors import NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team import changes, coaches
from fairslot.team.changes import Json, Options, Step
from fairslot.team.preconditions import ANY, Precondition

_SQL = queries("absences")


def get(connection: Connection, *, tenant_id: str, coach_id: str, absence_id: UUID) -> Json:
    """Return one absence. Raises NotFoundError."""
    values = {"tenant": tenant_id, "coach": coach_id, "event": absence_id}
    row = connection.execute(_SQL["get"], values).fetchone()
    if row is None:
        raise NotFoundError("There is no such absence.")
    return _absence(coach_id, row)


def list_page(
    connection: Connection,
    *,
    tenant_id: str,
    coach_id: str,
    start: datetime | None,
    end: datetime | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Json]:
    """Return up to `limit` absences that touch [start, end), by their start, after the given one.

    Raises:
        NotFoundError: the tenant has no such coach.

    """
    coaches.get(connection, tenant_id=tenant_id, coach_id=coach_id)
    values = {
        "tenant": tenant_id,
        "coach": coach_id,
        "start": start,
        "end": end,
        "after_start": after[0] if after else None,
        "after_id": after[1] if after else None,
        "limit": limit,
    }
    return [_absence(coach_id, row) for row in connection.execute(_SQL["list_page"], values)]


def create(
    connection: Connection,
    *,
    tenant_id: str,
    coach_id: str,
    start: datetime,
    end: datetime,
    reason: str | None,
    options: Options,
    key: Key,
    now: datetime,
) -> ChangeResult:
    """Close every slot of a coach that [start, end) touches. For the answer and the errors see changes.make.

    Raises:
        NotFoundError: the tenant has no such coach.

    """
    absence_id = uuid4()

    def run() -> None:
        begin_absence(connection, coach_id=coach_id, start=start, end=end, event_id=absence_id)
        values = {"coach": coach_id, "event": absence_id, "reason": reason}
        connection.execute(_SQL["note_reason"], values)

    def steps() -> Sequence[Step]:
        coaches.get(connection, tenant_id=tenant_id, coach_id=coach_id)
        return [_step(coach_id, absence_id, "create", run)]

    change = changes.Change(
        tenant_id=tenant_id,
        now=now,
        steps=steps,
        read=lambda: get(connection, tenant_id=tenant_id, coach_id=coach_id, absence_id=absence_id),
        reason=reason,
    )
    return changes.make(connection, change, options=options, key=key)


def delete(
    connection: Connection,
    *,
    tenant_id: str,
    coach_id: str,
    absence_id: UUID,
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition = ANY,
) -> ChangeResult:
    """Delete one absence; the coach is free again where no other one is.

    A coach with an external calendar is free once that was read again.

    Raises:
        NotFoundError: the coach has no such absence.
        PreconditionFailedError: it is not as expected.

    """
    values = {"tenant": tenant_id, "coach": coach_id, "event": absence_id}

    def run() -> None:
        for row in connection.execute(_SQL["delete"], values).fetchall():
            end_absence(connection, coach_id=coach_id, start=row["start"], end=row["end"])

    def steps() -> Sequence[Step]:
        known = get(connection, tenant_id=tenant_id, coach_id=coach_id, absence_id=absence_id)
        precondition.check(known)
        return [_step(coach_id, absence_id, "delete", run)]

    change = changes.Change(tenant_id=tenant_id, now=now, steps=steps, read=lambda: None)
    return changes.make(connection, change, options=options, key=key)


def _step(coach_id: str, absence_id: UUID, action: changes.Action, run: Any) -> Step:
    return Step(
        resource="absence",
        id=f"{coach_id}/{absence_id}",
        action=action,
        members=("start", "end", "reason") if action == "create" else (),
        run=run,
        coaches=frozenset({coach_id}),
    )


def _absence(coach_id: str, row: Json) -> Json:
    instants = {
        name: row[name].astimezone(UTC).isoformat().replace("+00:00", "Z") for name in ("start", "end")
    }
    return {"absence_id": str(row["absence_id"]), "coach_id": coach_id, **instants, "reason": row["reason"]}
