"""Bring a database up to date: the tables by numbered files that run once, the functions as one set.

`schema/tables/` is applied in order, each file once. `schema/functions/` has the current text of every
function; whenever that is not what was applied last, all of it is applied. Both are one transaction.
"""

import hashlib
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Self

import psycopg

from fairslot.platform.settings import settings

FUNCTIONS = "functions"
_LOCK = 7_215_204_113
# Requests lock tables in orders of their own, and whoever notices a deadlock first gives way.
_ATTEMPTS = 10
# The timeouts are for requests. To wait for a lock without end is safe: no transaction outlasts its timeout.
_WITHOUT_TIMEOUTS = """
    SELECT set_config(name, '0', true)
      FROM unnest('{lock_timeout, statement_timeout, transaction_timeout}'::text[]) AS name"""
# By default a schema that is named as the role would come before it.
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
# Whatever CREATE OR REPLACE wrote has this transaction as its xmin. What has not is no longer in the set.
_LEFT_OVER = """
    SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc
     WHERE pronamespace = to_regnamespace('engine') AND xmin <> pg_current_xact_id()::xid"""
_BEFORE_BASELINE = "0001_coaches_and_calendars.sql"
# What `python -m fairslot.platform.migrate` ends with then.
BEFORE_BASELINE_CODE = 3


class MigrationChangedError(Exception):
    """A migration that was applied has been edited since."""


class BeforeBaselineError(Exception):
    """The data is of an earlier version of Fairslot and cannot be carried over; use an empty database."""

    def __init__(self) -> None:
        """Say what the class says."""
        super().__init__(self.__doc__)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What a database is to be: the names and texts of the files with tables and with functions, in order."""

    tables: list[tuple[str, str]] = field(default_factory=list)
    functions: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def current(cls) -> Self:
        """Return the schema of this package."""
        return cls(tables=_texts("tables"), functions=_texts("functions"))

    def followed_by(self, *tables: tuple[str, str], functions: list[tuple[str, str]] | None = None) -> Self:
        """Return it with more table files and, if they are given, with other functions."""
        return replace(self, tables=[*self.tables, *tables], functions=functions or self.functions)

    @property
    def digest(self) -> str:
        """Stand for the text of all functions."""
        return _digest("".join(text for _, text in self.functions))


def migrate(url: str, schema: Schema | None = None) -> list[str]:
    """Bring the database at `url` up to date; return the names of table files applied, and "functions".

    Safe to run twice, by several at once, and while others book: a lock orders the runs. One that fails
    leaves nothing of itself behind.

    Raises:
        MigrationChangedError: an applied file is no longer what was applied.
        BeforeBaselineError: the database is too old to be brought up to date.

    """
    schema = schema or Schema.current()
    for _ in range(_ATTEMPTS):
        with suppress(psycopg.errors.DeadlockDetected):
            return _apply(url, schema)
    return _apply(url, schema)


def _apply(url: str, schema: Schema) -> list[str]:
    """Apply what is missing in one transaction; requests wait for the tables that it changes."""
    with (
        psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection,
        connection.transaction(),
    ):
        connection.execute(_WITHOUT_TIMEOUTS)
        connection.execute(_TABLES_IN_PUBLIC)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(_LEDGER)
        return _apply_tables(connection, schema) + _apply_functions(connection, schema)


def _apply_tables(connection: psycopg.Connection, schema: Schema) -> list[str]:
    """Apply what was not yet applied, and return the names."""
    known: dict[str, str] = dict(
        connection.execute("SELECT name, checksum FROM schema_migrations").fetchall()
    )
    if _BEFORE_BASELINE in known:
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

    They are replaced, not dropped and made again: a statement that is under way calls a function by its
    number, which only a replacement keeps. What is no longer in the set goes, unless the set was here
    before: then an older version is brought back, and the newer one may still run.
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
            connection.execute(f"DROP FUNCTION {left_over[0]}".encode())
    connection.execute(_NOTE_FUNCTIONS, (schema.digest,))
    return [FUNCTIONS]


def _texts(folder: str) -> list[tuple[str, str]]:
    found = [
        one for one in files("fairslot").joinpath("schema", folder).iterdir() if one.name.endswith(".sql")
    ]
    return [(one.name, one.read_text("utf-8")) for one in sorted(found, key=lambda one: one.name)]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Migrate the database of the environment and say what was done."""
    try:
        applied = migrate(settings().database_url)
    except BeforeBaselineError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(BEFORE_BASELINE_CODE)
    sys.stdout.write("".join(f"applied {name}\n" for name in applied) or "the database is up to date\n")


if __name__ == "__main__":
    main()
