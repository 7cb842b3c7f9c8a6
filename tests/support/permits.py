"""The function that permits requests, behind Lambda's API as the dispatcher finds it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from uuid import UUID

from fairslot.platform import db
from fairslot.webhooks import calendar_events, contact_permits

NAME = "permits"


class Permits(HTTPServer):
    """Answers on a connection of its own; `broken` makes the function fail, `asked` counts."""

    def __init__(self, database_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.connection = db.connect(database_url)
        self.broken = False
        self.asked = 0

    @property
    def environment(self) -> dict[str, str]:
        """What the dispatcher has in its environment."""
        url = f"http://127.0.0.1:{self.server_port}"
        anybody = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        return {"AWS_ENDPOINT_URL_LAMBDA": url, "CONTACT_PERMITS_FUNCTION": NAME, **anybody}


class _Call(BaseHTTPRequestHandler):
    server: Permits

    def do_POST(self) -> None:
        """Invoke the function."""
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == f"/2015-03-31/functions/{NAME}/invocations"
        self.server.asked += 1
        answer: dict[str, Any] = {"errorType": "Broken"}
        if not self.server.broken:
            delivery_id = UUID(event["delivery_id"])
            asked = calendar_events if event["what"] == "calendar_event" else contact_permits
            answer = {"seconds": asked.permit(self.server.connection, delivery_id=delivery_id)}
        self.send_response(200)
        if self.server.broken:
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def permits(database_url: str) -> Iterator[Permits]:
    """Serve it."""
    with Permits(database_url) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
        server.connection.close()
