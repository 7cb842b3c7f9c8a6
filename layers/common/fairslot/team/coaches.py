"""Coaches: who they are and when they work."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from psycopg.types.json import Jsonb

from fairslot.domain.errors import NotFoundError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team import changes, members
from fairslot.team.changes import Json, Options, Step
from fairslot.team.preconditions import ANY, Precondition, changed_members

type Edit = Callable[[Json], Mapping[str, object]]

_SQL = queries("coaches")
# A change of these moves a coach's days, or who may be booked.
_OF_TIME = frozenset({"time_zone", "active", "working_hours", "overrides", "limits"})


def get(connection: Connection, *, tenant_id: str, coach_id: str) -> Json:
    """Return a coach's settings. Raises NotFoundError."""
    found = find(connection, tenant_id=tenant_id, coach_id=coach_id)
    if found is None:
        raise NotFoundError("There is no such coach.")
    return found


def find(connection: Connection, *, tenant_id: str, coach_id: str) -> Json | None:
    """Return a coach's settings, or None."""
    row = connection.execute(_SQL["get"], {"tenant": tenant_id, "coach": coach_id}).fetchone()
    return row["coach"] if row else None


def list_page(
    connection: Connection,
    *,
    tenant_id: str,
    active: bool | None = None,
    calendar_id: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> Sequence[Json]:
    """Return up to `limit` coaches by id, after the given one; None matches all."""
    values = {"tenant": tenant_id, "active": active, "calendar": calendar_id, "after": after, "limit": limit}
    return [row["coach"] for row in connection.execute(_SQL["list_page"], values)]


def put(
    connection: Connection,
    *,
    tenant_id: str,
    coach_id: str,
    settings: Mapping[str, object],
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition = ANY,
) -> ChangeResult:
    """Create a coach or replace the settings, which are as the API shows them, without the id.

    Without `score` a known coach's stays. For the answer and the errors see changes.make.

    Raises:
        PreconditionFailedError: the coach is not as expected.
        NotFoundError: the id cannot be used.

    """
    return _change(
        connection,
        tenant_id=tenant_id,
        coach_id=coach_id,
        edit=lambda _: settings,
        options=options,
        key=key,
        now=now,
        precondition=precondition,
    )


def patch(
    connection: Connection,
    *,
    tenant_id: str,
    coach_id: str,
    edit: Edit,
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition = ANY,
) -> ChangeResult:
    """Replace a coach's settings by what `edit` makes of them as they are. Errors are those of put.

    Raises:
        NotFoundError: the tenant has no such coach.

    """

    def known_edited(known: Json | None) -> Mapping[str, object]:
        if known is None:
            raise NotFoundError("There is no such coach.")
        return edit(known)

    return _change(
        connection,
        tenant_id=tenant_id,
        coach_id=coach_id,
        edit=known_edited,
        options=options,
        key=key,
        now=now,
        precondition=precondition,
    )


def delete(
    connection: Connection,
    *,
    tenant_id: str,
    coach_id: str,
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition = ANY,
) -> ChangeResult:
    """Delete a coach, who leaves every team; what was decided and booked stays on record.

    Raises:
        NotFoundError: the tenant has no such coach.
        PreconditionFailedError: the coach is not as expected.

    """

    def steps() -> Sequence[Step]:
        precondition.check(get(connection, tenant_id=tenant_id, coach_id=coach_id))
        return delete_steps(connection, tenant_id=tenant_id, coach_id=coach_id, now=now)

    change = changes.Change(tenant_id=tenant_id, now=now, steps=steps, read=lambda: None)
    return changes.make(connection, change, options=options, key=key)


def _change(
    connection: Connection,
    *,
    tenant_id: str,
    coach_id: str,
    edit: Callable[[Json | None], Mapping[str, object]],
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition,
) -> ChangeResult:
    def steps() -> Sequence[Step]:
        known = find(connection, tenant_id=tenant_id, coach_id=coach_id)
        settings = edit(known)
        precondition.check(known)
        return put_steps(
            connection, tenant_id=tenant_id, coach_id=coach_id, known=known, settings=settings, now=now
        )

    change = changes.Change(
        tenant_id=tenant_id,
        now=now,
        steps=steps,
        read=lambda: get(connection, tenant_id=tenant_id, coach_id=coach_id),
    )
    return changes.make(connection, change, options=options, key=key)


def put_steps(
    connection: Connection,
    *,
    tenant_id: str,
    coach_id: str,
    known: Json | None,
    settings: Mapping[str, object],
    now: datetime,
) -> list[Step]:
    """Return what makes a coach's settings these; nothing if they are."""
    wanted = {**settings, "score": known["score"]} if known and settings.get("score") is None else settings
    members_changed = changed_members(known, wanted)
    if known and not members_changed:
        return []
    values = {
        "tenant": tenant_id,
        "coach": coach_id,
        "settings": Jsonb(dict(settings)),
        "scored": settings.get("score") is not None,
        "now": now,
    }

    def run() -> None:
        if connection.execute(_SQL["put"], values).fetchone() is None:
            raise NotFoundError("This id cannot be used for a coach; choose another.")

    touched = frozenset(_calendars_of(connection, tenant_id, coach_id))
    return [
        Step(
            resource="coach",
            id=coach_id,
            action="update" if known else "create",
            members=members_changed,
            run=run,
            coaches=frozenset({coach_id}) if not known or _OF_TIME & {*members_changed} else frozenset(),
            calendars=touched if {"score", "active"} & {*members_changed} else frozenset(),
        )
    ]


def delete_steps(connection: Connection, *, tenant_id: str, coach_id: str, now: datetime) -> list[Step]:
    """Return what removes a coach from every team and deletes the coach."""
    values = {"tenant": tenant_id, "coach": coach_id, "now": now}

    def run() -> None:
        connection.execute(_SQL["delete"], values)
        connection.execute(_SQL["forget_calendar"], values)

    deletion = Step(resource="coach", id=coach_id, action="delete", run=run, coaches=frozenset({coach_id}))
    left = [
        members.leave_step(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, coach_id=coach_id, now=now
        )
        for calendar_id in _calendars_of(connection, tenant_id, coach_id)
    ]
    return [*left, deletion]


def _calendars_of(connection: Connection, tenant_id: str, coach_id: str) -> list[str]:
    values = {"tenant": tenant_id, "coach": coach_id}
    return [row["calendar_id"] for row in connection.execute(_SQL["calendars_of"], values)]
