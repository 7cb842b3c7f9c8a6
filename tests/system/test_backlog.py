"""Bookings at the fastest rate that the local stack takes, with a backlog of deliveries before them."""

from pathlib import Path

import pytest

from tests.support import booking_load
from tests.support.stack import start, stop

CLIENTS = 8
BACKLOG = 600
SECONDS = 20.0


@pytest.mark.alone
@pytest.mark.timeout(600)  # the waits in it have bounds of their own
def test_deliveries_outrun_the_bookings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The backlog shrinks while everybody goes on booking, ends at nothing, and fails nobody."""
    stack = start(tmp_path / "data", {})
    try:
        booking_load.add_team(stack)
        run = booking_load.run(stack, clients=CLIENTS, backlog=BACKLOG, seconds=SECONDS)
    finally:
        stop(stack)
    with capsys.disabled():
        print(f"\n{run}")  # noqa: T201  # a measurement
    assert run.ended > run.made
    assert run.failed == 0
