"""What tests of several use cases stand on."""

from collections.abc import Iterator

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from local.valkey import EmbeddedValkey
from tests.support.blocks import add_ana
from tests.support.fixtures import Environment
from tests.support.team import add_team


@pytest.fixture
def ana(connection: Connection) -> None:
    """Ana, alone on a calendar, whose own calendar is behind the calendar API and was read."""
    add_ana(connection)


@pytest.fixture
def team(connection: Connection) -> Connection:
    """Three coaches who hold the calendar `cal`."""
    add_team(connection, 3)
    return connection


@pytest.fixture
def cache(environment: Environment, valkey: EmbeddedValkey) -> Iterator[Redis]:
    """An empty Valkey that is in use."""
    with Redis.from_url(valkey.url) as client:
        client.flushall()
        environment(REDIS_URL=valkey.url)
        yield client
