"""Migrations: tables once each, functions whenever they changed, all or nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from fairslot.platform.migrate import FUNCTIONS, BeforeBaselineError, MigrationChangedError, Schema, migrate
from local.postgres import EmbeddedPostgres

ALL = [*(name for name, _ in Schema.current().tables), FUNCTIONS]
TABLE_A = ("0001_a.sql", "CREATE TABLE a (n int); CREATE SCHEMA engine")


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> str:
    """A database without a schema."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS bare")
        connection.execute("CREATE DATABASE bare")
    return postgres.url_of("bare")


@pytest.fixture
def ask(empty_url: str) -> Callable[[str], object]:
    """Ask the database for one value."""

    def one(query: str) -> object:
        with psycopg.connect(empty_url) as connection:
            row = connection.execute(query.encode()).fetchone()
        return row and row[0]

    return one


def function(name: str, answer: int) -> tuple[str, str]:
    """Return a file with a function that answers a number."""
    return f"{name}.sql", f"CREATE OR REPLACE FUNCTION engine.{name}() RETURNS integer RETURN {answer};"


def test_applying_twice_is_harmless(empty_url: str) -> None:
    """The second run applies nothing."""
    assert migrate(empty_url) == ALL
    assert migrate(empty_url) == []


def test_runs_at_once_take_turns(empty_url: str) -> None:
    """Of two runs at once one applies everything."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(migrate, [empty_url, empty_url])
    assert first + second == ALL


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str, ask: Callable[[str], object]) -> None:
    """What a run did before it failed is undone, and what came before it stays."""
    first = Schema(tables=[TABLE_A], functions=[function("f", 1)])
    migrate(empty_url, first)
    failing = ("0003_c.sql", "CREATE TABLE c (n int); SELECT 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_url, first.followed_by(("0002_b.sql", "CREATE TABLE b (n int)"), failing))
    assert ask("SELECT to_regclass('a')") == "a"
    assert ask("SELECT to_regclass('b')") is None
    assert ask("SELECT to_regclass('c')") is None
    fixed = first.followed_by(("0002_b.sql", "CREATE TABLE b (n int)"))
    assert migrate(empty_url, fixed) == ["0002_b.sql"]


def test_functions_that_fail_leave_nothing_behind(empty_url: str, ask: Callable[[str], object]) -> None:
    """If a function cannot be made, the others and the tables are as they were."""
    first = Schema(tables=[TABLE_A], functions=[function("f", 1)])
    migrate(empty_url, first)
    broken = [function("f", 2), ("g.sql", "CREATE FUNCTION engine.g() RETURNS integer RETURN nonsense()")]
    with pytest.raises(psycopg.errors.UndefinedFunction):
        migrate(empty_url, first.followed_by(("0002_b.sql", "CREATE TABLE b (n int)"), functions=broken))
    assert ask("SELECT to_regclass('b')") is None
    assert ask("SELECT engine.f()") == 1


def test_an_applied_migration_must_not_change(empty_url: str) -> None:
    """A file that was edited after it was applied is refused."""
    migrate(empty_url, Schema(tables=[("0001_a.sql", "CREATE TABLE a (n int)")]))
    with pytest.raises(MigrationChangedError):
        migrate(empty_url, Schema(tables=[("0001_a.sql", "CREATE TABLE a (n bigint)")]))


def test_changed_functions_are_applied_as_a_set(empty_url: str, ask: Callable[[str], object]) -> None:
    """What changed is replaced, what is new is made, what is gone is dropped, without a migration."""
    migrate(empty_url, Schema(tables=[TABLE_A], functions=[function("f", 1), function("old", 1)]))
    changed = Schema(tables=[TABLE_A], functions=[function("f", 2), function("new", 3)])
    assert migrate(empty_url, changed) == [FUNCTIONS]
    assert migrate(empty_url, changed) == []
    assert ask("SELECT engine.f() + engine.new()") == 5
    assert ask("SELECT to_regproc('engine.old')") is None


def test_an_older_version_that_is_brought_back_drops_nothing(
    empty_url: str, ask: Callable[[str], object]
) -> None:
    """A deployment that is rolled back has the old functions again, and the new code still finds its own."""
    old = Schema(tables=[TABLE_A], functions=[function("f", 1)])
    new = Schema(tables=[TABLE_A], functions=[function("f", 2), function("new", 3)])
    migrate(empty_url, old)
    migrate(empty_url, new)
    assert migrate(empty_url, old) == [FUNCTIONS]
    assert ask("SELECT engine.f() + engine.new()") == 4
    assert migrate(empty_url, new) == [FUNCTIONS]
    assert ask("SELECT engine.f()") == 2


def test_tables_are_public_whatever_the_role_is_called(empty_url: str, ask: Callable[[str], object]) -> None:
    """Postgres looks in a schema of the role's own name first, and would make them there."""
    with psycopg.connect(empty_url) as connection:
        connection.execute("CREATE SCHEMA AUTHORIZATION CURRENT_USER")
    migrate(empty_url)
    assert ask("SELECT count(*) > 10 FROM pg_tables WHERE schemaname = 'public'") is True
    assert ask("SELECT count(*) FROM pg_tables WHERE schemaname = current_user") == 0


def test_a_database_of_before_the_baseline_is_refused(empty_url: str) -> None:
    """What was there before 0.1 is left alone, and the error says how to go on."""
    migrate(empty_url, Schema(tables=[("0001_coaches_and_calendars.sql", "CREATE TABLE a (n int)")]))
    with pytest.raises(BeforeBaselineError, match="use an empty database"):
        migrate(empty_url)
