"""Programs that the local stack starts: each dies with whoever started it."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# What `spawn` gives: a program that runs.
type Child = subprocess.Popen[bytes]

_LIBC = ctypes.CDLL(None, use_errno=True)


class StartError(Exception):
    """A part of the local stack did not start."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


def die_with_parent(death_signal: int) -> Callable[[], None]:
    """Return what a child runs before its program, so that the kernel signals it when its parent is gone.

    The parent is the thread that started the child, so start children from a thread that lives as long.
    """
    parent = os.getpid()

    def arrange() -> None:
        if sys.platform == "linux":
            _LIBC.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
            if os.getppid() != parent:  # it died before the line above
                os.kill(os.getpid(), death_signal)

    return arrange


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    death_signal: int = signal.SIGKILL,
    given: bytes | None = None,
) -> Child:
    """Start a program in a session of its own: no terminal, so Ctrl-C reaches it only through us.

    Its output is appended to `log`; `given` is what it reads from its standard input.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd="/",
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509 (no threads hold locks at this point)
        )
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(given or b"")
    return process


def stop(process: Child | None, stop_signal: int, seconds: float) -> None:
    """Ask a program to stop and kill it after `seconds`; harmless where it is gone already."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(stop_signal)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(ready: Callable[[], bool], process: Child, log: Path, seconds: float) -> None:
    """Return when `ready` is true.

    Raises:
        StartError: the program ended, or `seconds` went by.

    """
    name = log.stem
    deadline = time.monotonic() + seconds
    while not ready():
        code = process.poll()
        if code is not None:
            raise StartError(f"{name} ended with code {code} while starting", log)
        if time.monotonic() > deadline:
            raise StartError(f"{name} did not answer within {seconds:.0f} s", log)
        time.sleep(0.01)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log, or nothing where there is none."""
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
