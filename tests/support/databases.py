"""Migrated databases without data: a test gets the last one's, emptied, unless that one was altered."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from time import monotonic, sleep
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from fairslot.platform import db
from local.postgres import EmbeddedPostgres

TEMPLATE = "template"
# Nothing is vacuumed: what is deleted stays to be read, and in time another plan would be the better one.
MOST_TESTS = 20
MOST_DELETED = 5_000
END_SECONDS = 10.0
PAUSE_SECONDS = 0.002

type _Admin = psycopg.Connection[tuple[Any, ...]]

# A row that a test has added here, changed or deleted makes the database another one; 16384 is the first id
# that is not initdb's. A truncated table has a new file, which is a change of its row.
_CATALOGS = {
    "pg_attrdef": "true",
    "pg_attribute": "attrelid >= 16384",
    "pg_class": "oid >= 16384",
    "pg_constraint": "true",
    "pg_extension": "true",
    "pg_index": "indexrelid >= 16384",
    "pg_namespace": "true",
    "pg_proc": "oid >= 16384",
    "pg_rewrite": "ev_class >= 16384",
    "pg_statistic": "starelid >= 16384",
    "pg_trigger": "true",
    "pg_type": "oid >= 16384",
}
_TABLES = """
    SELECT oid::regclass::text FROM pg_class
     WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'engine'::regnamespace)
"""
_END_OTHERS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> ALL (%s)
"""
_SETTINGS = """
    SELECT split_part(one, '=', 1), substr(one, strpos(one, '=') + 1)
      FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase, unnest(setconfig) AS one
     WHERE datname = %s AND setrole = 0
"""


class Database:
    """A database, and a connection to it that is kept from test to test."""

    def __init__(self, server: EmbeddedPostgres, name: str) -> None:
        self.url = server.url_of(name)
        self.name = name
        self._server = server
        self._tests = self._deleted = 0
        self._kept: db.Connection | None = None
        self._on_server("CREATE DATABASE {} OWNER fairslot TEMPLATE template STRATEGY file_copy")
        self._admin: _Admin = psycopg.connect(server.admin_url(name), autocommit=True)
        self._admin.execute("SET session_replication_role = replica")  # neither triggers nor foreign keys
        self._settings = self._read_settings(TEMPLATE)
        self._restore_settings()  # a copy has none, nor rights
        self._alter("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC")
        self._tables = {table for (table,) in self._admin.execute(_TABLES).fetchall()}
        self._filled = self._find_filled()
        self._made = self._read_state()

    def connection(self) -> db.Connection:
        """Return a connection as use cases expect it, which ends with the database."""
        if self._kept is None:
            self._kept = db.connect(self.url)
        return self._kept

    def is_empty_again(self) -> bool:
        """End all other sessions and delete what a test has left; tell whether it is as it was made."""
        self._tests += 1
        if not self._end_sessions():
            return False
        self._admin.execute("DROP FUNCTION IF EXISTS public.clock_timestamp()")  # `stop_clock` makes it
        self._restore_settings()
        if self._read_state() != self._made:
            return False
        for table in self._find_filled() - self._filled:
            self._deleted += self._admin.execute(f"DELETE FROM {table}".encode()).rowcount
        return self._tests < MOST_TESTS and self._deleted < MOST_DELETED

    def drop(self) -> None:
        """Drop it, whoever is connected."""
        if self._kept is not None:
            self._kept.close()
        self._admin.close()
        self._on_server("DROP DATABASE {} WITH (FORCE)")

    def _on_server(self, statement: LiteralString) -> None:
        """Execute a statement about the database, connected to another one."""
        with psycopg.connect(self._server.admin_url(), autocommit=True) as admin:
            admin.execute(sql.SQL(statement).format(sql.Identifier(self.name)))

    def _end_sessions(self) -> bool:
        """End every session but the two, which begin anew; tell whether they have ended in time."""
        own = [self._admin.info.backend_pid]
        if self._kept is not None:
            if self._kept.info.transaction_status == TransactionStatus.IDLE and self._kept.autocommit:
                self._kept.execute("DISCARD ALL")
                own.append(self._kept.info.backend_pid)
            else:
                self._kept.close()
                self._kept = None
        until = monotonic() + END_SECONDS
        while self._admin.execute(_END_OTHERS, [own]).fetchall() != [(0,)]:
            if monotonic() > until:
                return False
            sleep(PAUSE_SECONDS)
        return True

    def _read_settings(self, name: str) -> dict[str, str]:
        return dict(self._admin.execute(_SETTINGS, [name]).fetchall())

    def _restore_settings(self) -> None:
        """Give it the settings of the template, the timeouts."""
        found = self._read_settings(self.name)
        for name in found.keys() - self._settings.keys():
            self._alter("ALTER DATABASE {} RESET {}", sql.Identifier(name))
        for name, value in self._settings.items() - found.items():
            self._alter("ALTER DATABASE {} SET {} = {}", sql.Identifier(name), sql.Literal(value))

    def _alter(self, statement: LiteralString, *values: sql.Composable) -> None:
        self._admin.execute(sql.SQL(statement).format(sql.Identifier(self.name), *values))

    def _find_filled(self) -> set[str]:
        """Return the names of the tables that have rows."""
        looks = (f"(SELECT '{one}' FROM {one} LIMIT 1)" for one in sorted(self._tables))
        return {name for (name,) in self._admin.execute(" UNION ALL ".join(looks).encode()).fetchall()}

    def _read_state(self) -> tuple[Any, ...]:
        """Return what is another after any change of the schema, or of the rows that it begins with."""
        where = _CATALOGS | dict.fromkeys(self._filled, "true")
        looks = (
            f"(SELECT (count(*), max(xmin::text::bigint))::text FROM {one} WHERE {condition})"
            for one, condition in sorted(where.items())
        )
        return self._admin.execute(f"SELECT {', '.join(looks)}".encode()).fetchall()[0]


class Databases:
    """The databases of a server that has a migrated database `template`."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = count()
        self._last: Database | None = None

    @contextmanager
    def lent(self) -> Iterator[Database]:
        """Give a database without data; who is still connected to it at the end no longer is."""
        one = self._last or Database(self._server, f"test_{next(self._numbers)}")
        self._last = None
        try:
            yield one
        finally:
            if one.is_empty_again():
                self._last = one
            else:
                one.drop()

    def close(self) -> None:
        """Drop what is left."""
        if self._last is not None:
            self._last.drop()
