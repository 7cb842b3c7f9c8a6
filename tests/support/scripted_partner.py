"""A partner on a real socket that behaves, call by call, as a test tells it to."""

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

type Behaviour = Callable[["Call"], None]


@dataclass(frozen=True)
class Received:
    """A request as it came in; `at` is when its head was read, in seconds of `time.monotonic`."""

    path: str
    headers: Mapping[str, str]
    body: Any
    raw: bytes
    at: float


class ScriptedPartner(ThreadingHTTPServer):
    """Behaves as the next of `script` says, then as `always` says."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Call)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.script: list[Behaviour] = []
        self.always: Behaviour = answer(200, {"success": True})
        self.received: list[Received] = []
        self.closing = Event()

    def shutdown_request(self, request: Any) -> None:
        """Only close: the base class says goodbye first, and then a reset would be none."""
        self.close_request(request)

    def keys(self) -> list[str]:
        """Return the idempotency keys in the order in which they came."""
        return [request.headers["x-idempotency-key"] for request in self.received]


class Call(BaseHTTPRequestHandler):
    """One request and the raw connection that it came by."""

    server: ScriptedPartner
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Remember the request and behave."""
        at = time.monotonic()
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(self.path, headers, json.loads(raw), raw, at))
        behave = self.server.script.pop(0) if self.server.script else self.server.always
        self.close_connection = True
        with suppress(ConnectionError):
            behave(self)

    def head(self, status: int, **headers: str) -> None:
        """Send the status and the headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def scripted_partner() -> Iterator[ScriptedPartner]:
    """Run a partner; whoever still waits in it at the end is let go."""
    with ScriptedPartner() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()


def answer(status: int, body: object = None, **headers: str) -> Behaviour:
    """Answer at once; bytes go as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def behave(call: Call) -> None:
        call.head(status, Content_Type="application/json", Content_Length=str(len(content)), **headers)
        call.wfile.write(content)

    return behave


def silence(call: Call) -> None:
    """Never answer."""
    call.server.closing.wait()


def drip(call: Call) -> None:
    """Answer a byte every 20 ms, without end."""
    call.head(200, Content_Type="application/json", Content_Length="1000000")
    while not call.server.closing.wait(0.02):
        call.wfile.write(b" ")


def drip_headers(call: Call) -> None:
    """Answer header lines every 20 ms, and never the end of them."""
    call.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not call.server.closing.wait(0.02):
        call.wfile.write(b"X-More: x\r\n")


def flood(call: Call) -> None:
    """Answer a body without end, as fast as it is read."""
    call.head(200, Content_Type="application/json")
    while not call.server.closing.is_set():
        call.wfile.write(b"[" * 65_536)


def reset(call: Call) -> None:
    """Cut the connection without an answer."""
    call.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up_half_way(call: Call) -> None:
    """Promise more than is sent."""
    call.head(200, Content_Type="application/json", Content_Length="100")
    call.wfile.write(b'{"success"')


def nonsense(call: Call) -> None:
    """Answer something that is not HTTP."""
    call.wfile.write(b"220 smtp.example ESMTP ready\r\n")
