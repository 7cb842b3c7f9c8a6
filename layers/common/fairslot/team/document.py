"""A whole team as one document: coaches, calendars and who is in them, by id, in the API's own shapes.

{"coaches": {id: settings}, "calendars": {id: settings with "team": {coach_id: {"weight": 1}}}}
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection
from fairslot.team import calendars, changes, coaches, members
from fairslot.team.changes import Json, Options, Step


def export(connection: Connection, *, tenant_id: str) -> Json:
    """Return the document of what there is; applied to an empty database it makes the same."""
    with connection.transaction():
        return _read(connection, tenant_id)


def apply(
    connection: Connection,
    *,
    tenant_id: str,
    document: Mapping[str, Mapping[str, Json]],
    prune: bool,
    options: Options,
    key: Key,
    now: datetime,
) -> ChangeResult:
    """Make everything as the document says, in one transaction; the same document again changes nothing.

    What is not in it stays as it is; with `prune` it is deleted. A calendar's `team` is its whole team, and
    None leaves the team as it is. For the answer and the errors see changes.make.

    Raises:
        NotFoundError: a team names a coach that there is not, or an id cannot be used.
        SlugTakenError: two calendars have one slug.

    """
    change = changes.Change(
        tenant_id=tenant_id,
        now=now,
        steps=lambda: _steps(connection, tenant_id, document, prune=prune, now=now),
        read=lambda: None,
    )
    return changes.make(connection, change, options=options, key=key)


def _read(connection: Connection, tenant_id: str) -> Json:
    teams: dict[str, Json] = {}
    for one in members.list_page(connection, tenant_id=tenant_id, calendar_id=None):
        teams.setdefault(one["calendar_id"], {})[one["coach_id"]] = {"weight": one["weight"]}
    return {
        "coaches": {
            one["coach_id"]: _without(one, "coach_id")
            for one in coaches.list_page(connection, tenant_id=tenant_id)
        },
        "calendars": {
            one["calendar_id"]: _without(one, "calendar_id") | {"team": teams.get(one["calendar_id"], {})}
            for one in calendars.list_page(connection, tenant_id=tenant_id)
        },
    }


def _steps(
    connection: Connection,
    tenant_id: str,
    document: Mapping[str, Mapping[str, Json]],
    *,
    prune: bool,
    now: datetime,
) -> Sequence[Step]:
    """Return the steps in order: coaches and calendars before who joins, leaving before deleting."""
    known = _read(connection, tenant_id)
    steps: list[Step] = []
    for coach_id, settings in document["coaches"].items():
        steps += coaches.put_steps(
            connection,
            tenant_id=tenant_id,
            coach_id=coach_id,
            known=known["coaches"].get(coach_id),
            settings=settings,
            now=now,
        )
    for calendar_id, entry in document["calendars"].items():
        current = known["calendars"].get(calendar_id)
        steps += calendars.put_steps(
            connection,
            tenant_id=tenant_id,
            calendar_id=calendar_id,
            known=current,
            settings=_without(entry, "team"),
        )
    gone = _gone(known, document) if prune else {"coaches": set[str](), "calendars": set[str]()}
    for calendar_id, entry in document["calendars"].items():
        team = known["calendars"].get(calendar_id, {"team": {}})["team"]
        wanted = team if entry.get("team") is None else entry["team"]
        steps += _team_steps(
            connection, tenant_id, calendar_id, known=team, wanted=wanted, gone=gone["coaches"], now=now
        )
    for calendar_id in sorted(gone["calendars"]):
        steps += calendars.delete_steps(connection, tenant_id=tenant_id, calendar_id=calendar_id, now=now)
    for coach_id in sorted(gone["coaches"]):
        left = {step.id for step in steps if step.action == "delete"}
        deletion = coaches.delete_steps(connection, tenant_id=tenant_id, coach_id=coach_id, now=now)
        steps += [step for step in deletion if step.id not in left]
    return steps


def _team_steps(
    connection: Connection,
    tenant_id: str,
    calendar_id: str,
    *,
    known: Mapping[str, Json],
    wanted: Mapping[str, Json],
    gone: set[str],
    now: datetime,
) -> list[Step]:
    """Return who joins a team, gets another weight, or leaves it; who is deleted leaves it with that."""
    joining = [
        members.join_step(
            connection,
            tenant_id=tenant_id,
            calendar_id=calendar_id,
            coach_id=coach_id,
            weight=one["weight"],
            known=coach_id in known,
        )
        for coach_id, one in wanted.items()
        if known.get(coach_id) != one and coach_id not in gone
    ]
    leaving = [
        members.leave_step(
            connection, tenant_id=tenant_id, calendar_id=calendar_id, coach_id=coach_id, now=now
        )
        for coach_id in known
        if coach_id not in wanted and coach_id not in gone
    ]
    return [*joining, *leaving]


def _gone(known: Json, document: Mapping[str, Mapping[str, Json]]) -> dict[str, set[str]]:
    return {kind: known[kind].keys() - document[kind].keys() for kind in ("coaches", "calendars")}


def _without(resource: Json, name: str) -> Json:
    return {key: value for key, value in resource.items() if key != name}
