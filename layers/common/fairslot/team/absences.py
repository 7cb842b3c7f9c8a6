"""Absences of coaches as an operator sets them, beside those that partners report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from fairslot.coach_time.absences import begin_absence, end_absence
from fairslot.domain.errors import ConflictError
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team.changes import Json, Step
from fairslot.team.coaches import Coach
from fairslot.team.preconditions import changed_members
from fairslot.team.resources import DeletableResource, Settings

_SQL = queries("absences")


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
    Coach(coach_id).get(connection, tenant_id=tenant_id)
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


@dataclass(frozen=True)
class Absence(DeletableResource):
    """An absence: it closes every slot of a coach that [start, end) touches.

    Where it ends sooner or is deleted the coach is free again, if no other one is there; with an external
    calendar, once that was read again.
    """

    coach_id: str
    absence_id: UUID
    missing = "There is no such absence."

    def find(self, connection: Connection, *, tenant_id: str) -> Json | None:
        """Return the absence, or None."""
        row = connection.execute(_SQL["get"], self._values(tenant_id)).fetchone()
        return _absence(self.coach_id, row) if row else None

    def put_steps(
        self, connection: Connection, *, tenant_id: str, known: Json | None, settings: Settings, now: datetime
    ) -> list[Step]:
        """Return what makes the absence, of `start`, `end`, `reason` and `ledger`, or changes it.

        With the `ledger` settle the coach's credits go to the rest of each team, once. An absence of which a
        partner has ended a part is whole again with another start or end.

        Raises:
            NotFoundError: the tenant has no such coach.
            ConflictError: it has settled, and should not have.

        """
        coach = Coach(self.coach_id)
        coach.get(connection, tenant_id=tenant_id)
        wanted = {**settings, **{name: _zulu(settings[name]) for name in ("start", "end")}}
        members = changed_members(known, wanted)
        if not members:
            return []
        if known and known["ledger"] == "settle" and "ledger" in members:
            raise ConflictError(
                "The absence has settled what the coach was owed; an adjustment gives it back."
            )
        settles = wanted["ledger"] == "settle" and "ledger" in members
        return [
            Step(
                resource="absence",
                id=f"{self.coach_id}/{self.absence_id}",
                action="update" if known else "create",
                members=members,
                make=_set,
                values={
                    **self._values(tenant_id),
                    **wanted,
                    "now": now,
                    "changed": members,
                    "settles": settles,
                },
                coaches=frozenset({self.coach_id}),
                calendars=frozenset(coach.calendars(connection, tenant_id=tenant_id) if settles else ()),
            )
        ]

    def delete_steps(self, connection: Connection, *, tenant_id: str, now: datetime) -> list[Step]:
        """Return what deletes the absence."""
        del connection, now
        return [
            Step(
                resource="absence",
                id=f"{self.coach_id}/{self.absence_id}",
                action="delete",
                make=_end,
                values=self._values(tenant_id),
                coaches=frozenset({self.coach_id}),
            )
        ]

    def _values(self, tenant_id: str) -> Json:
        return {"tenant": tenant_id, "coach": self.coach_id, "event": self.absence_id}


def _set(connection: Connection, steps: Sequence[Step]) -> None:
    for step in steps:
        one = step.values
        if {"start", "end"} & {*one["changed"]}:
            if step.action == "update":
                _end(connection, [step])
            begin_absence(
                connection,
                tenant_id=one["tenant"],
                coach_id=one["coach"],
                start=one["start"],
                end=one["end"],
                event_id=one["event"],
            )
        connection.execute(_SQL["note_reason"], one)
        if one["settles"]:
            connection.execute(_SQL["settle"], one)


def _end(connection: Connection, steps: Sequence[Step]) -> None:
    for one in (step.values for step in steps):
        for row in connection.execute(_SQL["delete"], one).fetchall():
            own = {"tenant_id": one["tenant"], "coach_id": one["coach"]}
            end_absence(connection, **own, start=row["start"], end=row["end"])


def _absence(coach_id: str, row: Json) -> Json:
    return {
        "absence_id": str(row["absence_id"]),
        "coach_id": coach_id,
        "start": _zulu(row["start"]),
        "end": _zulu(row["end"]),
        "reason": row["reason"],
        "ledger": row["ledger"],
    }


def _zulu(instant: datetime | str) -> str:
    """Return an instant as the API shows it."""
    read = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return read.astimezone(UTC).isoformat().replace("+00:00", "Z")
