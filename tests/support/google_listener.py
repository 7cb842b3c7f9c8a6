"""An address that Google posts notifications to."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import httpx

# How long a notification is waited for.
SECONDS = 20


class GoogleListener:
    """Keeps the notifications that it answered with 200, in their order; first it gives other `statuses`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.statuses: list[int] = []
        self._coming: Queue[httpx.Headers] = Queue()

    def take(self, headers: Mapping[str, str]) -> int:
        """Take a notification, or refuse it."""
        if self.statuses:
            return self.statuses.pop(0)
        self._coming.put(httpx.Headers(headers))
        return 200

    def next(self) -> httpx.Headers:
        """Return the next notification; its headers are all of it."""
        return self._coming.get(timeout=SECONDS)

    def states(self, count: int) -> list[tuple[str, int]]:
        """Return the next notifications by their state and number."""
        taken = [self.next() for _ in range(count)]
        return [(one["x-goog-resource-state"], int(one["x-goog-message-number"])) for one in taken]


@contextmanager
def google_listener() -> Iterator[GoogleListener]:
    """Run a listener."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(listener.take(dict(self.headers.items())))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listener = GoogleListener(f"http://127.0.0.1:{server.server_port}/calendar-push/google")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listener
        server.shutdown()
        thread.join()
