"""Coaches: who they are and when they work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team.changes import Json, Step, check_made, columns
from fairslot.team.members import Member
from fairslot.team.preconditions import changed_members
from fairslot.team.resources import DeletableResource, Settings

_SQL = queries("coaches")
# A change of these moves a coach's days, or whether the coach works.
_OF_TIME = frozenset({"time_zone", "active", "working_hours", "overrides", "limits"})
# A change of these moves what a team's roster says of the coach.
_OF_ROSTERS = frozenset({"score", "active", "buffers", "notice", "attributes"})


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


@dataclass(frozen=True)
class Coach(DeletableResource):
    """A coach. Settings without `score` leave a known coach's.

    Who is deleted leaves every team; what was decided and booked stays on record.
    """

    coach_id: str
    missing = "There is no such coach."

    def find(self, connection: Connection, *, tenant_id: str) -> Json | None:
        """Return the coach's settings, or None."""
        values = {"tenant": tenant_id, "coach": self.coach_id}
        row = connection.execute(_SQL["get"], values).fetchone()
        return row["coach"] if row else None

    def put_steps(
        self, connection: Connection, *, tenant_id: str, known: Json | None, settings: Settings, now: datetime
    ) -> list[Step]:
        """Return what makes the coach's settings these; nothing if they are."""
        wanted = (
            {**settings, "score": known["score"]} if known and settings.get("score") is None else settings
        )
        members_changed = changed_members(known, wanted)
        if known and not members_changed:
            return []
        own = frozenset({self.coach_id})
        moves_rosters = known and _OF_ROSTERS & {*members_changed}
        touched = frozenset(self.calendars(connection, tenant_id=tenant_id) if moves_rosters else ())
        return [
            Step(
                resource="coach",
                id=self.coach_id,
                action="update" if known else "create",
                members=members_changed,
                make=_put,
                values={"tenant": tenant_id, "coach": self.coach_id, "settings": settings, "now": now},
                coaches=own if not known or _OF_TIME & {*members_changed} else frozenset(),
                calendars=touched,
            )
        ]

    def delete_steps(self, connection: Connection, *, tenant_id: str, now: datetime) -> list[Step]:
        """Return what removes the coach from every team and deletes the coach."""
        deletion = Step(
            resource="coach",
            id=self.coach_id,
            action="delete",
            make=_delete,
            values={"tenant": tenant_id, "coach": self.coach_id, "now": now},
            coaches=frozenset({self.coach_id}),
        )
        places = [Member(one, self.coach_id) for one in self.calendars(connection, tenant_id=tenant_id)]
        left = [step for one in places for step in one.delete_steps(connection, tenant_id=tenant_id, now=now)]
        return [*left, deletion]

    def calendars(self, connection: Connection, *, tenant_id: str) -> list[str]:
        """Return the calendars in whose team the coach is."""
        values = {"tenant": tenant_id, "coach": self.coach_id}
        return [row["calendar_id"] for row in connection.execute(_SQL["calendars_of"], values)]


def _put(connection: Connection, steps: Sequence[Step]) -> None:
    made: set[str] = set()
    for scored in (True, False):
        some = [one for one in steps if (one.values["settings"].get("score") is not None) is scored]
        if some:
            given = columns(some, "coach", "settings")
            values = {**some[0].values, **given, "settings": Jsonb(given["settings"]), "scored": scored}
            made.update(row["coach_id"] for row in connection.execute(_SQL["put"], values))
    check_made(steps, made, "This id cannot be used for a coach; choose another.")


def _delete(connection: Connection, steps: Sequence[Step]) -> None:
    values = {**steps[0].values, **columns(steps, "coach")}
    connection.execute(_SQL["delete"], values)
    connection.execute(_SQL["forget_calendar"], values)
