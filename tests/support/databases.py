"""Migrated databases without data, lent to one test after the other: docs/decisions/0125.

A database is lent again only if it is shown to be as a new copy of the template. Else it is dropped.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from time import monotonic, sleep
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from local.postgres import EmbeddedPostgres

TEMPLATE = "template"
# The planner takes a table that was never analysed to have as many pages, if it has no more.
MOST_PAGES = 10
END_SECONDS = 10.0
PAUSE_SECONDS = 0.002

type _Session = psycopg.Connection[tuple[Any, ...]]
type _State = list[tuple[Any, ...]]

_numbers = count()

_END = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s
"""
# What is the same for all databases of a server, and no database can be dropped with.
_ROLES = """
    SELECT (SELECT md5(string_agg(one::text, '' ORDER BY oid)) FROM pg_authid AS one),
           (SELECT md5(string_agg(one::text, '' ORDER BY oid)) FROM pg_auth_members AS one),
           (SELECT md5(string_agg(one::text, '' ORDER BY setrole)) FROM pg_db_role_setting AS one
             WHERE setdatabase = 0)
"""
_PROPERTIES = """
    SELECT (datdba, datallowconn, datconnlimit, datacl)::text,
           (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = base.oid AND setrole <> 0)
      FROM pg_database AS base WHERE datname = %s
"""
_SETTINGS = """
    SELECT split_part(one, '=', 1), substr(one, strpos(one, '=') + 1)
      FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase, unnest(setconfig) AS one
     WHERE datname = %s AND setrole = 0
"""
_CATALOGS = """
    SELECT oid::regclass::text FROM pg_class
     WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared ORDER BY 1
"""
_TABLES = """
    SELECT oid::regclass::text, pg_relation_size(oid) / current_setting('block_size')::int FROM pg_class
     WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'engine'::regnamespace) ORDER BY 1
"""
# Vacuum and analyse write these into rows that stay.
_IN_PLACE = "(SELECT (sum(relpages), sum(reltuples), sum(relallvisible))::text FROM pg_class)"
# After any change of rows there are fewer or more of them, or one by a later transaction. Rows of initdb are
# infinitely old.
_ROWS = "(SELECT (count(*), age('3'::xid) - nullif(min(age(xmin)), 2147483647))::text FROM {})"
_SEQUENCES = "(SELECT count(pg_sequence_last_value(seqrelid))::text FROM pg_sequence)"
_FORGET = b"SELECT pg_stat_reset()"
_RESTART = """
    SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence
     WHERE pg_sequence_last_value(seqrelid) IS NOT NULL
"""


class NotCleanError(Exception):
    """A database differs from a new copy of the template, and emptying it does not help."""


@dataclass
class _Database:
    name: str
    state: _State  # of its catalogs, as long as no test alters them


class Databases:
    """The databases of a server that has a migrated template, in which no sequence has begun."""

    def __init__(self, server: EmbeddedPostgres, template: str = TEMPLATE) -> None:
        self._server = server
        self._template = sql.Identifier(template)
        self._admin: _Session = psycopg.connect(server.admin_url(), autocommit=True)
        self._clean: list[_Database] = []
        self._settings = self._read_settings(template)
        self._properties = self._read_properties(template)
        self._roles = self._read(_ROLES)
        with self._inside(template) as session:
            self._filled = [name for name, pages in session.execute(_TABLES).fetchall() if pages]
            looked_at = [name for (name,) in session.execute(_CATALOGS).fetchall()] + self._filled
            looks = [_IN_PLACE, _SEQUENCES, *(_ROWS.format(name) for name in looked_at)]
            self._look = f"SELECT {', '.join(looks)}".encode()
            self._made = session.execute(self._look).fetchall()

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Give the name of a database that nobody is connected to, nor can be by an earlier test's address.

        RuntimeError if roles were altered meanwhile: they belong to the server, which other tests use.
        """
        one = self._clean.pop() if self._clean else self._copy()
        try:
            yield one.name
        finally:
            self._take_back(one)

    def close(self) -> None:
        """Drop what is left."""
        while self._clean:
            self._drop(self._clean.pop())
        self._admin.close()

    def _copy(self) -> _Database:
        """Make a database; a copy comes without the template's settings and rights."""
        one = _Database(_new_name(), self._made)
        self._alter("CREATE DATABASE {} OWNER fairslot TEMPLATE {} STRATEGY file_copy", one, self._template)
        self._restore_settings(one)
        self._alter("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC", one)
        return one

    def _take_back(self, one: _Database) -> None:
        """Make a database ready for the next test, or drop it."""
        try:
            self._end_sessions(one)
            self._rename(one)
            self._restore_settings(one)
            self._empty(one)
        except (psycopg.Error, NotCleanError):
            self._drop(one)
        else:
            self._clean.append(one)
        if (roles := self._read(_ROLES)) != self._roles:
            self._roles = roles
            raise RuntimeError(
                "The test altered roles of a server that others use; start one of its own for it."
            )

    def _end_sessions(self, one: _Database) -> None:
        """End all sessions of a database and wait until they have."""
        until = monotonic() + END_SECONDS
        while self._read(_END, one.name) != [(0,)]:
            if monotonic() > until:
                raise NotCleanError("a session that does not end")
            sleep(PAUSE_SECONDS)

    def _rename(self, one: _Database) -> None:
        """Give a new name, which nobody knows yet; ObjectInUse if somebody is connected again."""
        name = _new_name()
        self._alter("ALTER DATABASE {} RENAME TO {}", one, sql.Identifier(name))
        one.name = name

    def _empty(self, one: _Database) -> None:
        """Delete all rows but the template's; NotCleanError if more than rows differs from the template."""
        if self._read_properties(one.name) != self._properties:
            raise NotCleanError("the database's own settings or rights")
        with self._inside(one.name) as session:
            session.execute("DROP FUNCTION IF EXISTS public.clock_timestamp()")  # `stop_clock` makes it
            session.execute(_RESTART)
            if session.execute(self._look).fetchall() != one.state:
                raise NotCleanError("the schema, its rights or statistics, or rows of the template")
            used = [
                row for row in session.execute(_TABLES).fetchall() if row[1] and row[0] not in self._filled
            ]
            small = [name for name, pages in used if pages <= MOST_PAGES]
            session.execute("".join(f"DELETE FROM {name};" for name in small).encode() + _FORGET)
            if len(small) < len(used):
                large = [name for name, pages in used if pages > MOST_PAGES]
                session.execute(f"TRUNCATE {', '.join(large)}".encode())
                one.state = session.execute(self._look).fetchall()

    @contextmanager
    def _inside(self, name: str) -> Iterator[_Session]:
        """Connect as the superuser, for whom neither triggers nor foreign keys hold."""
        options = "-c session_replication_role=replica"
        with psycopg.connect(self._server.admin_url(name), autocommit=True, options=options) as session:
            yield session

    def _drop(self, one: _Database) -> None:
        with suppress(NotCleanError):
            self._end_sessions(one)  # DROP DATABASE sleeps for 100 ms if it meets one
        self._alter("DROP DATABASE {} WITH (FORCE)", one)

    def _restore_settings(self, one: _Database) -> None:
        """Give a database the settings of the template, the timeouts, and no others."""
        found = self._read_settings(one.name)
        for setting in found.keys() - self._settings.keys():
            self._alter("ALTER DATABASE {} RESET {}", one, sql.Identifier(setting))
        for setting, value in self._settings.items() - found.items():
            self._alter("ALTER DATABASE {} SET {} = {}", one, sql.Identifier(setting), sql.Literal(value))

    def _read_settings(self, name: str) -> dict[str, str]:
        return dict(self._read(_SETTINGS, name))

    def _read_properties(self, name: str) -> _State:
        return self._read(_PROPERTIES, name)

    def _read(self, query: LiteralString, *values: str) -> _State:
        return self._admin.execute(query, values).fetchall()

    def _alter(self, statement: LiteralString, one: _Database, *values: sql.Composable) -> None:
        self._admin.execute(sql.SQL(statement).format(sql.Identifier(one.name), *values))


def _new_name() -> str:
    return f"test_{next(_numbers)}"
