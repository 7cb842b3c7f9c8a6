"""Migrate a database: tables by numbered files that run once, functions as one set, in one transaction.

`schema/tables/` is applied in order, each step once: a file, or a folder of files. `schema/functions/` has
the current text of every function; all of it is applied whenever it is not what was applied last. After
either `schema/rights.sql` says who may use what there is then.
"""

import hashlib
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Self

import psycopg

from fairslot.platform import db

FUNCTIONS = "functions"
_LOCK = 7_215_204_113
# Requests lock tables in other orders, and the first to notice a deadlock is rolled back.
_ATTEMPTS = 10
# The timeouts are for requests. Waiting for a lock without one is safe: no transaction outlasts its own.
_WITHOUT_TIMEOUTS = """
    SELECT set_config(name, '0', true)
      FROM unnest('{lock_timeout, statement_timeout, transaction_timeout}'::text[]) AS name"""
# By default a schema with the role's name would come before it.
_TABLES_IN_PUBLIC = "SET LOCAL search_path = public"
_LEDGER = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        name text PRIMARY KEY,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE IF NOT EXISTS schema_functions (
        digest text PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )"""
_NOTE_FUNCTIONS = """
    INSERT INTO schema_functions (digest) VALUES (%s)
    ON CONFLICT (digest) DO UPDATE SET applied_at = excluded.applied_at"""
# Functions that CREATE OR REPLACE wrote have this transaction as xmin; the others are no longer in the set.
_LEFT_OVER = """
    SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc
     WHERE pronamespace = to_regnamespace('engine') AND xmin <> pg_current_xact_id()::xid"""
# The exit code of `python -m fairslot.platform.migrate` then.
BEFORE_BASELINE_CODE = 3


class MigrationChangedError(Exception):
    """A migration was edited after it was applied."""


class BeforeBaselineError(Exception):
    """The data is of an earlier version of Fairslot and cannot be migrated; use an empty database."""

    def __init__(self) -> None:
        """Use the docstring as the message."""
        super().__init__(self.__doc__)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The names and texts of the files with tables and with functions, in order, and the rights to them."""

    tables: list[tuple[str, str]] = field(default_factory=list)
    functions: list[tuple[str, str]] = field(default_factory=list)
    rights: str = ""

    @classmethod
    def current(cls) -> Self:
        """Return the schema of this package."""
        return cls(
            tables=_texts("tables"),
            functions=_texts("functions"),
            rights=_text(files("fairslot").joinpath("schema", "rights.sql")),
        )

    def followed_by(self, *tables: tuple[str, str], functions: list[tuple[str, str]] | None = None) -> Self:
        """Return this schema with more table files and, if given, with other functions."""
        return replace(self, tables=[*self.tables, *tables], functions=functions or self.functions)

    @property
    def digest(self) -> str:
        """The digest of all functions' text, and of the rights."""
        return _digest("".join(text for _, text in self.functions) + self.rights)


def migrate(url: str, schema: Schema | None = None) -> list[str]:
    """Bring the database at `url` up to date; return the names of table files applied, and "functions".

    It may run twice, several times at once, and while requests are served: a lock orders the runs. A run that
    fails changes nothing.

    Raises:
        MigrationChangedError: an applied file was edited.
        BeforeBaselineError: the database is too old to be migrated.

    """
    schema = schema or Schema.current()
    for _ in range(_ATTEMPTS):
        with suppress(psycopg.errors.DeadlockDetected):
            return _apply(url, schema)
    return _apply(url, schema)


def _apply(url: str, schema: Schema) -> list[str]:
    """Apply what is missing in one transaction; requests wait for the tables it changes."""
    with (
        psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection,
        connection.transaction(),
    ):
        connection.execute(_WITHOUT_TIMEOUTS)
        connection.execute(_TABLES_IN_PUBLIC)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(_LEDGER)
        applied = _apply_tables(connection, schema) + _apply_functions(connection, schema)
        if applied:
            connection.execute(schema.rights.encode())
        return applied


def _apply_tables(connection: psycopg.Connection, schema: Schema) -> list[str]:
    """Apply the table files that were not applied yet; return their names."""
    known: dict[str, str] = dict(
        connection.execute("SELECT name, checksum FROM schema_migrations").fetchall()
    )
    if known and not any(name in known for name, _ in schema.tables[:1]):
        raise BeforeBaselineError
    applied = []
    for name, text in schema.tables:
        checksum = _digest(text)
        if name not in known:
            connection.execute(text.encode())
            connection.execute(
                "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)", (name, checksum)
            )
            applied.append(name)
        elif known[name] != checksum:
            raise MigrationChangedError(name)
    return applied


def _apply_functions(connection: psycopg.Connection, schema: Schema) -> list[str]:
    """Apply the functions unless they are what was applied last.

    They are replaced, not dropped and created: a running statement calls a function by its OID, which only
    replacing keeps. Functions that are no longer in the set are dropped, unless this set was applied before:
    then it is a rollback, and the newer version may still be running.
    """
    seen = [
        row[0] for row in connection.execute("SELECT digest FROM schema_functions ORDER BY applied_at DESC")
    ]
    if seen[:1] == [schema.digest]:
        return []
    for _, text in schema.functions:
        connection.execute(text.encode())
    if schema.digest not in seen:
        left_over = connection.execute(_LEFT_OVER).fetchone()
        if left_over is not None and left_over[0] is not None:
            connection.execute(f"DROP ROUTINE {left_over[0]}".encode())
    connection.execute(_NOTE_FUNCTIONS, (schema.digest,))
    return [FUNCTIONS]


def _texts(folder: str) -> list[tuple[str, str]]:
    """Return the name and text of each step of a folder in order: a file, or a folder of parts."""
    return [(one.name, _text(one)) for one in _sorted(files("fairslot").joinpath("schema", folder))]


def _text(step: Traversable) -> str:
    return step.read_text("utf-8") if step.is_file() else "".join(map(_text, _sorted(step)))


def _sorted(folder: Traversable) -> list[Traversable]:
    found = [one for one in folder.iterdir() if one.is_dir() or one.name.endswith(".sql")]
    return sorted(found, key=lambda one: one.name)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Migrate the database of the environment and print what was applied."""
    try:
        applied = migrate(db.address())
    except BeforeBaselineError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(BEFORE_BASELINE_CODE)
    sys.stdout.write("".join(f"applied {name}\n" for name in applied) or "the database is up to date\n")


if __name__ == "__main__":
    main()
