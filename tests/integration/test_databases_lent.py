"""The database of a test: the last test's, if that is as a new copy again."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.pq import PGconn

from fairslot.platform import db
from local.postgres import EmbeddedPostgres
from tests.support.clock import NOW, stop_clock
from tests.support.databases import MOST_PAGES, TEMPLATE, Databases
from tests.support.tables import one_row, table_digests
from tests.support.team import add_team

_ENDLESS = "SELECT pg_sleep(60)"
_OTHERS = """
    SELECT (SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()) AS sessions,
           (SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
             WHERE datname = current_database() AND pid <> pg_backend_pid()) AS locks
"""


@pytest.fixture
def lending(postgres: EmbeddedPostgres) -> Iterator[Databases]:
    """Databases of the test's own."""
    made = Databases(postgres)
    yield made
    made.close()


def identity(connection: db.Connection) -> int:
    """Return what a database keeps under another name, and a new copy has not."""
    return int(one_row(connection, "SELECT oid FROM pg_database WHERE datname = current_database()")["oid"])


def test_rows_and_settings_are_as_in_a_new_copy(postgres: EmbeddedPostgres, lending: Databases) -> None:
    """The rows that a copy has from the beginning stay; the clock that was stopped goes again."""
    with lending.lent() as name, db.connect(postgres.url_of(name)) as first:
        begun_with, same = table_digests(first), identity(first)
        assert begun_with
        add_team(first, 3)
        stop_clock(first, NOW)
        first.execute(f"ALTER DATABASE {name} SET lock_timeout = '1s'".encode())
        first.execute(f"ALTER DATABASE {name} SET enable_seqscan = off".encode())
    with lending.lent() as name, db.connect(postgres.url_of(name)) as second:
        assert identity(second) == same
        assert table_digests(second) == begun_with
        assert one_row(second, "SHOW search_path") == {"search_path": '"$user", public'}
        assert one_row(second, "SHOW lock_timeout") == {"lock_timeout": "5s"}
        assert one_row(second, "SHOW enable_seqscan") == {"enable_seqscan": "on"}
        assert one_row(second, "SELECT clock_timestamp() <> %s AS goes", [NOW]) == {"goes": True}


@pytest.mark.parametrize(
    "left",
    [
        "BEGIN; INSERT INTO tenants (tenant_id) VALUES ('left')",
        "BEGIN; LOCK TABLE coaches",
        "BEGIN; SELECT 1 / 0",
        "BEGIN; DECLARE log CURSOR FOR SELECT 1",
        "DECLARE log CURSOR WITH HOLD FOR SELECT 1",
        "PREPARE log AS SELECT 1",
        "LISTEN log",
        "SET search_path = nowhere",
        "SELECT pg_advisory_lock(1)",
        _ENDLESS,
    ],
)
def test_no_session_outlives_its_test(postgres: EmbeddedPostgres, lending: Databases, left: str) -> None:
    """Whatever it was at, it has ended, its locks are free, and its address leads nowhere."""
    with lending.lent() as name:
        url = postgres.url_of(name)
        with db.connect(url) as first:
            same = identity(first)
        session = PGconn.connect(url.encode())
        session.send_query(left.encode())
        if left != _ENDLESS:
            session.get_result()
    with lending.lent() as name, db.connect(postgres.url_of(name)) as second:
        assert identity(second) == same
        assert one_row(second, _OTHERS) == {"sessions": 0, "locks": 0}
        session.finish()
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            db.connect(url)


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
        "CREATE TEMPORARY TABLE other (n int)",
        "ALTER FUNCTION engine.meets COST 1",
        "DROP FUNCTION engine.make_deliveries",
        "CREATE FUNCTION public.now() RETURNS timestamptz RETURN pg_catalog.now() - interval '1 day'",
        "CREATE VIEW other AS SELECT clock_timestamp()",
        "GRANT SELECT ON coaches TO PUBLIC",
        "REVOKE SELECT ON coaches FROM fairslot_app",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        "COMMENT ON TABLE coaches IS 'other'",
        "SELECT lo_create(0)",
        "ANALYZE schema_migrations",
        "VACUUM coaches",
        "DELETE FROM schema_functions",
        "UPDATE schema_functions SET digest = digest",
        "CREATE SEQUENCE other",
        "ALTER DATABASE {name} CONNECTION LIMIT 7",
        "GRANT TEMPORARY ON DATABASE {name} TO PUBLIC",
        "ALTER ROLE fairslot IN DATABASE {name} SET enable_seqscan = off",
    ],
)
def test_a_database_that_was_altered_is_lent_to_nobody(
    postgres: EmbeddedPostgres, lending: Databases, alteration: str
) -> None:
    """A change of the schema, of its rights or statistics, or of the rows that it begins with."""
    with lending.lent() as name, db.connect(postgres.url_of(name)) as first:
        altered = identity(first)
        first.execute(alteration.format(name=name).encode())
    with lending.lent() as name, db.connect(postgres.url_of(name)) as second:
        assert identity(second) != altered


def test_no_table_stays_large(postgres: EmbeddedPostgres, lending: Databases) -> None:
    """The planner takes the number of pages from the file, whatever is left in it."""
    with lending.lent() as name, db.connect(postgres.url_of(name)) as first:
        same = identity(first)
        first.execute("INSERT INTO availability_changes SELECT FROM generate_series(1, 10000)")
    with lending.lent() as name, db.connect(postgres.url_of(name)) as second:
        assert identity(second) == same
        pages = one_row(
            second,
            "SELECT max(pg_relation_size(oid)) / 8192 AS most FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
        )
        assert pages["most"] <= MOST_PAGES
        second.execute("CREATE SCHEMA other")
    with lending.lent() as name, db.connect(postgres.url_of(name)) as third:
        assert identity(third) != same


def test_what_was_altered_of_the_server_is_the_tests_error(
    postgres: EmbeddedPostgres, lending: Databases
) -> None:
    """Roles cannot be dropped with a database."""
    with psycopg.connect(postgres.admin_url(), autocommit=True) as admin:
        with pytest.raises(RuntimeError, match="altered roles"), lending.lent():
            admin.execute("ALTER ROLE fairslot_app SET lock_timeout = '1s'")
        admin.execute("ALTER ROLE fairslot_app RESET lock_timeout")


def test_a_sequence_begins_anew(postgres: EmbeddedPostgres) -> None:
    """The next number is the first one again."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE counting TEMPLATE {TEMPLATE}".encode())
        connection.execute("REVOKE TEMPORARY ON DATABASE counting FROM PUBLIC")  # as migrating does
    with db.connect(postgres.url_of("counting")) as connection:
        connection.execute("CREATE SEQUENCE numbers")
    lending = Databases(postgres, "counting")
    found = []
    for _ in range(2):
        with lending.lent() as name, db.connect(postgres.url_of(name)) as connection:
            found.append((identity(connection), one_row(connection, "SELECT nextval('numbers') AS n")["n"]))
    lending.close()
    assert found[1] == found[0] == (found[0][0], 1)


def test_two_may_be_lent_at_a_time(postgres: EmbeddedPostgres, lending: Databases) -> None:
    """Each is lent again, and dropped in the end."""
    oids = "SELECT array_agg(oid ORDER BY oid) FROM pg_database WHERE datname = ANY (%s)"
    with psycopg.connect(postgres.admin_url(), autocommit=True) as admin:
        with lending.lent() as one, lending.lent() as other:
            first = admin.execute(oids, [[one, other]]).fetchall()
        with lending.lent() as one, lending.lent() as other:
            assert admin.execute(oids, [[one, other]]).fetchall() == first
        lending.close()
        assert admin.execute("SELECT FROM pg_database WHERE oid = ANY (%s)", first[0]).fetchall() == []
