"""Processes to be frozen or killed, and which of a running stack's is at the end of a connection."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOOK_SECONDS = 0.01


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    """Stop a server's process, and then those that it has started, until the end of the block."""
    assert pid is not None
    stopped: list[int] = []
    try:
        for one in descendants(pid):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGSTOP)
                stopped.append(one)
        yield
    finally:
        for one in stopped:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


def descendants(pid: int) -> Iterator[int]:
    """Give a process and all below it; each is asked for its children after it was given."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text("ascii").split():
                yield from descendants(int(child))


def function_processes(data: Path, function: str) -> list[int]:
    """Return the processes that a function of the stack on this data has now."""
    marks = {f"AWS_LAMBDA_FUNCTION_NAME={function}".encode(), f"HOME={data}".encode()}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if marks <= set((entry / "environ").read_bytes().split(b"\0")):
                    found.append(int(entry.name))
    return found


def owner(pids: Iterable[int], ports: tuple[int, int]) -> int | None:
    """Return the process that holds the loopback connection from the first port to the second."""
    ends = [f"0100007F:{port:04X}" for port in ports]
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == ends:
            return next((pid for pid in pids if _holds(pid, f"socket:[{fields[9]}]")), None)
    return None


def _holds(pid: int, what: str) -> bool:
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            if str(link.readlink()) == what:
                return True
    return False


def kill(pid: int) -> None:
    """Kill a process as the kernel does one that takes too much memory, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    with suppress(OSError):
        while Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
            time.sleep(_LOOK_SECONDS)
