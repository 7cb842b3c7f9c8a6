"""Coaches: who they are and when they work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from fairslot.domain.errors import NotFoundError
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team.changes import Json, Step
from fairslot.team.members import Member
from fairslot.team.preconditions import changed_members
from fairslot.team.resources import Resource, Settings

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
class Coach(Resource):
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
        values = {
            "tenant": tenant_id,
            "coach": self.coach_id,
            "settings": Jsonb(dict(settings)),
            "scored": settings.get("score") is not None,
            "now": now,
        }

        def run() -> None:
            if connection.execute(_SQL["put"], values).fetchone() is None:
                raise NotFoundError("This id cannot be used for a coach; choose another.")

        own = frozenset({self.coach_id})
        touched = frozenset(self._calendars(connection, tenant_id))
        return [
            Step(
                resource="coach",
                id=self.coach_id,
                action="update" if known else "create",
                members=members_changed,
                run=run,
                coaches=own if not known or _OF_TIME & {*members_changed} else frozenset(),
                calendars=touched if _OF_ROSTERS & {*members_changed} else frozenset(),
            )
        ]

    def delete_steps(self, connection: Connection, *, tenant_id: str, now: datetime) -> list[Step]:
        """Return what removes the coach from every team and deletes the coach."""
        values = {"tenant": tenant_id, "coach": self.coach_id, "now": now}

        def run() -> None:
            connection.execute(_SQL["delete"], values)
            connection.execute(_SQL["forget_calendar"], values)

        own = frozenset({self.coach_id})
        deletion = Step(resource="coach", id=self.coach_id, action="delete", run=run, coaches=own)
        places = [Member(one, self.coach_id) for one in self._calendars(connection, tenant_id)]
        left = [step for one in places for step in one.delete_steps(connection, tenant_id=tenant_id, now=now)]
        return [*left, deletion]

    def _calendars(self, connection: Connection, tenant_id: str) -> list[str]:
        values = {"tenant": tenant_id, "coach": self.coach_id}
        return [row["calendar_id"] for row in connection.execute(_SQL["calendars_of"], values)]
