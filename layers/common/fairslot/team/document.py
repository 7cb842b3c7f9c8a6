"""A whole team as one document: coaches, calendars and who is in them, by id, in the API's own shapes.

{"coaches": {id: settings with "sources": [settings]},
 "calendars": {id: settings with "team": {coach_id: settings}}}
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID, uuid4

from fairslot.domain.errors import SlugTakenError
from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from fairslot.team import calendars, changes, coaches, members, sources
from fairslot.team.calendars import Calendar
from fairslot.team.changes import ChangeRequest, Json, Step
from fairslot.team.coaches import Coach
from fairslot.team.members import Member
from fairslot.team.resources import DeletableResource, Resource
from fairslot.team.sources import Source


def export(connection: Connection, *, tenant_id: str) -> Json:
    """Return the document of what there is; applied to an empty database it makes the same."""
    with connection.transaction():
        return _read(connection, tenant_id)


def apply(
    connection: Connection, asked: ChangeRequest, *, document: Mapping[str, Mapping[str, Json]], prune: bool
) -> ChangeResult:
    """Make everything as the document says, in one transaction; the same document again changes nothing.

    What is not in it stays as it is; with `prune` it is deleted. A calendar's `team` is its whole team, and
    a coach's `sources` are all of them; None leaves them as they are. A source is known by what it reads: it
    keeps its credentials, which no document has. For the answer and the errors see changes.make.

    Raises:
        NotFoundError: a team names a coach that there is not, or an id cannot be used.
        SlugTakenError: two calendars have one slug.

    """

    def steps() -> Sequence[Step]:
        return _steps(connection, asked.tenant_id, document, prune=prune, now=asked.now)

    return changes.make(connection, asked, steps=steps, read=lambda: None)


def _read(connection: Connection, tenant_id: str) -> Json:
    teams: dict[str, Json] = {}
    for one in members.list_page(connection, tenant_id=tenant_id, calendar_id=None):
        place = _without(one, "calendar_id", "coach_id")
        teams.setdefault(one["calendar_id"], {})[one["coach_id"]] = place
    read = _sources(connection, tenant_id)
    return {
        "coaches": {
            one["coach_id"]: _without(one, "coach_id")
            | {"sources": [_settings_of(source) for source in read.get(one["coach_id"], ())]}
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
    gone = _gone(known, document) if prune else {"coaches": set[str](), "calendars": set[str]()}
    steps = _Steps(connection, tenant_id, now)
    _check_slugs(known["calendars"], document["calendars"], gone["calendars"])
    for coach_id, settings in document["coaches"].items():
        own, place = _without(settings, "sources"), f"coaches.{coach_id}"
        steps.put(Coach(coach_id), known["coaches"].get(coach_id), own, place)
    _put_sources(steps, _sources(connection, tenant_id), document["coaches"])
    for calendar_id, entry in document["calendars"].items():
        current = known["calendars"].get(calendar_id)
        steps.put(Calendar(calendar_id), current, _without(entry, "team"), f"calendars.{calendar_id}")
    for calendar_id, entry in document["calendars"].items():
        team = known["calendars"].get(calendar_id, {"team": {}})["team"]
        wanted = team if entry.get("team") is None else entry["team"]
        # Who is deleted leaves with that.
        for coach_id in [one for one in wanted if one not in gone["coaches"]]:
            place = f"calendars.{calendar_id}.team.{coach_id}"
            steps.put(Member(calendar_id, coach_id), team.get(coach_id), wanted[coach_id], place)
        for coach_id in [one for one in team if one not in wanted and one not in gone["coaches"]]:
            steps.delete(Member(calendar_id, coach_id))
    for calendar_id in sorted(gone["calendars"]):
        steps.delete(Calendar(calendar_id))
    for coach_id in sorted(gone["coaches"]):
        steps.delete(Coach(coach_id))
    return steps.found


@dataclass
class _Steps:
    """The steps of several resources, one after another; what is deleted with another one is so once."""

    connection: Connection
    tenant_id: str
    now: datetime
    found: list[Step] = field(default_factory=list)
    _deleted: set[tuple[str, str]] = field(default_factory=set)

    def put(self, resource: Resource, known: Json | None, settings: Json, place: str) -> None:
        """Add what makes the settings of a resource these, with their place in the document."""
        made = resource.put_steps(
            self.connection, tenant_id=self.tenant_id, known=known, settings=settings, now=self.now
        )
        self.found.extend(replace(step, place=f"body.{place}") for step in made)

    def delete(self, resource: DeletableResource) -> None:
        """Add what deletes a resource."""
        made = resource.delete_steps(self.connection, tenant_id=self.tenant_id, now=self.now)
        self.found.extend(step for step in made if (step.resource, step.id) not in self._deleted)
        self._deleted.update((step.resource, step.id) for step in made)


def _put_sources(steps: _Steps, known: Mapping[str, Sequence[Json]], wanted: Mapping[str, Json]) -> None:
    """Add what makes coaches' sources these; a source is known by its kind, address, account and calendar."""
    for coach_id, given in wanted.items():
        if given.get("sources") is None:
            continue
        left = list(known.get(coach_id, ()))
        # They are listed by their ids where they were added at once.
        ids = iter(sorted(uuid4() for _ in given["sources"]))
        for place, one in enumerate(map(sources.as_stored, given["sources"])):
            found = next((source for source in left if _read_of(source) == _read_of(one)), None)
            if found is not None:
                left.remove(found)
            source_id = UUID(found["source_id"]) if found else next(ids)
            steps.put(Source(coach_id, source_id), found, one, f"coaches.{coach_id}.sources.{place}")
        for source in left:
            steps.delete(Source(coach_id, UUID(source["source_id"])))


def _read_of(source: Mapping[str, Json]) -> tuple[Json, ...]:
    return tuple(source[name] for name in ("kind", "url", "calendar_ref", "username"))


def _sources(connection: Connection, tenant_id: str) -> dict[str, list[Json]]:
    """Return the sources of every coach, by the coach's id."""
    found: dict[str, list[Json]] = {}
    for one in sources.list_all(connection, tenant_id=tenant_id):
        found.setdefault(one["coach_id"], []).append(one)
    return found


def _settings_of(source: Json) -> Json:
    return {name: source[name] for name in sources.SETTINGS}


def _gone(known: Json, document: Mapping[str, Mapping[str, Json]]) -> dict[str, set[str]]:
    return {kind: known[kind].keys() - document[kind].keys() for kind in ("coaches", "calendars")}


def _check_slugs(known: Mapping[str, Json], wanted: Mapping[str, Json], gone: Collection[str]) -> None:
    """Check that each slug is one calendar's afterwards. Raises SlugTakenError, which names the place."""
    owners = {
        one["slug"]: calendar_id
        for calendar_id, one in known.items()
        if calendar_id not in wanted and calendar_id not in gone
    }
    for calendar_id, one in wanted.items():
        if one["slug"] is not None and owners.setdefault(one["slug"], calendar_id) != calendar_id:
            raise SlugTakenError(f"body.calendars.{calendar_id}.slug")


def _without(resource: Json, *names: str) -> Json:
    return {key: value for key, value in resource.items() if key not in names}
