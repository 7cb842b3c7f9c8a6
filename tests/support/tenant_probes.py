"""Statements run as one tenant with the ids of another, and all that comes of it."""

import itertools
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg

from fairslot.platform.db import Connection
from tests.support.clock import NOW, stop_clock
from tests.support.tenant_filters import Statement
from tests.support.tenant_values import OWN, REST, ROWS, THINGS, Values
from tests.support.two_tenants import OWNER, Tenant, add_tenants

_TYPES = {datetime: "timestamptz", timedelta: "interval"}
_UNKNOWN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
# What happens now, of which the tests' own instants have no fraction.
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d+|datetime\.datetime\(\d+(?:, \d+){6}")
# What only says when something changed, and in which transaction.
_LEFT_OUT = {"availability_changes", "coach_horizons", "horizons_folded", "page_keys", "api_key_uses"}


class UnknownParameterError(Exception):
    """A parameter has no value here: add it to the things that tenants have, or to the rest."""


@dataclass(frozen=True)
class Outcome:
    """What came of a statement: rows or an error, the rows of tables that it ended and made, its locks."""

    rows: str
    error: str
    ended: frozenset[str]
    made: frozenset[str]
    locks: frozenset[str]

    def without(self, asked: Iterable[Any]) -> tuple[Any, ...]:
        """Return all but the locks, and what was asked for."""
        made, ended = ({_without(row, asked) for row in rows} for rows in (self.made, self.ended))
        return _without(self.rows, asked), self.error, made, ended


class World:
    """Two tenants, whom statements can tell apart, and a stranger who asks for what is the owner's."""

    def __init__(self, connection: Connection) -> None:
        stop_clock(connection, NOW)
        self.connection = connection
        self.owner, self.stranger = add_tenants(connection)
        self._known = self._all_rows()
        self._ids = set(_UNKNOWN.findall("\n".join(self._known)))
        self._marks = re.compile("|".join(map(re.escape, map(str, self._marks_of(self.owner)))))

    def calls(self, statement: Statement) -> Iterator[tuple[str, Values]]:
        """Return the statement as it is called, with ids of both tenants in every combination."""
        if statement.is_routine:
            call, types = self._call(statement)
        else:
            call, types = statement.text, self._types(statement)
        choices = {name: self._choices(statement, name, type_) for name, type_ in types.items()}
        for values in itertools.product(*choices.values()):
            yield call, dict(zip(choices, values, strict=True))

    def outcome(self, call: str, values: Values, *, instead: str | None = None) -> Outcome:
        """Return what comes of a call, which is undone; `instead` is the text of a routine meanwhile."""
        error, rows = "", ""
        with self.connection.transaction(force_rollback=True):
            if instead is not None:
                self.connection.execute(instead.encode())
            try:
                with self.connection.transaction():
                    cursor = self.connection.execute(call.encode(), values)
                    rows = str(cursor.fetchall()) if cursor.description else ""
            except psycopg.Error as caught:
                error = caught.sqlstate or str(caught)
            now = self._all_rows()
            locks = self.connection.execute(
                "SELECT DISTINCT classid || '/' || objid AS name FROM pg_locks"
                " WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            )
            taken = frozenset(row["name"] for row in locks)
        ended, made = (frozenset(map(self._settled, some)) for some in (self._known - now, now - self._known))
        return Outcome(self._settled(rows), error, ended, made, taken)

    def of_owner(self, outcome: Outcome, values: Values) -> list[str]:
        """Return what an outcome has of the owner; what was asked for may come back in rows."""
        own = [row for row in outcome.made if self.stranger.tenant_id in row]
        touched = outcome.ended | (outcome.made - {*own})
        asked = values.values()
        seen = [text for text in (outcome.rows, *own) if self.names_owner(text, asked)]
        return seen + [row for row in touched if self.names_owner(row, ())]

    def names_owner(self, text: str, asked: Iterable[Any]) -> bool:
        """Return whether a text has anything of the owner beside what was asked for."""
        return self._marks.search(_without(text, asked)) is not None

    def of_nothing(self, values: Values) -> Values:
        """Return the values with ids that nothing has in the place of the owner's."""
        unknown = {one: _like(one) for one in self.owner.ids.values()}
        return {
            name: [unknown.get(one, one) for one in value]
            if isinstance(value, list)
            else unknown.get(value, value)
            if isinstance(value, Hashable)
            else value
            for name, value in values.items()
        }

    def rows_of_owner(self) -> frozenset[str]:
        """Return the text of every row of the owner."""
        rows = self._all_rows()
        return frozenset(
            row for row in rows if self._marks.search(row) and self.stranger.tenant_id not in row
        )

    def _choices(self, statement: Statement, name: str, type_: str) -> Sequence[Any]:
        own = OWN.get(statement.name, {})
        if name in own:
            return [own[name]]
        if name == "tenant":
            return [self.stranger.tenant_id]
        if type_ in ROWS:
            row = self.connection.execute(ROWS[type_].encode(), self.stranger.ids).fetchone()
            return [None if row is None else row["one"]]
        if name == "hash":
            return [self.stranger.ids["key_hash"]]
        optional = re.search(rf"%\({name}\)s(::\w+(\[\])?)? IS NULL", statement.text)
        kind = THINGS.get(f"{statement.name}:{name}", THINGS.get(name))
        if kind is not None:
            found = [tenant.ids[kind] for tenant in (self.owner, self.stranger)]
            some = [[one] for one in found] if type_.endswith("[]") else found
            return [*some, None] if optional else some
        if name not in REST:
            raise UnknownParameterError(f"{name} of {statement.place} {statement.name}")
        return [None if optional else REST[name]]

    def _types(self, statement: Statement) -> Mapping[str, str]:
        """Return the types of a statement's parameters by name, as Postgres infers them."""
        text = statement.text
        names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
        prepared = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", text).replace(
            "%%", "%"
        )
        given = REST | OWN.get(statement.name, {})
        said = ", ".join(_TYPES.get(type(given.get(name)), "unknown") for name in names)
        with self.connection.transaction(force_rollback=True):
            self.connection.execute(f"PREPARE one ({said}) AS {prepared}".encode())
            row = self.connection.execute(
                "SELECT parameter_types::text[] AS types FROM pg_prepared_statements WHERE name = 'one'"
            ).fetchone()
            self.connection.execute("DEALLOCATE one")
        return dict(zip(names, row["types"] if row else [], strict=True))

    def _call(self, statement: Statement) -> tuple[str, Mapping[str, str]]:
        """Return how a function is called, and the types of its arguments by the names of values."""
        rows = self.connection.execute(
            "SELECT proargnames[:pronargs] AS names, prosrc,"
            "       ARRAY(SELECT format_type(one, NULL) FROM unnest(proargtypes) AS one) AS types"
            "  FROM pg_proc WHERE pronamespace = 'engine'::regnamespace AND proname = %s",
            (statement.name,),
        ).fetchall()
        (found,) = [row for row in rows if row["prosrc"] in statement.text]
        types = {
            name.removeprefix("p_"): type_ for name, type_ in zip(found["names"], found["types"], strict=True)
        }
        given = (
            f"{full} => %({name})s::{type_}"
            for full, (name, type_) in zip(found["names"], types.items(), strict=True)
        )
        return f"SELECT * FROM engine.{statement.name}({', '.join(given)})", types

    def _all_rows(self) -> frozenset[str]:
        """Return the text of every row, after its table's name."""
        tables = self.connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        names = sorted({row["relname"] for row in tables} - _LEFT_OUT)
        texts = " UNION ALL ".join(
            f"SELECT '{name} ' || one::text AS row FROM {name} AS one" for name in names
        )
        return frozenset(row["row"] for row in self.connection.execute(texts.encode()))

    def _settled(self, text: str) -> str:
        """Return a text in which every id that was made since is the same, and every instant of now."""
        text = _INSTANT.sub("now", text)
        return _UNKNOWN.sub(lambda match: match[0] if match[0] in self._ids else "new", text)

    def _marks_of(self, tenant: Tenant) -> set[str]:
        """Return the tenant's name, and every id in a row that has it."""
        marks = {tenant.tenant_id, *map(str, tenant.ids.values())}
        own = re.compile("|".join(map(re.escape, marks)))
        return marks | {one for row in self._known if own.search(row) for one in _UNKNOWN.findall(row)}


def _without(text: str, asked: Iterable[Any]) -> str:
    lists = (value if isinstance(value, list) else [value] for value in asked)
    for one in sorted({str(one) for some in lists for one in some}, key=len, reverse=True):
        text = text.replace(one, "") if one else text
    return text


def _like(known: Any) -> Any:
    """Return an id of the same form as another that nothing has."""
    if isinstance(known, str):
        return known.replace(OWNER, "nobody")
    return known[::-1] if isinstance(known, bytes) else uuid4()
