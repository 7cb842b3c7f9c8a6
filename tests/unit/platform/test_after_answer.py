"""The extension that works after answers, against a scripted Extensions API."""

import json
import os
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import Any

import pytest

from fairslot.platform import after_answer, time_limit
from fairslot.platform.settings import settings

BOUND_SECONDS = 20.0

type Call = tuple[str, str, dict[str, str], bytes]


class Api:
    """Answers calls as the test says, and remembers them in order."""

    def __init__(self) -> None:
        self.registered = 200
        self.events: SimpleQueue[tuple[int, dict[str, Any]]] = SimpleQueue()
        self.calls: SimpleQueue[Call] = SimpleQueue()

    def invoke(self, seconds: float = 10.0) -> None:
        """Begin an invocation of so many seconds."""
        self.events.put((200, {"eventType": "INVOKE", "deadlineMs": (time.time() + seconds) * 1000}))

    def called(self, path: str) -> Call:
        """Return the next call, which must be of a path."""
        call = self.calls.get(timeout=BOUND_SECONDS)
        assert call[1] == f"/2020-01-01/extension/{path}"
        return call


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An Extensions API for this process, which may begin once."""
    made = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            made.calls.put((self.command, self.path, dict(self.headers), body))
            answer: dict[str, Any] = {}
            if self.path.endswith("register"):
                status = made.registered
            elif self.path.endswith("next"):
                status, answer = made.events.get()
            else:
                status = 202
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Lambda-Extension-Identifier", "an-id")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", f"127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AFTER_ANSWER", "true")
    monkeypatch.setattr(after_answer, "_Process", type("Process", (), dict(vars(after_answer._Process))))  # noqa: SLF001
    after_answer._Process.left, after_answer._Process.answered = [], SimpleQueue()  # noqa: SLF001
    settings.cache_clear()
    yield made
    server.shutdown()
    server.server_close()
    settings.cache_clear()


def test_it_registers_for_invocations_alone(api: Api) -> None:
    """An extension in the function's process may not ask for SHUTDOWN."""
    after_answer.begin()
    method, _, headers, body = api.called("register")
    assert (method, json.loads(body)) == ("POST", {"events": ["INVOKE"]})
    assert headers["Lambda-Extension-Name"]
    assert api.called("event/next")[2]["Lambda-Extension-Identifier"] == "an-id"


def test_work_waits_until_the_invocation_is_over(api: Api) -> None:
    """It is done before the next event is asked for, and not while the request is at work."""
    after_answer.begin()
    api.called("register")
    api.called("event/next")
    done, left = Event(), []
    api.invoke()
    after_answer.run(lambda: left.append(time_limit.left()))
    after_answer.run(done.set)
    assert not done.wait(0.2)
    after_answer.answered()
    api.called("event/next")
    assert done.is_set()
    assert 4 < left[0] < 5.6


def test_work_has_the_time_that_the_invocation_has_left(api: Api) -> None:
    """Less what ends it in order."""
    after_answer.begin()
    left: list[float] = []
    api.invoke(seconds=3.0)
    after_answer.run(lambda: left.append(time_limit.left()))
    after_answer.answered()
    api.called("register")
    api.called("event/next")
    api.called("event/next")
    assert 0 < left[0] < 1.6


@pytest.mark.parametrize("why", ["refused", "not asked for", "not on Lambda"])
def test_without_an_extension_work_is_done_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Where Lambda refuses it, the setting does not ask for it, or there is no such API."""
    if why == "refused":
        api.registered = 403
    elif why == "not asked for":
        monkeypatch.setenv("AFTER_ANSWER", "false")
        settings.cache_clear()
    else:
        monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API")
    after_answer.begin()
    done = Event()
    after_answer.run(done.set)
    assert done.is_set()
    after_answer.answered()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_api_that_fails_is_told_and_work_is_done_at_once(api: Api) -> None:
    """The error has a kind, as is documented; later requests do their own work."""
    before = set(enumerate_threads())
    after_answer.begin()
    (thread,) = (one for one in enumerate_threads() if one.name == after_answer._NAME and one not in before)  # noqa: SLF001
    api.called("register")
    api.called("event/next")
    api.events.put((500, {}))
    after_answer.answered()
    _, _, headers, _ = api.called("exit/error")
    assert headers["Lambda-Extension-Function-Error-Type"].startswith("Fatal.")
    assert headers["Lambda-Extension-Identifier"] == "an-id"
    thread.join(BOUND_SECONDS)  # its error is this test's
    assert not thread.is_alive()
    done = Event()
    after_answer.run(done.set)
    assert done.is_set()
    assert "AWS_LAMBDA_RUNTIME_API" in os.environ
