"""What the functions' role may do: all that their statements need, and no write but by a function."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from fairslot.platform.migrate import migrate
from fairslot.platform.queries import queries
from local.postgres import EmbeddedPostgres

FILES = sorted(path.stem for path in Path("layers/common/fairslot/sql").glob("*.sql"))
STATEMENTS = {(file, name): text.decode() for file in FILES for name, text in queries(file).items()}
# Where a parameter's type does not follow from the statement.
TYPES = {("decisions", "explain", "start"): "::timestamptz"}
# Their COMMIT would not be allowed otherwise. They call functions that are.
COMMITS = re.compile(r"commit_\w+")
DDL = [
    "CREATE TABLE mine (n int)",
    "CREATE TEMPORARY TABLE coaches (n int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION engine.mine() RETURNS int RETURN 1",
    "ALTER TABLE coaches ADD COLUMN mine int",
    "DROP TABLE coaches",
    "DROP FUNCTION engine.flush_log()",
    "ALTER FUNCTION engine.flush_log() OWNER TO fairslot_app",
    "SET ROLE fairslot",
    "CREATE ROLE mine",
]


@pytest.fixture
def functions(functions_url: str) -> Iterator[psycopg.Connection]:
    """A connection of the functions' role."""
    with psycopg.connect(functions_url, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def with_numbers(file: str, block: str) -> str:
    """Return a statement with $1, $2 for its named parameters."""
    statement = STATEMENTS[file, block]
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    for number, name in enumerate(names, start=1):
        statement = statement.replace(f"%({name})s", f"${number}{TYPES.get((file, block, name), '')}")
    return statement.replace("%%", "%")


@pytest.mark.parametrize(("file", "name"), [key for key, text in STATEMENTS.items() if "CALL " not in text])
def test_every_statement_is_within_the_rights(functions: psycopg.Connection, file: str, name: str) -> None:
    """Planning one asks for each right to what it names itself."""
    functions.execute(f"EXPLAIN (GENERIC_PLAN) {with_numbers(file, name)}".encode())


def test_functions_that_write_do_it_as_the_owner(connection: psycopg.Connection) -> None:
    """Whatever a statement calls can write what it has to: what is volatile has the owner's rights."""
    called = {found for text in STATEMENTS.values() for found in re.findall(r"engine\.(\w+)\(", text)}
    called |= {name.removeprefix("commit_") for name in called if COMMITS.fullmatch(name)}
    rows = connection.execute(
        "SELECT proname AS name, prosecdef AS as_owner FROM pg_proc"
        " WHERE pronamespace = 'engine'::regnamespace AND provolatile = 'v' AND proname = ANY (%s)",
        [sorted(called)],
    ).fetchall()
    as_caller = {row["name"] for row in rows if not row["as_owner"]}  # type: ignore[call-overload]  # rows are dicts
    assert as_caller == {name for name in called if COMMITS.fullmatch(name)}


@pytest.mark.parametrize("statement", DDL)
def test_ddl_is_refused(functions: psycopg.Connection, statement: str) -> None:
    """Not even a temporary table, which a function of the owner could take for its own."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        functions.execute(statement.encode())


def test_every_direct_write_is_refused(functions: psycopg.Connection) -> None:
    """To each table there is, by each way there is; reading is allowed."""
    tables = functions.execute(
        "SELECT relname, (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1)"
        "  FROM pg_class AS c WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    assert len(tables) > 20
    for table, column in tables:
        name, first = sql.Identifier(table), sql.Identifier(column)
        for write in (
            sql.SQL("INSERT INTO {} DEFAULT VALUES").format(name),
            sql.SQL("UPDATE {} SET {} = NULL").format(name, first),
            sql.SQL("DELETE FROM {}").format(name),
            sql.SQL("TRUNCATE {}").format(name),
            sql.SQL("SELECT FROM {} FOR KEY SHARE").format(name),
            sql.SQL("COPY {} FROM STDIN").format(name),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                functions.execute(write)
        functions.execute(sql.SQL("SELECT FROM {}").format(name))


def test_an_inner_function_writes_nothing_for_a_stranger(functions: psycopg.Connection) -> None:
    """What is not called from outside has the rights of its caller."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        functions.execute("SELECT engine.forget_keys(p_changes => '{}', p_now => now())")


def test_nobody_else_may_call(connection: psycopg.Connection) -> None:
    """A role that somebody makes beside the two has no right to any function."""
    allowed = connection.execute(
        "SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS given"
        " WHERE pronamespace = 'engine'::regnamespace AND given.grantee = 0"
    ).fetchall()
    assert allowed == []


def test_migrations_make_the_role(tmp_path: Path) -> None:
    """Where there is none; an owner who may make none goes on, and says so."""
    with EmbeddedPostgres(tmp_path) as server, psycopg.connect(server.admin_url(), autocommit=True) as admin:
        admin.execute("DROP ROLE fairslot_app")
        admin.execute("ALTER ROLE fairslot NOCREATEROLE")
        migrate(server.url)
        assert admin.execute("SELECT to_regrole('fairslot_app')").fetchone() == (None,)
        admin.execute("ALTER ROLE fairslot CREATEROLE")
        admin.execute("CREATE DATABASE another OWNER fairslot")
        migrate(server.url_of("another"))
        made = admin.execute(
            "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolpassword IS NULL"
            "  FROM pg_authid WHERE rolname = 'fairslot_app'"
        ).fetchone()
        temporary = admin.execute("SELECT has_database_privilege('fairslot_app', 'another', 'TEMPORARY')")
        assert temporary.fetchone() == (False,)
    assert made == (True, False, False, False, True)
