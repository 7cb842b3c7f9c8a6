"""Servers that hang: their processes stand still, while the kernel goes on taking connections for them."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    """Stop a server's process, and then those that it has started, until the end of the block."""
    assert pid is not None
    stopped: list[int] = []
    try:
        for one in _tree(pid):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGSTOP)
                stopped.append(one)
        yield
    finally:
        for one in stopped:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


def _tree(pid: int) -> Iterator[int]:
    """Give a process and all below it; each is asked for its children after it was given."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text("ascii").split():
                yield from _tree(int(child))
