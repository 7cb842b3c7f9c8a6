"""How `make load` counts: rates and times by kind, growth by the largest process of a kind."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.load import processes
from bench.load.checks import report
from bench.load.processes import Process
from bench.load.target import TargetError, find
from bench.load.traffic import Traffic


def test_rates_and_times_are_by_kind_and_by_part_of_the_run() -> None:
    """A run that slows down shows it in its last fifth."""
    traffic = Traffic(seconds=10)
    traffic.answered["page"] = [(at / 10, 0.010) for at in range(80)] + [(9.5, 0.5)]
    assert traffic.rate("page") == 8.1
    assert traffic.milliseconds("page", 50) == pytest.approx(10)
    assert traffic.milliseconds("page", 99) > 10
    assert traffic.by_part("page") == [10, 10, 10, 10, 0.5]
    assert math.isnan(traffic.milliseconds("booking", 99))


def test_errors_are_counted_and_some_shown() -> None:
    """Also of a kind of which nothing was answered."""
    traffic = Traffic(seconds=1)
    for number in range(9):
        traffic.fail("change", f"500 number {number}")
    lines = str(traffic).splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("change ")] == ["9"]
    assert sum(line.startswith("change: 500") for line in lines) == 5


def test_growth_is_that_of_the_largest_of_a_kind() -> None:
    """A process that imports late has not grown, nor one that is new; a small change is none."""
    half = {1: Process(name="booking", mib=40), 2: Process(name="booking", mib=60)}
    assert processes.grown(half, {1: Process(name="booking", mib=60), 3: Process(name="new", mib=500)}) == []
    assert processes.grown(half, {2: Process(name="booking", mib=76)}) == []
    assert processes.grown(half, {2: Process(name="booking", mib=77)}) == [
        "booking grew from 60 to 77 MiB in the second half"
    ]
    importing = {1: Process(name="dispatch", mib=10)}
    assert processes.grown(importing, {1: Process(name="dispatch", mib=60)}) == []
    large = {1: Process(name="postgres", mib=100)}
    assert processes.grown(large, {1: Process(name="postgres", mib=125)}) == []


def test_memory_is_that_of_a_process_and_of_what_it_started() -> None:
    """A child that takes 32 MiB has them; a table names both."""
    code = "data = bytearray(32 << 20); data[::4096] = b'x' * (len(data) // 4096); input()"
    with subprocess.Popen(
        [sys.executable, "-c", f"print(len({code!r}), flush=True)\n{code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        before = processes.look(os.getpid(), {child.pid: "child"})
        assert child.pid in before
        child.communicate(b"\n")
    assert "child" in processes.memory_table([before, {}])


def test_no_load_without_a_stack(tmp_path: Path) -> None:
    """It says how to start one."""
    with pytest.raises(TargetError, match="make run"):
        find({"FAIRSLOT_DATA": str(tmp_path)})


@pytest.mark.parametrize("missing", ["postgres", "crm"])
def test_no_load_on_what_is_somebodys_own(tmp_path: Path, missing: str) -> None:
    """A database or a partner that the stack did not start itself gets none of it."""
    pids = dict.fromkeys({"postgres", "valkey", "calendar_api", "crm"} - {missing}, 1)
    (tmp_path / "stack.json").write_text(f'{{"pid": {os.getpid()}, "pids": {pids}}}'.replace("'", '"'))
    with pytest.raises(TargetError, match=missing):
        find({"FAIRSLOT_DATA": str(tmp_path)})


def test_a_report_shows_a_few_of_many() -> None:
    """And how many there are."""
    assert report("all is told", []) == "ok      all is told"
    lines = report("all is told", [f"no {number}" for number in range(9)]).splitlines()
    assert lines[0] == "FAILED  all is told: 9"
    assert len(lines) == 4


def test_processor_time_is_summed_by_kind() -> None:
    """A process that is new since counts whole; one that has ended does not count."""
    before = {1: Process(name="booking", seconds=5), 2: Process(name="booking", seconds=1)}
    after = {1: Process(name="booking", seconds=7), 3: Process(name="booking", seconds=0.5)}
    assert processes.spent(before, after) == {"booking": 2.5}
