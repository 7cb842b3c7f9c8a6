"""One GET: what is tried again, and how it is bounded in time and in size."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from time import perf_counter

import httpx
import pytest

from fairslot.calendars import fetch as module
from fairslot.calendars.fetch import Limits, fetch
from fairslot.calendars.interface import CalendarError

type Answer = httpx.Response | Exception | Callable[[], Awaitable[httpx.Response]]
URL = "https://calendar.test/feed.ics?token=s3cret"
LIMITS = Limits(attempts=4, answer_seconds=5, total_seconds=10, body_bytes=1000)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)


class Script(httpx.MockTransport):
    """Gives one answer after the other, and keeps the requests."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(self._answer)
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else await answer()


def get(script: Script, limits: Limits = LIMITS, url: str = URL, **params: str) -> bytes:
    return asyncio.run(
        fetch(
            url, accept="text/calendar", params=params or None, limits=limits, transport=script, trusted=True
        )
    )


def reason(script: Script, limits: Limits = LIMITS, url: str = URL) -> str:
    with pytest.raises(CalendarError) as raised:
        get(script, limits, url)
    assert "s3cret" not in repr(raised.value)
    return raised.value.reason


def ok(content: bytes = b"body", coding: str = "identity") -> httpx.Response:
    """Answer bytes as they are: what httpx is given as a whole it unpacks at once."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    return httpx.Response(200, content=pieces(), headers={"Content-Encoding": coding})


async def silence() -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


class Drip(httpx.AsyncByteStream):
    """A body that begins and never ends."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"BEGIN:VCALENDAR"
        await asyncio.Event().wait()


async def drip() -> httpx.Response:
    return httpx.Response(200, stream=Drip())


def test_the_body_comes_back() -> None:
    """One request, with what was asked for in it."""
    script = Script(ok())
    assert get(script, days="7") == b"body"
    (request,) = script.requests
    assert (request.method, request.url.params["days"]) == ("GET", "7")
    assert (request.headers["accept"], request.headers["user-agent"]) == ("text/calendar", "Fairslot")
    script = Script(ok())
    get(script)
    assert str(script.requests[0].url) == URL


PASSING = [
    httpx.Response(500),
    httpx.Response(503, json={"retry_after": 5}),
    httpx.Response(429),
    httpx.ConnectError("refused"),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("cut"),
    httpx.ReadTimeout("slow"),
]


@pytest.mark.parametrize("fault", PASSING)
def test_passing_faults_are_tried_again(fault: Answer) -> None:
    """Three faults, then the answer."""
    script = Script(fault, fault, fault, ok())
    assert get(script) == b"body"
    assert len(script.requests) == 4


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (httpx.Response(503), "http_503"),
        (httpx.Response(429), "http_429"),
        (httpx.ConnectError("x"), "connection"),
    ],
)
def test_the_last_fault_is_the_reason(fault: Answer, expected: str) -> None:
    """After the last attempt the reading fails."""
    script = Script(*[fault] * 5)
    assert reason(script) == expected
    assert len(script.requests) == 4


@pytest.mark.parametrize("status", [301, 302, 304, 400, 401, 403, 404, 410, 204, 206])
def test_other_answers_are_final(status: int) -> None:
    """What will not change is not asked again, and no redirect is followed."""
    script = Script(httpx.Response(status, headers={"Location": "https://elsewhere.test/"}))
    assert reason(script) == f"http_{status}"
    assert len(script.requests) == 1


def test_silence_is_a_timeout_and_tried_again() -> None:
    """An attempt without an answer ends in time."""
    script = Script(silence, ok())
    assert get(script, replace(LIMITS, answer_seconds=0.05)) == b"body"
    assert reason(Script(*[silence] * 2), replace(LIMITS, answer_seconds=0.05, attempts=2)) == "timeout"


def test_a_body_that_drips_is_a_timeout() -> None:
    """The whole body is bounded, not each read."""
    script = Script(drip, ok())
    assert get(script, replace(LIMITS, body_seconds=0.05)) == b"body"
    assert reason(Script(drip), replace(LIMITS, body_seconds=0.05, attempts=1)) == "timeout"


def test_all_attempts_together_are_bounded() -> None:
    """However many attempts are left, the total holds."""
    script = Script(*[silence] * 9)
    began = perf_counter()
    assert reason(script, Limits(attempts=9, answer_seconds=0.2, total_seconds=0.5)) == "timeout"
    assert perf_counter() - began < 3
    assert len(script.requests) <= 3


def test_a_wait_that_is_too_long_ends_it() -> None:
    """Who asks to be left alone for longer than there is time is not asked again."""
    script = Script(httpx.Response(429, headers={"Retry-After": "60"}), ok())
    assert reason(script) == "http_429"
    script = Script(httpx.Response(503, headers={"Retry-After": "0"}), ok())
    assert get(script) == b"body"


def test_the_pause_is_random_and_bounded() -> None:
    """Full jitter: anything up to a bound that doubles."""
    error = module._RetryableError("timeout")  # noqa: SLF001  # drawn here without waiting
    module.PAUSE_SECONDS = 0.25  # the fixture restores it
    for attempt, longest in [(1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0), (9, 2.0)]:
        drawn = [module._pause(attempt, error) for _ in range(200)]  # noqa: SLF001
        assert 0 <= min(drawn) < longest / 2 < max(drawn) <= longest
    assert module._pause(1, module._RetryableError("http_429", 7.0)) == 7.0  # noqa: SLF001


def test_a_large_body_is_refused() -> None:
    """One byte too many is too many, packed or not."""
    assert get(Script(ok(b"x" * 1000))) == b"x" * 1000
    assert reason(Script(ok(b"x" * 1001))) == "too_large"
    assert get(Script(packed(b"x" * 1000))) == b"x" * 1000
    assert reason(Script(packed(bytes(50_000_000)))) == "too_large"


def test_a_packed_body_must_be_whole() -> None:
    """Half a gzip stream, none, or another coding is no body."""
    assert reason(Script(packed(b"x" * 900, cut=6))) == "invalid_body"
    assert reason(Script(ok(b"plain", "gzip"))) == "invalid_body"
    assert reason(Script(ok(b"plain", "br"))) == "invalid_body"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "feed.ics",
        "ftp://calendar.test/",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "http://[::1",
        "//x/y",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    """Only http(s) with a host, before anything is sent."""
    script = Script()
    assert reason(script, url=url) == "invalid_url"
    assert script.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "http://[::ffff:10.0.0.1]/",
        "https://me@calendar.test/",
        "http://calendar.test:6379/",
    ],
)
def test_anybodys_address_is_only_read_from_a_public_host(url: str) -> None:
    """A feed's address is judged before anything is sent, and once."""
    script = Script()
    with pytest.raises(CalendarError, match=r"blocked_address|invalid_url"):
        asyncio.run(fetch(url, accept="*/*", limits=LIMITS, transport=script))
    assert script.requests == []


@pytest.mark.parametrize("behaviour", ["silent", "headers"])
def test_a_real_connection_is_bounded(behaviour: str) -> None:
    """A server that accepts and says nothing, or header after header, is given up in time."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while behaviour == "headers" and not writer.is_closing():
            writer.write(b"HTTP/1.1 200 OK\r\n" if not gone.is_set() else b"X-More: x\r\n")
            await writer.drain()
            gone.set()
            await asyncio.wait([asyncio.ensure_future(closing.wait())], timeout=0.01)
        await closing.wait()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            limits = Limits(attempts=1, answer_seconds=0.3)
            try:
                await fetch(f"http://127.0.0.1:{port}/", accept="*/*", limits=limits, trusted=True)
            finally:
                closing.set()

    closing, gone = asyncio.Event(), asyncio.Event()
    began = perf_counter()
    with pytest.raises(CalendarError, match="timeout"):
        asyncio.run(run())
    assert perf_counter() - began < 3


def test_nobody_listening_is_a_connection_error() -> None:
    """A port without a server."""
    with pytest.raises(CalendarError, match="connection"):
        asyncio.run(fetch("http://127.0.0.1:1/", accept="*/*", limits=LIMITS, trusted=True))


def packed(content: bytes, cut: int = 0) -> httpx.Response:
    whole = gzip.compress(content)
    return ok(whole[: len(whole) - cut], "gzip")
