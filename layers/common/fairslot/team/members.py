"""Who is in a calendar's team, and with which weight; joining and leaving go through the ledger."""

from collections.abc import Sequence
from datetime import datetime

from fairslot.domain.errors import NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team import changes
from fairslot.team.changes import Json, Options, Step
from fairslot.team.preconditions import ANY, Precondition

_SQL = queries("members")


def get(connection: Connection, *, tenant_id: str, calendar_id: str, coach_id: str) -> Json:
    """Return a coach's place in a team. Raises NotFoundError."""
    found = find(connection, tenant_id=tenant_id, calendar_id=calendar_id, coach_id=coach_id)
    if found is None:
        raise NotFoundError("The coach is not in the calendar's team.")
    return found


def find(connection: Connection, *, tenant_id: str, calendar_id: str, coach_id: str) -> Json | None:
    """Return a coach's place in a team, or None."""
    values = {"tenant": tenant_id, "calendar": calendar_id, "coach": coach_id}
    row = connection.execute(_SQL["get"], values).fetchone()
    return row["member"] if row else None


def list_page(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str | None,
    after: str | None = None,
    limit: int | None = None,
) -> Sequence[Json]:
    """Return up to `limit` members by coach, after the given one; without a calendar of all."""
    values = {"tenant": tenant_id, "calendar": calendar_id, "after": after, "limit": limit}
    return [row["member"] for row in connection.execute(_SQL["list_page"], values)]


def put(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str,
    coach_id: str,
    weight: float,
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition = ANY,
) -> ChangeResult:
    """Add a coach to a team with no credit and no debt, or change the weight.

    Raises:
        NotFoundError: the tenant has no such calendar or coach.
        PreconditionFailedError: the member is not as expected.

    """

    def steps() -> Sequence[Step]:
        known = find(connection, tenant_id=tenant_id, calendar_id=calendar_id, coach_id=coach_id)
        precondition.check(known)
        if known and known["weight"] == weight:
            return []
        step = join_step(
            connection,
            tenant_id=tenant_id,
            calendar_id=calendar_id,
            coach_id=coach_id,
            weight=weight,
            known=known is not None,
        )
        return [step]

    change = changes.Change(
        tenant_id=tenant_id,
        now=now,
        steps=steps,
        read=lambda: get(connection, tenant_id=tenant_id, calendar_id=calendar_id, coach_id=coach_id),
    )
    return changes.make(connection, change, options=options, key=key)


def delete(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str,
    coach_id: str,
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition = ANY,
) -> ChangeResult:
    """Remove a coach from a team; the credit is divided among the rest.

    Raises:
        NotFoundError: the coach is not in the team.
        PreconditionFailedError: the member is not as expected.

    """

    def steps() -> Sequence[Step]:
        precondition.check(get(connection, tenant_id=tenant_id, calendar_id=calendar_id, coach_id=coach_id))
        step = leave_step(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, coach_id=coach_id, now=now
        )
        return [step]

    change = changes.Change(tenant_id=tenant_id, now=now, steps=steps, read=lambda: None)
    return changes.make(connection, change, options=options, key=key)


def join_step(
    connection: Connection, *, tenant_id: str, calendar_id: str, coach_id: str, weight: float, known: bool
) -> Step:
    """Return what gives a coach a place in a team, or another weight if it is known."""
    values = {"tenant": tenant_id, "calendar": calendar_id, "coach": coach_id, "weight": weight}

    def run() -> None:
        if connection.execute(_SQL["join"], values).fetchone() is None:
            raise NotFoundError("There is no such calendar or coach.")

    return Step(
        resource="member",
        id=f"{calendar_id}/{coach_id}",
        action="update" if known else "create",
        members=("weight",),
        run=run,
        coaches=frozenset() if known else frozenset({coach_id}),
        calendars=frozenset({calendar_id}),
    )


def leave_step(
    connection: Connection, *, tenant_id: str, calendar_id: str, coach_id: str, now: datetime
) -> Step:
    """Return what removes a coach from a team."""
    values = {"tenant": tenant_id, "calendar": calendar_id, "coach": coach_id, "now": now}
    return Step(
        resource="member",
        id=f"{calendar_id}/{coach_id}",
        action="delete",
        run=lambda: _run(connection, values),
        coaches=frozenset({coach_id}),
        calendars=frozenset({calendar_id}),
    )


def _run(connection: Connection, values: Json) -> None:
    connection.execute(_SQL["leave"], values)
