"""The local stack's own promises: it keeps its data, stands beside another, and leaves no process.

And what nobody waits for runs behind what a client waits for.
"""

import os
import re
import signal
from pathlib import Path

import pytest

from bench.load.processes import look
from tests.support.stack import CALM, Stack, appointments, book, running, starts, stop, wait_until


def left_over(data: Path) -> list[str]:
    """Return the command lines of processes that have to do with a data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                surroundings = (entry / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(data) in command or str(data) in surroundings:
                found.append(command)
    return found


def seconds_to_ready(stack: Stack) -> float:
    """Return what the stack says it took to start."""
    line = next(line for line in stack.said if line.startswith("ready"))
    found = re.search(r"\(([\d.]+) s\)", line)
    assert found is not None
    return float(found[1])


@pytest.mark.alone
@pytest.mark.timeout(180)
def test_data_is_there_again_and_no_process_is_left(tmp_path: Path) -> None:
    """A booking survives Ctrl-C, SIGKILL and SIGTERM; none leaves a process; starting again is quick."""
    data = tmp_path / "data"
    with running(data, CALM) as first:
        assert starts(first), "the first request waits for the calendars"
        booked = book(first, starts(first)[0]["start_time"]).json()["appointment_id"]
        assert len(left_over(data)) > 8
        assert stop(first, signal.SIGINT) == 0
    assert left_over(data) == []

    with running(data, CALM) as second:
        assert seconds_to_ready(second) < 5
        assert booked in appointments(second)
        stop(second, signal.SIGKILL)
    wait_until(lambda: left_over(data) == [], 15, "what it started ends with it")

    with running(data, CALM) as third:
        assert booked in appointments(third)
        assert stop(third, signal.SIGTERM) == 0
    assert left_over(data) == []


@pytest.mark.timeout(120)
def test_two_stand_side_by_side(stack: Stack, tmp_path: Path) -> None:
    """Another with its own port and data runs beside it; a partner whose port is taken moves and says so."""
    taken = stack.state["partners"]["crm"].rsplit(":", 1)[1]
    with running(tmp_path / "data", CALM | {"CRM_PORT": taken}) as other:
        moved = other.state["partners"]["crm"].rsplit(":", 1)[1]
        assert moved != taken
        assert any(line.startswith("crm") and moved in line and taken in line for line in other.said)
        assert other.api.get("/health").status_code == stack.api.get("/health").status_code == 200
        assert appointments(other) == {}
        assert stop(other) == 0


def test_what_nobody_waits_for_runs_behind(stack: Stack) -> None:
    """The functions of queues and schedules and the partners' stand-ins let the others run first."""
    state = stack.state
    names = {pid: name for name, pid in state["pids"].items()}
    own = os.getpriority(os.PRIO_PROCESS, state["pid"])
    steps: dict[str, set[int]] = {}

    def all_started() -> bool:
        steps.clear()
        for pid, process in look(state["pid"], names).items():
            if pid != state["pid"]:
                steps.setdefault(process.name, set()).add(os.getpriority(os.PRIO_PROCESS, pid) - own)
        return all(len(found) == 1 for found in steps.values()) and steps.get("background.sync") == {5}

    wait_until(all_started, 30, "each kind of process is before or behind")
    http = {"admin.app", "availability.app", "booking.app", "calendar_connect.app", "calendar_push.app"}
    served = http | {"postgres", "sqs", "valkey"}
    assert {name for name, found in steps.items() if found == {0}} == served
    assert {name for name, found in steps.items() if found == {5}} == set(steps) - served
    assert {"crm", "calendar_api", "calendar_fetch.app", "background.maintenance"} <= set(steps)
