"""What tests of several use cases stand on."""

import pytest

from fairslot.platform.db import Connection
from tests.support.blocks import add_ana
from tests.support.team import add_team


@pytest.fixture
def team(connection: Connection) -> Connection:
    """Three coaches who hold the calendar `cal`."""
    add_team(connection, 3)
    return connection


@pytest.fixture
def ana(connection: Connection) -> None:
    """Ana, alone on a calendar, whose own calendar is behind the calendar API and was read."""
    add_ana(connection)
