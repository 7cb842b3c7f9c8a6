"""`make load` against a running stack: what it finds, and that it finds what is wrong."""

import asyncio
import copy
from pathlib import Path

import pytest

from bench.load import __main__ as load
from bench.load.checks import Checks
from bench.load.clients import BOOKING, Load
from bench.load.target import add_calendars, find
from tests.support.stack import CALM, running

SECONDS = "6"


@pytest.mark.timeout(240)
def test_load_finds_nothing_wrong_with_a_sound_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It books, changes and lists on a stack that was started with options of its own."""
    data = tmp_path / "data"
    with running(data, CALM):
        code = load.main({"FAIRSLOT_DATA": str(data), "SECONDS": SECONDS, "CLIENTS": "6"})
    said = capsys.readouterr().out
    assert code == 0, said
    assert said.count("ok ") == 5
    assert "all is well" in said


@pytest.mark.timeout(240)
def test_load_finds_what_is_wrong(tmp_path: Path) -> None:
    """A lost change, a booking nobody asked for, an event never told, a block too few, a wrong counter."""
    data = tmp_path / "data"
    with running(data, CALM) as stack:
        target = find({"FAIRSLOT_DATA": str(data)})
        calendars = add_calendars(target, hot=3, spread=2, coaches=2)
        done = Load(target, calendars, {BOOKING: 100})
        asyncio.run(done.run(clients=3, seconds=2))
        whole = Checks(target, calendars, done.history, done.traffic, drain_seconds=60)
        assert all(wrong == [] for _, wrong in whole.run())

        told = copy.deepcopy(done.history)
        lost, forgotten, *_ = told.last
        told.last[lost]["version"] = 2
        told.events[lost].append("updated")
        del told.last[forgotten]
        with target.connect() as connection:
            connection.execute("UPDATE coach_slots SET booked = booked + 1 WHERE coach_id = 'coach-1'")
        block = stack.calendar.get("/blocks").json()["blocks"][0]
        stack.calendar.post(
            f"/coaches/{block['coach_id']}/release-slot", json={"block_id": block["block_id"]}
        ).raise_for_status()
        broken = Checks(target, calendars, told, done.traffic, drain_seconds=0)
        found = [wrong for _, wrong in broken.run()]
    stored, told_of, blocked, invariants, _ = found
    assert [one.partition(":")[0] for one in stored] == [lost, forgotten]
    assert [one.partition(":")[0] for one in told_of] == [lost]
    assert [one.rpartition(": ")[2] for one in blocked] == ["no block"]
    assert invariants
