"""Who is in a calendar's team, with which weight and rules; joining and leaving go through the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team.changes import Json, Step, check_made, columns
from fairslot.team.preconditions import changed_members
from fairslot.team.resources import DeletableResource, Settings

_SQL = queries("members")
_COLUMNS = ("calendar", "coach", "weight", "before", "after", "notice")


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


@dataclass(frozen=True)
class Member(DeletableResource):
    """A coach's place in a calendar's team.

    Who joins has no credit and no debt; the credit of who leaves is divided among the rest.
    """

    calendar_id: str
    coach_id: str
    missing = "The coach is not in the calendar's team."

    def find(self, connection: Connection, *, tenant_id: str) -> Json | None:
        """Return the coach's place in the team, or None."""
        row = connection.execute(_SQL["get"], self._values(tenant_id)).fetchone()
        return row["member"] if row else None

    def put_steps(
        self, connection: Connection, *, tenant_id: str, known: Json | None, settings: Settings, now: datetime
    ) -> list[Step]:
        """Return what gives the coach a place in the team, or other settings."""
        del connection, now
        members_changed = changed_members(known, settings)
        if known and not members_changed:
            return []
        return [
            Step(
                resource="member",
                id=f"{self.calendar_id}/{self.coach_id}",
                action="update" if known else "create",
                members=members_changed,
                make=_join,
                values={**self._values(tenant_id), **settings, **settings["buffers"]},
                coaches=frozenset() if known else frozenset({self.coach_id}),
                calendars=frozenset({self.calendar_id}),
            )
        ]

    def delete_steps(self, connection: Connection, *, tenant_id: str, now: datetime) -> list[Step]:
        """Return what removes the coach from the team."""
        del connection
        return [
            Step(
                resource="member",
                id=f"{self.calendar_id}/{self.coach_id}",
                action="delete",
                make=_leave,
                values=self._values(tenant_id) | {"now": now},
                coaches=frozenset({self.coach_id}),
                calendars=frozenset({self.calendar_id}),
            )
        ]

    def _values(self, tenant_id: str) -> Json:
        return {"tenant": tenant_id, "calendar": self.calendar_id, "coach": self.coach_id}


def _join(connection: Connection, steps: Sequence[Step]) -> None:
    values = {**steps[0].values, **columns(steps, *_COLUMNS)}
    made = {row["member_id"] for row in connection.execute(_SQL["join"], values)}
    check_made(steps, made, "There is no such calendar or coach.")


def _leave(connection: Connection, steps: Sequence[Step]) -> None:
    connection.execute(_SQL["leave"], {**steps[0].values, **columns(steps, "calendar", "coach")})
