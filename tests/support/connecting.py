"""A coach's browser at the pages that connect calendars, and the function inside that these ask."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from background import connections
from calendar_connect import app, inside
from local.gateway_payload import Request, Response, event, response
from tests.support.http import ask, body_of
from tests.support.lambda_context import context

PUBLIC_URL = "https://book.example.com"
COACH = "coach-01"
SECRET = "a secret of a test that is long enough"


class Inside(HTTPServer):
    """Lambda's API with that one function; `broken` makes it fail, `asked` counts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.broken = False
        self.asked = 0
        self.seen: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        """What the function outside has in its environment."""
        url = f"http://127.0.0.1:{self.server_port}"
        return {"AWS_ENDPOINT_URL_LAMBDA": url, "CONNECTIONS_FUNCTION": "connections"}


class _Call(BaseHTTPRequestHandler):
    server: Inside

    def do_POST(self) -> None:
        """Invoke the function."""
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert self.path == "/2015-03-31/functions/connections/invocations"
        self.server.asked += 1
        self.server.seen.append(sent)
        answer: dict[str, Any] = {"errorType": "Broken"}
        if not self.server.broken:
            answer = connections.lambda_handler(json.loads(sent), context())
        self.server.seen.append(json.dumps(answer))
        self.send_response(200)
        if self.server.broken:
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def serve_inside() -> Iterator[Inside]:
    """Serve it."""
    with Inside() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
        inside.clear_cache()


@dataclass
class Browser:
    """A browser, with its cookies and the last answer."""

    cookies: dict[str, str] = field(default_factory=dict)
    set_cookie: str = ""

    def get(self, url: str) -> Response:
        """Open an address."""
        return self._send("GET", url)

    def post(self, url: str, fields: dict[str, str]) -> Response:
        """Send a form."""
        return self._send("POST", url, urlencode(fields).encode())

    def _send(self, method: str, url: str, body: bytes = b"") -> Response:
        parts = urlsplit(url)
        is_callback = parts.path == app.CALLBACK
        headers = [("host", "api.example.com"), ("content-type", "application/x-www-form-urlencoded")]
        if self.cookies:
            headers.append(("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        request = Request(
            method=method,
            path=parts.path,
            query=parts.query,
            headers=headers,
            body=body,
            source_ip="127.0.0.1",
            request_id=str(uuid4()),
        )
        parameters = {} if is_callback else {"token": parts.path.rpartition("/")[2]}
        key = f"{method} {app.CALLBACK if is_callback else app.LINK}"
        answer = response(json.dumps(app.lambda_handler(event(request, key, parameters), context())).encode())
        for name, value in answer.headers:
            if name == "set-cookie":
                self.set_cookie = value
                cookie, _, content = value.partition(";")[0].partition("=")
                self.cookies[cookie] = content
        return answer


def header(answer: Response, name: str) -> str:
    """Return a header of an answer."""
    return next(value for known, value in answer.headers if known.lower() == name)


def title(answer: Response) -> str:
    """Return what a page says first."""
    found = re.search("<h1>(.*?)</h1>", answer.body.decode())
    assert found is not None, answer
    return unescape(found[1])


def hidden_field(page: str) -> str:
    """Return the hidden field of a page's form."""
    found = re.search('name="form" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


def make_link(coach_id: str = COACH, **members: Any) -> dict[str, Any]:
    """Return a new connection, with its link."""
    made = ask("POST", f"/api/coaches/{coach_id}/calendar-connections", {"kind": "google", **members})
    return body_of(made, 201)
