"""What tests of the command `fairslot` share: the API over HTTP, a team in a file, and the command."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fairslot.platform.db import Connection
from tests.support.http import KEY, NOTHING, request, send

type Result = subprocess.CompletedProcess[str]
type Run = Callable[..., Result]

TEAM = """\
coaches:
  ann:
    name: Ann
    time_zone: Europe/Berlin
    working_hours: &week
      tue: [[09:00, 17:00]]
  b.en:
    name: Ben
    time_zone: UTC
    working_hours: *week
    overrides: [{date: 2026-12-24, hours: []}]
calendars:
  intro:
    name: Intro
    slot_duration: 30
    team: {ann: {}, b.en: {weight: 2}}
"""


class _Gateway(BaseHTTPRequestHandler):
    """Has the handlers answer."""

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {"x-api-key": self.headers.get("x-api-key", "")}
        answer = send(request(self.command, path, body or NOTHING, query=query, headers=headers, key=None))
        self.send_response(answer.status)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """The API over HTTP."""
    with HTTPServer(("127.0.0.1", 0), _Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def run(team: Connection, url: str, tmp_path: Path) -> Run:
    """Run the command with a key for the small team."""
    variables = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # it finds modules where this process does
        "FAIRSLOT_URL": url,
        "FAIRSLOT_KEY": KEY,
        "FAIRSLOT_PROFILES": str(tmp_path / "none"),
    }

    def once(*arguments: str, **more: str) -> Result:
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            env={**os.environ, **variables, "COLUMNS": "200", **more},
            capture_output=True,
            text=True,
            check=False,
        )

    return once


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A team in a file."""
    path = tmp_path / "team.yaml"
    path.write_text(TEAM, "utf-8")
    return path
