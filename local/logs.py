"""Logs and tasks of the stack: what cannot be written, or ends by an error, is told and fails nobody else."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

# Tells a person one line.
type Tell = Callable[[str], None]


def unheard(_: str) -> None:
    """Tell nobody."""


class Log:
    """A file that lines are added to; those that cannot be written are lost, which is told once."""

    def __init__(self, path: Path, tell: Tell = unheard) -> None:
        self.path = path
        self._tell = tell
        self._fails = False
        self._torn = b""  # what ends a line of which only a part was written

    def line(self, text: str) -> None:
        """Add a line."""
        self.write(text.encode("utf-8", "replace") + b"\n")

    def write(self, data: bytes) -> None:
        """Add what a program has said, lines or parts of them."""
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
                self._tell(f"{self.path} cannot be written, lines are lost: {error.strerror}")
            self._fails = True
            return
        if self._fails:
            self._tell(f"{self.path} is written again")
        self._fails, self._torn = False, b""


def watched(work: Coroutine[Any, Any, None], name: str, tell: Tell) -> asyncio.Task[None]:
    """Begin a task, and tell if it ends by an error: nobody may ever ask for what became of it."""

    def look(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            tell(f"{name} has ended: {error!r}")

    task = asyncio.create_task(work)
    task.add_done_callback(look)
    return task
