"""What the local stack says of a database that it cannot use."""

import asyncio
from pathlib import Path

import psycopg
import pytest

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
    """In one line: whose data it is, and how to begin anew with it or beside it."""
    with pytest.raises(
        StartError, match=r"earlier version of Fairslot.*rm -r /home/me/\.data.*FAIRSLOT_DATA"
    ):
        asyncio.run(database.prepare(old_url, tmp_path / "log", data=Path("/home/me/.data")))
    with pytest.raises(StartError, match=r"DATABASE_URL is of an earlier version.*an empty database"):
        asyncio.run(database.prepare(old_url, tmp_path / "log", data=None))
