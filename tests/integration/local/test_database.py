"""What the local stack says of a database that it cannot use."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from fairslot.access.keys import hash_key
from fairslot.platform import db
from local import database
from local.postgres import EmbeddedPostgres
from local.processes import StartError


@pytest.fixture
def old_url(postgres: EmbeddedPostgres) -> str:
    """A database of before the baseline."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE before_the_baseline")
    url = postgres.url_of("before_the_baseline")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE schema_migrations (name text, checksum text)")
        connection.execute("INSERT INTO schema_migrations VALUES ('0001_coaches_and_calendars.sql', '')")
    return url


def test_data_from_before_the_baseline_is_an_error_with_a_remedy(old_url: str, tmp_path: Path) -> None:
    """In one line: whose data it is, and how to start again with it or beside it."""
    with pytest.raises(
        StartError, match=r"earlier version of Fairslot.*rm -r /home/me/\.data.*FAIRSLOT_DATA"
    ):
        asyncio.run(database.prepare(old_url, tmp_path / "log", data=Path("/home/me/.data")))
    with pytest.raises(StartError, match=r"DATABASE_URL is of an earlier version.*an empty database"):
        asyncio.run(database.prepare(old_url, tmp_path / "log", data=None))


def test_without_demo_data_there_is_a_key_once(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    """It opens everything, it is told when it is made and never again, and there is nothing to book."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE without_demo")
    url = postgres.url_of("without_demo")
    first, second = (
        asyncio.run(database.prepare(url, tmp_path / "log", data=None, demo=False)) for _ in range(2)
    )
    key = first.partition("the admin key ")[2].partition(",")[0]
    assert second == "up to date"
    with db.connect(url) as connection:
        row = connection.execute(
            "SELECT scopes FROM api_keys WHERE key_hash = %s", (hash_key(key),)
        ).fetchone()
        assert row is not None
        assert set(row["scopes"]) == {"read", "write", "admin"}
        assert connection.execute("SELECT FROM coaches").fetchall() == []
        kinds = connection.execute("SELECT kind FROM webhook_endpoints ORDER BY kind").fetchall()
    assert [one["kind"] for one in kinds] == ["calendar_api", "crm"]
    assert key not in (tmp_path / "log").read_text("utf-8")
