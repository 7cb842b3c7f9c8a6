"""CalDAV servers that nobody here wrote, on free ports: Radicale and Xandikos, with a user and a password."""

import asyncio
import base64
import hashlib
import os
import socket
import ssl
import sys
from abc import abstractmethod
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from fairslot.calendars.caldav_account import Account
from local.processes import Child, Program, free_port, library_path, spawn
from local.radicale import spawn_radicale

USER, PASSWORD = "coach", "an app's password"


def request(method: str, url: str, *, auth: tuple[str, str], **more: object) -> httpx.Response:
    """Send a request by a connection of its own, as clients do; making a TLS context takes longer than it."""
    return httpx.request(method, url, auth=auth, timeout=20, verify=_tls(), **more)  # type: ignore[arg-type]


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


class CaldavServer(Program):
    """A server with one user, whose calendars are below `home`."""

    name: str
    home: str

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / f"{self.name}.log", free_port())
        self.folder = folder
        self._made = 0

    @property
    def url(self) -> str:
        """The server's address, which discovery begins with."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def account(self) -> Account:
        """The user's account."""
        return Account(address=self.url, user=USER, password=PASSWORD)

    def make_calendar(self) -> str:
        """Make an empty calendar; return its address."""
        self._made += 1
        url = f"{self.url}{self.home}calendar-{self._made}/"
        answer = self.request("MKCALENDAR", url)
        assert answer.status_code == 201, answer.text
        return url

    def put(self, url: str, text: str | bytes) -> httpx.Response:
        """Write an object as a client of the coach would."""
        answer = self.request("PUT", url, content=text, headers={"Content-Type": "text/calendar"})
        assert answer.is_success, (answer.status_code, answer.text)
        return answer

    def request(self, method: str, url: str, **more: object) -> httpx.Response:
        """Send a request as the user."""
        return request(method, url, auth=(USER, PASSWORD), **more)

    def listed(self, url: str) -> list[str]:
        """Return the addresses of a calendar's objects."""
        answer = self.request("PROPFIND", url, headers={"Depth": "1"})
        return [
            path
            for path in (piece.partition("</")[0] for piece in answer.text.split("href>")[1::2])
            if path.endswith(".ics")
        ]

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    @abstractmethod
    def _spawn(self) -> Child: ...


class Radicale(CaldavServer):
    """Radicale, which keeps a file an event and parses each with vobject."""

    name = "radicale"
    home = f"{USER}/"

    def _spawn(self) -> Child:
        return spawn_radicale(self.folder, self.port, log=self.log, user=USER, password=PASSWORD)


class Xandikos(CaldavServer):
    """Xandikos, which keeps the objects as they are in a git repository."""

    name = "xandikos"
    home = "user/calendars/"

    def _spawn(self) -> Child:
        self.folder.mkdir(parents=True, exist_ok=True)
        digest = base64.b64encode(hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).digest()).decode()
        (self.folder / "users").write_text(f"{USER}:{{SHA}}{digest}\n")
        env = library_path() | {"HOME": str(self.folder), "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "tests.support.caldav_servers", str(self.folder), str(self.port)]
        return spawn(command, log=self.log, env=env)


def _serve_xandikos(folder: Path, port: int) -> None:
    """Serve Xandikos on loopback with its own check of passwords, which its command allows with TLS only."""
    from aiohttp import web
    from xandikos.htpasswd import HtpasswdFile
    from xandikos.web import (
        WELLKNOWN_DAV_PATHS,
        RedirectDavHandler,
        SingleUserFilesystemBackend,
        XandikosApp,
        basic_auth_middleware,
    )

    data = folder / "data"
    data.mkdir(exist_ok=True)
    backend = SingleUserFilesystemBackend(str(data))
    backend._mark_as_principal("/user/")  # type: ignore[no-untyped-call]  # noqa: SLF001
    backend.create_principal("/user/", create_defaults=True)  # type: ignore[no-untyped-call]
    xandikos = XandikosApp(backend, current_user_principal="/user/")

    async def handle(request: web.Request) -> web.StreamResponse:
        answer: web.StreamResponse = await xandikos.aiohttp_handler(request, "/")  # type: ignore[no-untyped-call]
        return answer

    guard = basic_auth_middleware(HtpasswdFile(str(folder / "users")))  # type: ignore[no-untyped-call]
    app = web.Application(middlewares=[guard])
    for path in WELLKNOWN_DAV_PATHS:
        app.router.add_route("*", path, RedirectDavHandler("/").__call__)
    app.router.add_route("*", "/{path_info:.*}", handle)
    web.run_app(app, host="127.0.0.1", port=port, print=None, loop=asyncio.new_event_loop())


def path_of(url: str) -> str:
    """Return the path of an address."""
    return urlsplit(url).path


if __name__ == "__main__":
    _serve_xandikos(Path(sys.argv[1]), int(sys.argv[2]))
