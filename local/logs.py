"""Logs and background tasks of the stack: one that fails prints a warning and stops nothing else."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

# Prints a line on the terminal about something that should not happen.
type Warn = Callable[[str], None]


def ignore(_: str) -> None:
    """Drop a warning."""


class Log:
    """A file that lines are appended to; those that cannot be written are lost, with one warning."""

    def __init__(self, path: Path, warn: Warn = ignore) -> None:
        self.path = path
        self._warn = warn
        self._fails = False
        self._torn = b""  # a newline after a line that was written in part

    def line(self, text: str) -> None:
        """Append a line."""
        self.write(text.encode("utf-8", "replace") + b"\n")

    def write(self, data: bytes) -> None:
        """Append a program's output, in lines or parts of them."""
        data = self._torn + data
        left = data
        try:
            with self.path.open("ab", buffering=0) as file:
                while left:
                    left = left[file.write(left) :]
        except OSError as error:
            if left != data:
                self._torn = b"\n"
            if not self._fails:
                self._warn(f"{self.path} cannot be written, so lines of it are lost: {error.strerror}")
            self._fails = True
            return
        if self._fails:
            self._warn(f"{self.path} can be written again")
        self._fails, self._torn = False, b""


def start_task(work: Coroutine[Any, Any, None], name: str, warn: Warn) -> asyncio.Task[None]:
    """Start a background task whose result nobody awaits; warn if it fails."""

    def look(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            warn(f"{name} failed and has stopped: {error!r}")

    task = asyncio.create_task(work)
    task.add_done_callback(look)
    return task
