"""What tests of several use cases stand on."""

import pytest

from fairslot.platform.db import Connection
from tests.support.blocks import add_ana


@pytest.fixture
def ana(connection: Connection) -> None:
    """Ana, alone on a calendar, whose own calendar is behind the calendar API and was read."""
    add_ana(connection)
