"""The database of a test: the last test's, emptied, unless that was altered."""

from collections.abc import Iterator

import psycopg
import pytest

from fairslot.platform import db
from local.postgres import EmbeddedPostgres
from tests.support.clock import NOW, stop_clock
from tests.support.databases import MOST_DELETED, Databases
from tests.support.tables import one_row, table_digests
from tests.support.team import add_team


@pytest.fixture
def lending(postgres: EmbeddedPostgres) -> Iterator[Databases]:
    """Databases of the test's own."""
    made = Databases(postgres)
    yield made
    made.close()


def test_what_a_test_has_left_is_gone(lending: Databases) -> None:
    """Its rows, its clock and its sessions, one of them with a lock; the connection is as a new one."""
    with lending.lent() as first:
        begun_with = table_digests(first.connection())
        add_team(first.connection(), 3)
        stop_clock(first.connection(), NOW)
        left = db.connect(first.url)
        left.execute("BEGIN; LOCK TABLE coaches")
        first.connection().execute("SET enable_seqscan = off")
    with lending.lent() as second, left:
        assert second.name == first.name
        assert table_digests(second.connection()) == begun_with
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
        now = "SELECT clock_timestamp() <> %s AS goes, current_setting('enable_seqscan') AS seqscan"
        assert one_row(second.connection(), now, [NOW]) == {"goes": True, "seqscan": "on"}
        with db.connect(second.url) as other:
            assert one_row(other, "SHOW search_path") == {"search_path": '"$user", public'}
            assert one_row(other, "SHOW lock_timeout")["lock_timeout"] != "0"


@pytest.mark.parametrize(
    "alteration",
    [
        "ALTER TABLE coaches ADD COLUMN channel text",
        "ALTER TABLE coaches ALTER COLUMN max_per_day SET DEFAULT 1",
        "ALTER TABLE coaches ADD CONSTRAINT never CHECK (name <> 'x')",
        "ALTER TABLE coaches DISABLE TRIGGER USER",
        "ALTER TABLE turns RENAME TO gone",
        "DROP TABLE api_key_uses CASCADE",
        "TRUNCATE coaches CASCADE",
        "DROP INDEX calendars_slug",
        "CREATE SCHEMA other",
        "ALTER FUNCTION engine.meets COST 1",
        "DROP FUNCTION engine.make_deliveries",
        "ANALYZE schema_migrations",
        "DELETE FROM schema_functions",
        f"INSERT INTO availability_changes SELECT FROM generate_series(1, {MOST_DELETED})",
    ],
)
def test_a_database_that_was_altered_is_lent_to_nobody(lending: Databases, alteration: str) -> None:
    """A change of the schema, of what it begins with or of statistics, or rows that would slow others."""
    with lending.lent() as first:
        first.connection().execute(alteration.encode())
    with lending.lent() as second:
        assert second.name != first.name
