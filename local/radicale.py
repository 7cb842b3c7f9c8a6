"""Radicale, a CalDAV server that nobody here wrote, on a loopback port."""

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from local.partner import Partner
from local.processes import Child, free_port, library_path, put_behind, spawn, write_private

# The demo coach's account, for everybody to know.
USER, PASSWORD = "carla", "carla's app password"
HOST = "127.0.0.1"


def spawn_radicale(folder: Path, port: int, *, log: Path, user: str, password: str) -> Child:
    """Start a server with one user, whose calendars are kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    users, config = folder / "users", folder / "config"
    write_private(users, f"{user}:{password}\n")
    config.write_text(
        f"[server]\nhosts = {HOST}:{port}\n"
        f"[auth]\ntype = htpasswd\nhtpasswd_filename = {users}\nhtpasswd_encryption = plain\ndelay = 0\n"
        f"[storage]\nfilesystem_folder = {folder / 'collections'}\n"
        "[rights]\ntype = owner_only\n"
        "[logging]\nlevel = info\n"
    )
    env = library_path() | {"HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    return spawn([sys.executable, "-m", "radicale", "--config", config], log=log, env=env)


class Radicale(Partner):
    """The demo coach's server. Unlike the stand-ins' state, what it keeps outlasts it."""

    def __init__(self, port: int, data: Path, logs: Path) -> None:
        super().__init__("caldav", port, data, logs)
        self._folder = data / "caldav"

    def _spawn(self) -> Child:
        if not self.port or not _is_free(self.port):
            self.port = free_port()
        child = spawn_radicale(self._folder, self.port, log=self.log, user=USER, password=PASSWORD)
        put_behind(child.pid)
        return child

    def _is_ready(self) -> bool:
        # That somebody answers at the port would not tell it from another stack's.
        return b"Radicale server ready" in self._said()


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return True
    return False
