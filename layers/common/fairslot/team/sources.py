"""Sources: the external calendars of coaches, what is read of them and written to them, and how that goes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from fairslot.domain.errors import ConflictError, ValidationError
from fairslot.platform import connect_links
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team.changes import Json, Step, check_made
from fairslot.team.coaches import Coach
from fairslot.team.preconditions import changed_members
from fairslot.team.resources import DeletableResource, Settings
from fairslot.team.source_errors import in_words

# Each is read every five minutes.
MOST_OF_A_COACH = 20
SETTINGS = ("kind", "url", "calendar_ref", "username", "reads", "writes")
_SQL = queries("sources")
# The scheme that calendars write for a feed to subscribe to.
_WEBCAL = re.compile(r"^webcals?://", re.IGNORECASE)


@dataclass(frozen=True)
class Credentials:
    """What a source is read with, as ciphertext; None: with nothing."""

    ciphertext: str | None


def list_all(
    connection: Connection, *, tenant_id: str, coach_id: str | None = None, now: datetime | None = None
) -> Sequence[Json]:
    """Return the sources of a coach, None: of every coach, in the order in which they were added.

    Raises:
        NotFoundError: the tenant has no such coach.

    """
    if coach_id is not None:
        Coach(coach_id).get(connection, tenant_id=tenant_id)
    rows = connection.execute(_SQL["list"], {"tenant": tenant_id, "coach": coach_id, "now": now})
    return [_shown(row["source"]) for row in rows]


@dataclass(frozen=True)
class Source(DeletableResource):
    """A source. With `credentials` those are set too; None leaves them as they are.

    How it goes is as of `now`, None: of the database's clock.
    """

    coach_id: str
    source_id: UUID
    credentials: Credentials | None = None
    now: datetime | None = None
    missing = "There is no such source."

    def find(self, connection: Connection, *, tenant_id: str) -> Json | None:
        """Return what is set of the source and how it goes, or None."""
        row = connection.execute(_SQL["get"], self._values(tenant_id, self.now)).fetchone()
        return _shown(row["source"]) if row else None

    def tagged(self, found: Json) -> Json:
        """Return what is set: how it goes changes by itself."""
        return {name: found[name] for name in ("source_id", *SETTINGS)}

    def put_steps(
        self, connection: Connection, *, tenant_id: str, known: Json | None, settings: Settings, now: datetime
    ) -> list[Step]:
        """Return what makes the source's settings these; nothing if they are.

        Raises:
            ValidationError: it cannot be read from that address.

        """
        del connection
        wanted = {name: settings[name] for name in SETTINGS}
        if known is None or known["url"] != wanted["url"]:
            wanted = as_stored(wanted)
        members = changed_members(known, wanted)
        if self.credentials is not None:
            members = (*members, "password")
        if known and not members:
            return []
        return [
            Step(
                resource="source",
                id=f"{self.coach_id}/{self.source_id}",
                action="update" if known else "create",
                members=members,
                make=_put,
                values={
                    **self._values(tenant_id, now),
                    "settings": Jsonb(wanted),
                    "sets_credentials": self.credentials is not None,
                    "credentials": self.credentials.ciphertext if self.credentials else None,
                },
                coaches=frozenset({self.coach_id}),
            )
        ]

    def delete_steps(self, connection: Connection, *, tenant_id: str, now: datetime) -> list[Step]:
        """Return what deletes the source."""
        del connection
        return [
            Step(
                resource="source",
                id=f"{self.coach_id}/{self.source_id}",
                action="delete",
                make=_delete,
                values=self._values(tenant_id, now),
                coaches=frozenset({self.coach_id}),
            )
        ]

    def _values(self, tenant_id: str, now: datetime | None) -> Json:
        return {"tenant": tenant_id, "coach": self.coach_id, "source": self.source_id, "now": now}


def as_stored(settings: Settings) -> Json:
    """Return the settings of a source with its address in the form that is stored. Raises ValidationError."""
    return {**settings, "url": _address(settings["kind"], settings["url"])}


def _shown(source: Json) -> Json:
    """Return a source with its error in words, and where a coach connects it again."""
    generation = source.pop("generation")
    reconnect = None
    if source["state"] == "disconnected" and source["kind"] in connect_links.CONNECTABLE:
        reconnect = connect_links.reconnect_url(source_id=UUID(source["source_id"]), generation=generation)
    return {**source, "error": in_words(source["error_code"]), "reconnect": reconnect}


def _address(kind: str, url: str | None) -> str | None:
    """Return the address of a source in the form in which it is stored and requested."""
    if url is None:
        return None
    from fairslot.platform import addresses  # late: most requests need none of it

    # A password goes to https alone.
    rules = addresses.feed_rules() if kind == "icalendar" else addresses.subscriber_rules()
    try:
        return addresses.canonical(_WEBCAL.sub("https://", url), rules)
    except addresses.AddressError as error:
        raise ValidationError(
            "The URL must lead to a public address, and be https where a password is sent.",
            [("body.url", error.reason)],
        ) from error


def _put(connection: Connection, steps: Sequence[Step]) -> None:
    try:
        made = {
            one
            for action, some in groupby(steps, attrgetter("action"))
            for one in (_add(connection, [*some]) if action == "create" else _set(connection, some))
        }
    except UniqueViolation as error:
        raise ConflictError(
            "A coach has one calendar at the calendar API. Change the one that is there."
        ) from error
    check_made(steps, made, "There is no such coach.")
    _check_number(connection, steps)


def _add(connection: Connection, steps: Sequence[Step]) -> list[str]:
    """Add sources in one statement; return the ids of the steps that were made."""
    settings = [{**step.values["settings"].obj, "credentials": step.values["credentials"]} for step in steps]
    values = {
        "tenant": steps[0].values["tenant"],
        "now": steps[0].values["now"],
        "coaches": [step.values["coach"] for step in steps],
        "sources": [step.values["source"] for step in steps],
        "settings": Jsonb(settings),
    }
    added = {row["source_id"] for row in connection.execute(_SQL["add"], values).fetchall()}
    return [step.id for step in steps if step.values["source"] in added]


def _set(connection: Connection, steps: Iterable[Step]) -> list[str]:
    """Set sources one by one; return the ids of the steps that were made."""
    return [step.id for step in steps if connection.execute(_SQL["set"], step.values).fetchone() is not None]


def _check_number(connection: Connection, steps: Sequence[Step]) -> None:
    coaches = sorted({step.values["coach"] for step in steps})
    values = {"tenant": steps[0].values["tenant"], "coaches": coaches, "most": MOST_OF_A_COACH}
    if connection.execute(_SQL["crowded"], values).fetchone() is not None:
        raise ConflictError(f"A coach has {MOST_OF_A_COACH} sources at most. Delete one first.")


def _delete(connection: Connection, steps: Sequence[Step]) -> None:
    for step in steps:
        connection.execute(_SQL["delete"], step.values)
