"""A change of a team in one transaction: what it does to appointments and shares, or would do.

A dry run is the change itself, rolled back. An appointment is touched if it fitted before the change and does
not fit after it, so the same change made again touches nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

from fairslot.coach_time.days import extend_days
from fairslot.domain.errors import AppointmentsAffectedError, ConflictError, NotFoundError
from fairslot.domain.fair_share import MILLION
from fairslot.domain.idempotency import NO_KEY, ChangeResult, Key
from fairslot.platform import idempotent
from fairslot.platform.db import Connection
from fairslot.platform.idempotent import Effect
from fairslot.platform.queries import queries
from fairslot.team.audited import Audited
from fairslot.team.preconditions import ANY, Precondition

type Json = dict[str, Any]
type Choice = Literal["reassign", "cancel", "keep"]
type Kind = Literal["coach", "calendar", "member", "absence", "adjustment", "source"]
type Action = Literal["create", "update", "delete"]

# Each is a booking's work under the locks of its calendar.
MOST_APPOINTMENTS = 500
# A change has to end within some seconds, see docs/decisions/0111.
MOST_CHANGES = 10_000
# Each is put on record with the credits of the whole team.
MOST_LEAVING = 1_000
# A plan has to fit into an answer of 6 MB.
MOST_SHARES = 10_000

_SQL = queries("team_changes")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a change may do.

    `appointments` says what becomes of those that no longer fit; None: any such refuses the change. `reason`
    goes to the customers whose appointments are cancelled.
    """

    dry_run: bool = False
    appointments: Choice | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class ChangeRequest:
    """A change as it is asked for: whose, when, what it may do, its key, and what its resource must be."""

    tenant_id: str
    now: datetime
    options: Options = Options()
    key: Key = NO_KEY
    precondition: Precondition = ANY


# Makes the changes of some steps, in as few statements as it can.
type Make = Callable[[Connection, Sequence[Step]], None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """The change of one resource, made of `values` by `make` together with its neighbours of the same `make`.

    Before that comes every step's `prepare`. `coaches`: whose time or teams change. `calendars`: whose
    weights, credits or settings change. `closing`: those of them whose appointments may no longer fit.
    `members` are the names of what changes, `place` is where the request asks for it.
    """

    resource: Kind
    id: str
    action: Action
    make: Make
    values: Json
    prepare: Callable[[Connection], None] | None = None
    members: Sequence[str] = ()
    place: str = ""
    coaches: frozenset[str] = frozenset()
    calendars: frozenset[str] = frozenset()
    closing: frozenset[str] = frozenset()


type Steps = Callable[[], Sequence[Step]]


def make(
    connection: Connection, asked: ChangeRequest, *, steps: Steps, read: Callable[[], Json | None]
) -> ChangeResult:
    """Make a change once for its key; the answer has the plan that was carried out and the resource.

    `steps` returns what is to be done, and `read` the resource after it; both are called under the tenant's
    lock. With `dry_run` nothing is changed or stored, and the answer is the plan.

    Raises:
        AppointmentsAffectedError: appointments would no longer fit, and nothing was chosen for them, or
            nobody is free to take one over.
        ConflictError: it touches too many appointments.
        IdempotencyKeyReusedError: the key was used for another request.

    """

    def work() -> Effect:
        audited = Audited(connection, asked.tenant_id)
        plan = _carry_out(connection, asked, steps, audited)
        return Effect(answer={"plan": plan, "resource": read()}, entries=audited.entries())

    if not asked.options.dry_run:
        return idempotent.once(connection, tenant_id=asked.tenant_id, key=asked.key, now=asked.now, work=work)
    with connection.transaction(force_rollback=True):
        plan = _carry_out(connection, asked, steps)
    return ChangeResult(answer=plan, replayed=False)


def columns(steps: Sequence[Step], *names: str) -> dict[str, list[Any]]:
    """Return the values of steps by name, each a list with the value of every step."""
    return {name: [step.values[name] for step in steps] for name in names}


def check_made(steps: Sequence[Step], made: Collection[str], message: str) -> None:
    """Check that the steps of these ids were made.

    Raises:
        NotFoundError: one was not; its place is named.

    """
    for step in steps:
        if step.id not in made:
            raise NotFoundError(message, [(step.place, "not_found")] if step.place else ())


def is_new(answer: Mapping[str, Any]) -> bool:
    """Return whether the first step of a change that was made has created its resource."""
    changes = answer["plan"]["changes"]
    return bool(changes) and changes[0]["action"] == "create"


def _carry_out(
    connection: Connection, asked: ChangeRequest, find_steps: Steps, audited: Audited | None = None
) -> Json:
    connection.execute(_SQL["lock_tenant"], {"tenant": asked.tenant_id})
    steps = find_steps()
    if not steps:
        return _plan([], [], 0, [])
    _check_size(steps)
    if audited is not None:
        audited.begin(steps)
    coaches = sorted(frozenset[str]().union(*(step.coaches for step in steps)))
    values = {
        "tenant": asked.tenant_id,
        "coaches": coaches,
        "calendars": sorted(frozenset[str]().union(*(step.calendars for step in steps))),
        "closing": sorted(frozenset[str]().union(*(step.closing for step in steps))),
        "now": asked.now,
    }
    connection.execute(_SQL["lock"], values)
    before, misfits_before = _shares(connection, values), _misfits(connection, values)
    for step in steps:
        if step.prepare is not None:
            step.prepare(connection)
    for work, same in groupby(steps, attrgetter("make")):
        work(connection, [*same])
    if coaches:
        extend_days(connection, now=asked.now, tenant_id=asked.tenant_id, coach_ids=coaches)
    misfits = {one: row for one, row in _misfits(connection, values).items() if one not in misfits_before}
    appointments = _settle(connection, asked, misfits)
    held = sum(bool(row["held"]) for row in misfits.values())
    plan = _plan(steps, appointments, held, _compared(before, _shares(connection, values)))
    if not asked.options.dry_run:
        _check(appointments, asked.options.appointments, plan)
    return plan


def _check_size(steps: Sequence[Step]) -> None:
    leaving = sum(step.resource == "member" and step.action == "delete" for step in steps)
    for number, most, what in (
        (len(steps), MOST_CHANGES, "makes {:,} changes"),
        (leaving, MOST_LEAVING, "takes {:,} coaches out of teams"),
    ):
        if number > most:
            raise ConflictError(
                f"This {what.format(number)}, and {most:,} are possible at once; make it in parts."
            )


def _settle(connection: Connection, asked: ChangeRequest, misfits: Mapping[Any, Json]) -> list[Json]:
    """Do with the appointments what was chosen; return them with what became of each."""
    if len(misfits) > MOST_APPOINTMENTS:
        raise ConflictError(
            f"The change touches more than {MOST_APPOINTMENTS} appointments; make it in parts, such as"
            " absences of a month each."
        )
    values = {
        "tenant": asked.tenant_id,
        "ids": list(misfits),
        "reasons": [row["reason"] for row in misfits.values()],
        "action": asked.options.appointments or "reassign",
        "reason": asked.options.reason,
        "now": asked.now,
    }
    settled = {row["appointment_id"]: row for row in connection.execute(_SQL["settle"], values)}
    return [
        {
            **{name: row[name] for name in ("calendar_id", "coach_id", "start_time", "end_time", "reason")},
            "appointment_id": str(one),
            "outcome": settled[one]["outcome"],
            "new_coach_id": settled[one]["coach_id"] if settled[one]["outcome"] == "reassigned" else None,
        }
        for one, row in misfits.items()
        if not row["held"]
    ]


def _check(appointments: Sequence[Json], choice: Choice | None, plan: Json) -> None:
    if appointments and choice is None:
        raise AppointmentsAffectedError(plan)
    if any(one["outcome"] == "nobody_free" for one in appointments):
        raise AppointmentsAffectedError(
            plan,
            "Nobody is free to take over some of the appointments; `plan` lists them. Cancel or keep them.",
        )


def _misfits(connection: Connection, values: Mapping[str, Any]) -> dict[Any, Json]:
    return {row["appointment_id"]: row for row in connection.execute(_SQL["misfits"], values)}


type _Shares = dict[tuple[str, str, str], Json]


def _shares(connection: Connection, values: Mapping[str, Any]) -> _Shares:
    """Return each coach's share (0 to 1) and credit (bookings) in the calendars of a change, by kind."""
    rows = connection.execute(_SQL["shares"], values).fetchall()
    totals: dict[tuple[str, str], int] = {}
    for row in rows:
        totals[_ledger(row)] = totals.get(_ledger(row), 0) + row["weight"]
    return {
        (*_ledger(row), row["coach_id"]): {
            "share": round(row["weight"] / totals[_ledger(row)], 6) if row["weight"] else 0.0,
            "credit": round(row["credit"] / MILLION, 6),
        }
        for row in rows
    }


def _ledger(row: Json) -> tuple[str, str]:
    return row["calendar_id"], row["kind"]


def _compared(before: _Shares, after: _Shares) -> list[Json]:
    """Return the shares of the ledgers in which any changed; None: the coach is not in the team."""
    names = sorted(before.keys() | after.keys())
    changed = {one[:2] for one in names if before.get(one) != after.get(one)}
    return [
        {
            "calendar_id": one[0],
            "kind": one[1],
            "coach_id": one[2],
            **{
                f"{name}_{when}": shares[one][name] if one in shares else None
                for when, shares in (("before", before), ("after", after))
                for name in ("share", "credit")
            },
        }
        for one in [one for one in names if one[:2] in changed][:MOST_SHARES]
    ]


def _plan(steps: Sequence[Step], appointments: list[Json], holds: int, shares: list[Json]) -> Json:
    changes = [
        {"resource": one.resource, "id": one.id, "action": one.action, "members": list(one.members)}
        for one in steps
    ]
    return {"changes": changes, "appointments": appointments, "holds_released": holds, "shares": shares}
