"""The function that reads calendars, behind Lambda's API as a booking finds it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from typing import Any

from fairslot.messages.fetches import FetchRequest

NAME = "calendar-fetch"
type Answer = Callable[[FetchRequest], str | None]


class Fetching(HTTPServer):
    """Answers each request with what `answer` makes of it, None: with nothing; `asked` are all of them.

    With `hangs` it says nothing until that is set.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.answer: Answer = lambda _: None
        self.asked: list[FetchRequest] = []
        self.hangs: Event | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a booking has in its environment."""
        url = f"http://127.0.0.1:{self.server_port}"
        account = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
        return {
            "AWS_ENDPOINT_URL_LAMBDA": url,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "CALENDAR_FETCH_FUNCTION": NAME,
            **account,
        }


class _Call(BaseHTTPRequestHandler):
    server: Fetching

    def do_POST(self) -> None:
        """Invoke the function."""
        event: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == f"/2015-03-31/functions/{NAME}/invocations"
        requests = [FetchRequest.from_json(one) for one in event["requests"]]
        self.server.asked += requests
        if self.server.hangs is not None:
            self.server.hangs.wait(30)
        readings = [one for one in map(self.server.answer, requests) if one is not None]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"readings": readings}).encode())

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def fetching() -> Iterator[Fetching]:
    """Serve it."""
    with Fetching() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
