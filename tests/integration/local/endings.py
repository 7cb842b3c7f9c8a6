"""Waiting for conditions, such as the end of a process."""

import time
from collections.abc import Callable
from pathlib import Path

_BOUND_SECONDS = 30.0


def running(pid: int) -> bool:
    """Return whether a process runs; one that has ended but was not reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def wait_for(holds: Callable[[], bool]) -> None:
    """Return when a condition holds; fail if that takes too long."""
    deadline = time.monotonic() + _BOUND_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(0.01)


def wait_for_end(pid: int) -> None:
    """Return when a process is gone; fail if that takes too long."""
    wait_for(lambda: not running(pid))


def children(pid: int) -> set[int]:
    """Return a process's children."""
    return {
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in path.read_text().split()
    }
