"""Calendars: what customers book, and by which rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team import members
from fairslot.team.changes import Json, Step, check_made
from fairslot.team.members import Member
from fairslot.team.preconditions import changed_members
from fairslot.team.resources import DeletableResource, Settings

_SQL = queries("calendars")


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


@dataclass(frozen=True)
class Calendar(DeletableResource):
    """A calendar; SlugTakenError if another one has the slug.

    The team of a deleted one leaves it; what was decided and booked stays on record.
    """

    calendar_id: str
    missing = "There is no such calendar."

    def find(self, connection: Connection, *, tenant_id: str) -> Json | None:
        """Return the calendar's settings, or None."""
        values = {"tenant": tenant_id, "calendar": self.calendar_id}
        row = connection.execute(_SQL["get"], values).fetchone()
        return row["calendar"] if row else None

    def put_steps(
        self, connection: Connection, *, tenant_id: str, known: Json | None, settings: Settings, now: datetime
    ) -> list[Step]:
        """Return what makes the calendar's settings these; nothing if they are."""
        del connection, now
        members_changed = changed_members(known, settings)
        if known and not members_changed:
            return []
        own = frozenset({self.calendar_id})
        return [
            Step(
                resource="calendar",
                id=self.calendar_id,
                action="update" if known else "create",
                members=members_changed,
                make=_put,
                values={"tenant": tenant_id, "calendar": self.calendar_id, "settings": settings},
                prepare=self._release_slug(tenant_id) if "slug" in members_changed else None,
                calendars=own,
                closing=own if {"blocked_dates", "time_zone"} & {*members_changed} else frozenset(),
            )
        ]

    def delete_steps(self, connection: Connection, *, tenant_id: str, now: datetime) -> list[Step]:
        """Return what empties the calendar's team and deletes the calendar."""
        team = members.list_page(connection, tenant_id=tenant_id, calendar_id=self.calendar_id)
        places = [Member(self.calendar_id, one["coach_id"]) for one in team]
        left = [step for one in places for step in one.delete_steps(connection, tenant_id=tenant_id, now=now)]
        own = frozenset({self.calendar_id})
        deletion = Step(
            resource="calendar",
            id=self.calendar_id,
            action="delete",
            make=_delete,
            values={"tenant": tenant_id, "calendar": self.calendar_id, "now": now},
            prepare=self._release_slug(tenant_id),
            calendars=own,
            closing=own,
        )
        return [*left, deletion]

    def _release_slug(self, tenant_id: str) -> Callable[[Connection], None]:
        """Return what frees the slug: two calendars may exchange theirs, or one take a deleted one's."""
        values = {"tenant": tenant_id, "calendar": self.calendar_id}

        def release(connection: Connection) -> None:
            connection.execute(_SQL["release_slug"], values)

        return release


def _put(connection: Connection, steps: Sequence[Step]) -> None:
    made: set[str] = set()
    for step in steps:
        values = {**step.values, "settings": Jsonb(step.values["settings"])}
        made.update(row["calendar_id"] for row in connection.execute(_SQL["put"], values))
    check_made(steps, made, "This id cannot be used for a calendar; choose another.")


def _delete(connection: Connection, steps: Sequence[Step]) -> None:
    for step in steps:
        connection.execute(_SQL["delete"], step.values)
