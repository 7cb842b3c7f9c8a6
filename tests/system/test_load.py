"""`make load` against a running stack: what it finds, and that it finds what is wrong."""

import asyncio
import copy

import pytest

from bench.load import __main__ as load
from bench.load.checks import Checks
from bench.load.clients import BOOKING, Load
from bench.load.target import add_calendars, find
from tests.support.stack import Stack, blocks, wait_until

SECONDS = "6"


@pytest.mark.alone
@pytest.mark.timeout(240)
def test_load_finds_nothing_wrong_with_a_sound_stack(
    quick: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """It books, changes and lists on a stack that was started with options of its own."""
    code = load.main({"FAIRSLOT_DATA": str(quick.data), "SECONDS": SECONDS, "CLIENTS": "6"})
    said = capsys.readouterr().out
    assert code == 0, said
    assert said.count("ok ") == 5
    assert "all is well" in said


@pytest.mark.timeout(240)
def test_load_finds_what_is_wrong(quick: Stack) -> None:
    """A lost change, a booking nobody asked for, an event never told, a block too few, a wrong counter."""
    target = find({"FAIRSLOT_DATA": str(quick.data)})
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
    block = next(one for one in blocks(quick) if one["coach_id"].startswith(tuple(calendars.all)))
    release = f"/coaches/{block['coach_id']}/release-slot"
    # The partner fails as partners do: ask until it has done it.
    wait_until(
        lambda: quick.calendar.post(release, json={"block_id": block["block_id"]}).is_success,
        30,
        "the block is released",
    )
    broken = Checks(target, calendars, told, done.traffic, drain_seconds=0)
    wrong_counter = "UPDATE coach_slots SET booked = booked + %s WHERE coach_id = 'coach-1'"
    with target.connect() as connection:
        connection.execute(wrong_counter, [1])
        found = [wrong for _, wrong in broken.run()]
        connection.execute(wrong_counter, [-1])
    stored, told_of, blocked, invariants, _ = found
    assert [one.partition(":")[0] for one in stored] == [lost, forgotten]
    assert [one.partition(":")[0] for one in told_of] == [lost]
    assert [one.rpartition(": ")[2] for one in blocked] == ["no block"]
    assert invariants
