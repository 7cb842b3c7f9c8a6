"""Calendars: what customers book, and by which rules."""

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

_SQL = queries("calendars")


def get(connection: Connection, *, tenant_id: str, calendar_id: str) -> Json:
    """Return a calendar's settings. Raises NotFoundError."""
    found = find(connection, tenant_id=tenant_id, calendar_id=calendar_id)
    if found is None:
        raise NotFoundError("There is no such calendar.")
    return found


def find(connection: Connection, *, tenant_id: str, calendar_id: str) -> Json | None:
    """Return a calendar's settings, or None."""
    row = connection.execute(_SQL["get"], {"tenant": tenant_id, "calendar": calendar_id}).fetchone()
    return row["calendar"] if row else None


def list_page(
    connection: Connection,
    *,
    tenant_id: str,
    active: bool | None = None,
    coach_id: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> Sequence[Json]:
    """Return up to `limit` calendars by id, after the given one; None matches all."""
    values = {"tenant": tenant_id, "active": active, "coach": coach_id, "after": after, "limit": limit}
    return [row["calendar"] for row in connection.execute(_SQL["list_page"], values)]


def put(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str,
    settings: Mapping[str, object],
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition = ANY,
) -> ChangeResult:
    """Create a calendar or replace the settings, which are as the API shows them, without the id.

    Raises:
        PreconditionFailedError: the calendar is not as expected.
        NotFoundError: the id cannot be used.
        SlugTakenError: another calendar has the slug.

    """
    return _change(
        connection,
        tenant_id=tenant_id,
        calendar_id=calendar_id,
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
    calendar_id: str,
    edit: Edit,
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition = ANY,
) -> ChangeResult:
    """Replace a calendar's settings by what `edit` makes of them as they are. Errors are those of put.

    Raises:
        NotFoundError: the tenant has no such calendar.

    """

    def known_edited(known: Json | None) -> Mapping[str, object]:
        if known is None:
            raise NotFoundError("There is no such calendar.")
        return edit(known)

    return _change(
        connection,
        tenant_id=tenant_id,
        calendar_id=calendar_id,
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
    calendar_id: str,
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition = ANY,
) -> ChangeResult:
    """Delete a calendar, whose team leaves it; what was decided and booked stays on record.

    Raises:
        NotFoundError: the tenant has no such calendar.
        PreconditionFailedError: the calendar is not as expected.

    """

    def steps() -> Sequence[Step]:
        precondition.check(get(connection, tenant_id=tenant_id, calendar_id=calendar_id))
        return delete_steps(connection, tenant_id=tenant_id, calendar_id=calendar_id, now=now)

    change = changes.Change(tenant_id=tenant_id, now=now, steps=steps, read=lambda: None)
    return changes.make(connection, change, options=options, key=key)


def _change(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str,
    edit: Callable[[Json | None], Mapping[str, object]],
    options: Options,
    key: Key,
    now: datetime,
    precondition: Precondition,
) -> ChangeResult:
    def steps() -> Sequence[Step]:
        known = find(connection, tenant_id=tenant_id, calendar_id=calendar_id)
        settings = edit(known)
        precondition.check(known)
        return put_steps(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, known=known, settings=settings
        )

    change = changes.Change(
        tenant_id=tenant_id,
        now=now,
        steps=steps,
        read=lambda: get(connection, tenant_id=tenant_id, calendar_id=calendar_id),
    )
    return changes.make(connection, change, options=options, key=key)


def put_steps(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str,
    known: Json | None,
    settings: Mapping[str, object],
) -> list[Step]:
    """Return what makes a calendar's settings these; nothing if they are."""
    members_changed = changed_members(known, settings)
    if known and not members_changed:
        return []
    values = {"tenant": tenant_id, "calendar": calendar_id, "settings": Jsonb(dict(settings))}

    def run() -> None:
        if connection.execute(_SQL["put"], values).fetchone() is None:
            raise NotFoundError("This id cannot be used for a calendar; choose another.")

    own = frozenset({calendar_id})
    return [
        Step(
            resource="calendar",
            id=calendar_id,
            action="update" if known else "create",
            members=members_changed,
            # Two calendars may exchange their slugs.
            prepare=lambda: _release_slug(connection, values) if "slug" in members_changed else None,
            run=run,
            calendars=own,
            closing=own if {"blocked_dates", "time_zone"} & {*members_changed} else frozenset(),
        )
    ]


def delete_steps(connection: Connection, *, tenant_id: str, calendar_id: str, now: datetime) -> list[Step]:
    """Return what empties a calendar's team and deletes the calendar."""
    values = {"tenant": tenant_id, "calendar": calendar_id, "now": now}
    own = frozenset({calendar_id})
    team = members.list_page(connection, tenant_id=tenant_id, calendar_id=calendar_id)
    left = [
        members.leave_step(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, coach_id=one["coach_id"], now=now
        )
        for one in team
    ]

    def run() -> None:
        connection.execute(_SQL["delete"], values)

    deletion = Step(resource="calendar", id=calendar_id, action="delete", run=run, calendars=own, closing=own)
    return [*left, deletion]


def _release_slug(connection: Connection, values: Json) -> None:
    connection.execute(_SQL["release_slug"], values)
