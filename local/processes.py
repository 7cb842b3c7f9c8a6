"""Programs that the local stack starts: each ends when its parent does."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

# Below what Linux (32768) and macOS (49152) choose from by themselves.
_PORTS = range(20_000, 32_768)

# In the steps of nice(1), of which each is about a tenth of the processor time.
_BEHIND = 5

# A program that `spawn` started.
type Child = subprocess.Popen[bytes]


class StartError(Exception):
    """A program of the local stack did not start; `log` has the details."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


class Program(ABC):
    """A program on a loopback port that can be started, stopped and restarted; also a context manager."""

    start_seconds = 20.0
    stop_seconds = 3.0
    stop_signal = signal.SIGTERM

    def __init__(self, log: Path, port: int) -> None:
        self.log = log
        self.port = port
        self._process: Child | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, if it was started."""
        return self._process.pid if self._process else None

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    @property
    @abstractmethod
    def url(self) -> str:
        """The address, with its password if it has one."""

    @abstractmethod
    def _spawn(self) -> Child:
        """Start the process."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Return whether it accepts requests."""

    def launch(self) -> None:
        """Start it without waiting until it is ready, so that others can start meanwhile.

        Raises:
            StartError: its files cannot be written, or there is no such program.

        """
        try:
            self._process = self._spawn()
        except OSError as error:
            raise StartError(f"{self.log.stem} could not be started: {error}") from error

    def wait_until_ready(self) -> None:
        """Wait until it accepts requests.

        Raises:
            StartError: it ended, or was not ready in time.

        """
        name = self.log.stem
        deadline = time.monotonic() + self.start_seconds
        while not self._is_ready():
            code = self._process.poll() if self._process else 0
            if code is not None:
                raise StartError(f"{name} ended with code {code} while starting", self.log)
            if time.monotonic() > deadline:
                raise StartError(f"{name} was not ready within {self.start_seconds:.0f} s", self.log)
            time.sleep(0.01)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        self.wait_until_ready()

    def stop(self) -> None:
        """Stop it, and kill it if that takes too long; does nothing if it is not running."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(self.stop_signal)
        try:
            process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def die_with_parent(death_signal: int) -> list[str]:
    """Return a command prefix that makes the kernel signal the program when the thread that started it ends.

    Empty without util-linux's setpriv, as on macOS: there a supervisor that is killed leaves its children
    running.
    """
    setpriv = _setpriv()
    return [setpriv, f"--pdeathsig={signal.Signals(death_signal).name[3:]}", "--"] if setpriv else []


@cache
def _setpriv() -> str | None:
    found = shutil.which("setpriv")
    if found is None:
        return None
    trial = subprocess.run([found, "--pdeathsig=KILL", "true"], capture_output=True, check=False)
    return found if trial.returncode == 0 else None


def put_behind(pid: int) -> None:
    """Let a process that has no threads yet run only when those need less that somebody waits for."""
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + _BEHIND)


def library_path() -> dict[str, str]:
    """Return the variables by which some builds of Python find their own library."""
    names = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: os.environ[name] for name in names if name in os.environ}


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    death_signal: int = signal.SIGKILL,
    stdin: bytes | None = None,
) -> Child:
    """Start a program in a session of its own: Ctrl-C in the terminal does not reach it.

    Its output is appended to `log`; it reads `stdin` from its standard input.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*die_with_parent(death_signal), *command],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd="/",
            start_new_session=True,
        )
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(stdin or b"")
    return process


def free_port() -> int:
    """Return a free loopback port outside the kernel's own range.

    A port of that range could be given to a connection before the program listens on it. Two processes that
    choose at the same moment get the same port with a probability of one to the size of our range.
    """
    # Not the shared generator: tests seed it, and would all choose the same.
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise StartError(f"no port from {_PORTS.start} to {_PORTS.stop - 1} is free")


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log; empty if it does not exist."""
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def check_port(port: int) -> None:
    """Fail at once, and not after seconds, if the port of the HTTP front is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StartError(f"port {port}: {error.strerror}; choose another with PORT=…") from error
