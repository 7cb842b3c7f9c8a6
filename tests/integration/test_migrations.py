"""Migrations: once each, all or nothing."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from fairslot.migrate import MigrationChangedError, migrate, migrations
from local.postgres import EmbeddedPostgres


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> str:
    """A database without a schema."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS bare")
        connection.execute("CREATE DATABASE bare")
    return postgres.url_of("bare")


def test_applying_twice_is_harmless(empty_url: str) -> None:
    """The second run applies nothing."""
    assert migrate(empty_url) == [name for name, _ in migrations()]
    assert migrate(empty_url) == []


def test_runs_at_once_take_turns(empty_url: str) -> None:
    """Of two runs at once each migration is applied by one."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(migrate, [empty_url, empty_url])
    assert sorted(first + second) == [name for name, _ in migrations()]


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    """What a migration did before it failed is undone, and what came before it stays."""
    steps = [
        ("0001_a.sql", "CREATE TABLE a (n int)"),
        ("0002_b.sql", "CREATE TABLE b (n int); SELECT 1 / 0"),
    ]
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_url, steps)
    with psycopg.connect(empty_url) as connection:
        tables = connection.execute("SELECT to_regclass('a'), to_regclass('b')").fetchone()
    assert tables is not None
    assert tables[0] == "a"
    assert tables[1] is None
    assert migrate(empty_url, [steps[0], ("0002_b.sql", "CREATE TABLE b (n int)")]) == ["0002_b.sql"]


def test_an_applied_migration_must_not_change(empty_url: str) -> None:
    """A file that was edited after it was applied is refused."""
    migrate(empty_url, [("0001_a.sql", "CREATE TABLE a (n int)")])
    with pytest.raises(MigrationChangedError):
        migrate(empty_url, [("0001_a.sql", "CREATE TABLE a (n bigint)")])
