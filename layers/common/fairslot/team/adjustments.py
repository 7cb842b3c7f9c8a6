"""Corrections of what a coach is owed: made by a person, or by an absence that settles it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fairslot.domain.fair_share import MILLION
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team.calendars import Calendar
from fairslot.team.changes import Json, Step
from fairslot.team.resources import Resource, Settings

_SQL = queries("adjustments")


def list_page(
    connection: Connection, *, tenant_id: str, calendar_id: str, after: int | None, limit: int
) -> Sequence[Json]:
    """Return up to `limit` adjustments of a calendar by their number, after the given one.

    Raises:
        NotFoundError: the tenant has no such calendar.

    """
    Calendar(calendar_id).get(connection, tenant_id=tenant_id)
    values = {"tenant": tenant_id, "calendar": calendar_id, "after": after or 0, "limit": limit}
    return [_in_bookings(row["adjustment"]) for row in connection.execute(_SQL["list_page"], values)]


@dataclass(frozen=True)
class Adjustment(Resource):
    """An adjustment of a calendar's ledger; it is on record for ever, and never changed or deleted."""

    calendar_id: str
    adjustment_id: UUID
    missing = "There is no such adjustment."

    def find(self, connection: Connection, *, tenant_id: str) -> Json | None:
        """Return the adjustment, or None."""
        row = connection.execute(_SQL["get"], self._values(tenant_id)).fetchone()
        return _in_bookings(row["adjustment"]) if row else None

    def put_steps(
        self, connection: Connection, *, tenant_id: str, known: Json | None, settings: Settings, now: datetime
    ) -> list[Step]:
        """Return what makes the adjustment, of `coach_id`, `kind`, `bookings` and `reason`.

        Raises:
            NotFoundError: the tenant has no such calendar.

        """
        del known
        Calendar(self.calendar_id).get(connection, tenant_id=tenant_id)
        values = self._values(tenant_id) | {
            "coach": settings["coach_id"],
            "kind": settings["kind"],
            "amount": round(settings["bookings"] * MILLION),
            "reason": settings["reason"],
            "now": now,
        }
        return [
            Step(
                resource="adjustment",
                id=f"{self.calendar_id}/{self.adjustment_id}",
                action="create",
                members=("coach_id", "kind", "bookings", "reason"),
                make=_adjust,
                values=values,
                calendars=frozenset({self.calendar_id}),
            )
        ]

    def _values(self, tenant_id: str) -> Json:
        return {"tenant": tenant_id, "calendar": self.calendar_id, "adjustment": self.adjustment_id}


def _adjust(connection: Connection, steps: Sequence[Step]) -> None:
    for step in steps:
        connection.execute(_SQL["adjust"], step.values)


def _in_bookings(found: Json) -> Json:
    amount = found.pop("amount")
    return found | {"bookings": amount / MILLION}
