"""Whatever is lost, late or double: no event of ours is missing, doubled or left over in the end.

FAIRSLOT_EXAMPLES sets how many histories are tried; the default is for every run of the suite.
"""

import itertools
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairslot.calendars import opening
from fairslot.platform.db import Connection
from tests.support.calendar_histories import ACTIONS, History
from tests.support.calendar_writes import Calendars

_numbers = itertools.count()
_steps = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, 30), st.integers(0, 30)), min_size=5, max_size=40
)


@pytest.mark.parametrize("part", range(2))
def test_histories(connection: Connection, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    """Bookings, moves, reassignments and cancellations, and coaches who move and delete events themselves."""
    calendars = Calendars(connection)
    monkeypatch.setattr(opening, "open_writable", calendars.open)

    @settings(
        max_examples=int(os.environ.get("FAIRSLOT_EXAMPLES", "30")),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(_steps)
    def run(steps: list[tuple[str, int, int]]) -> None:
        history = History(connection, calendars, f"cal-{part}-{next(_numbers)}")
        history.begin()
        for action, one, other in steps:
            history.step(action, one, other)
        history.settle()
        history.check()

    run()
