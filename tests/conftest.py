"""The real parts that tests stand on: one Postgres and one Valkey a run, a database of its own a test."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings as hypothesis
from redis import Redis

from fairslot.platform import db
from fairslot.platform.migrate import migrate
from fairslot.platform.settings import settings
from local.postgres import EmbeddedPostgres
from local.sqs import SqsStandIn
from local.valkey import EmbeddedValkey
from tests.support.databases import TEMPLATE, Databases
from tests.support.deliveries import KMS_KEY
from tests.support.environment import clear_caches
from tests.support.fixtures import Connect, Environment
from tests.support.queues import Queues

# A busy machine is no failure: only the suite's own time limit counts.
hypothesis.register_profile("fairslot", deadline=None)
hypothesis.load_profile("fairslot")

# Copying the template waits for the disk otherwise. What a killed server has written is there all the same:
# only a machine that dies loses it. Without autovacuum no statistics change while a test runs or after it.
_QUICK = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
_LONGEST_ID = 200


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long texts by their length: an id goes into the environment, and into each report."""
    if isinstance(val, str | bytes) and len(val) > _LONGEST_ID:
        return f"{argname} of {len(val)}"
    return None


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A Postgres with a migrated database `template` that every test's database is a copy of."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), settings=_QUICK) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
        migrate(server.url_of(TEMPLATE))
        yield server


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A Valkey."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqsStandIn]:
    """The queues' stand-in over HTTP, with a key for secrets."""
    with SqsStandIn(tmp_path_factory.mktemp("sqs")) as server:
        server.make_key(KMS_KEY)
        yield server


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Iterator[Databases]:
    """Databases to be lent to tests."""
    made = Databases(postgres)
    yield made
    made.close()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, databases: Databases) -> Iterator[str]:
    """A migrated database without data, for one test."""
    with databases.lent() as name:
        yield postgres.url_of(name)


@pytest.fixture
def functions_url(postgres: EmbeddedPostgres, database_url: str) -> str:
    """The address of the test's database for the functions' role."""
    return postgres.functions_url(database_url.rpartition("/")[2])


@pytest.fixture
def connection(database_url: str) -> Iterator[db.Connection]:
    """A connection as use cases expect it, of the owner, who may also arrange what a test needs."""
    with db.connect(database_url) as opened:
        yield opened


@pytest.fixture
def connect(database_url: str) -> Iterator[Connect]:
    """Open any number of connections to the test's database; they are closed at its end."""
    opened: list[db.Connection] = []

    def once() -> db.Connection:
        opened.append(db.connect(database_url))
        return opened[-1]

    yield once
    for one in opened:
        one.close()


@pytest.fixture
def environment(functions_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """Set variables for the process's own connections; begins with the test's database, and easy keys.

    It is the functions' role that connects: what they do needs no right that they do not have.
    """

    def use(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        clear_caches()

    for name in type(settings()).model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    use(DATABASE_URL=functions_url, ANY_KEY_FORM="true", ADDRESS_SECRET="the tests' own")
    yield use
    monkeypatch.undo()
    clear_caches()


@pytest.fixture
def cache(environment: Environment, valkey: EmbeddedValkey) -> Iterator[Redis]:
    """An empty cache that the functions use."""
    with Redis.from_url(valkey.url) as client:
        client.flushall()
        environment(REDIS_URL=valkey.url)
        yield client


@pytest.fixture
def queues(environment: Environment, sqs: SqsStandIn) -> Iterator[Queues]:
    """Queues of the test's own that the functions send to."""
    client = sqs.client()
    made = Queues.make(client)
    environment(**sqs.environment, **made.urls)
    yield made
    client.close()


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return Path(__file__).parent.parent
