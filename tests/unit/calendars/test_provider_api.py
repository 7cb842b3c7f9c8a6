"""Requests to a provider: authorized, refused in our words, in bounded pages, and to nobody else."""

import asyncio
import gzip
import itertools
import json
import threading
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from fairslot.calendars import provider_api
from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.provider_api import Answer, ProviderApi
from tests.support.environment import clear_caches

BASE = "http://127.0.0.1:9/calendar/v3"
LIMITS = Limits(attempts=1, answer_seconds=5, body_bytes=1000)


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of providers are on this machine."""
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    clear_caches()


class Tokens:
    """Gives old-1 until it is refused, then new ones."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    async def get(self, *, fresh: bool = False) -> str:
        self.asked.append(fresh)
        return f"new-{len(self.asked)}" if fresh else "old"


class Provider(httpx.MockTransport):
    """Gives one answer after the other, and keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        super().__init__(self._answer)
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.tokens = Tokens()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def api(self) -> ProviderApi:
        return ProviderApi(base_url=BASE, token=self.tokens, limits=LIMITS, transport=self)

    def request(self, method: str = "GET", path: str = "events", **more: Any) -> Answer:
        return asyncio.run(self.api.request(method, path, **more))

    def refusal(self, path: str = "events") -> CalendarError:
        with pytest.raises(CalendarError) as raised:
            self.request(path=path)
        return raised.value

    def pages(self) -> list[Any]:
        async def read() -> list[Any]:
            def following(body: Mapping[str, Any]) -> tuple[str, Mapping[str, str]] | None:
                return ("events", {"pageToken": body["next"]}) if "next" in body else None

            return [body["items"] async for body in self.api.pages("events", following=following)]

        return asyncio.run(read())


def ok(body: object) -> httpx.Response:
    return answer(200, body)


def answer(status: int, body: object = None, **headers: str) -> httpx.Response:
    """Answer as it is sent: what httpx is given as a whole it unpacks at once."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, stream=httpx.ByteStream(content), headers=named)


def test_a_request_is_authorized_and_has_its_body() -> None:
    """Method, path below the base, parameters, headers, token, JSON."""
    provider = Provider(ok({"id": "a"}))
    given = provider.request(
        "PATCH", "events/a", params={"fields": "id"}, headers={"If-Match": '"1"'}, body={"x": 1}
    )
    assert (given.status, given.body) == (200, {"id": "a"})
    (request,) = provider.requests
    assert str(request.url) == f"{BASE}/events/a?fields=id"
    assert (request.method, request.content) == ("PATCH", b'{"x": 1}')
    assert (request.headers["authorization"], request.headers["if-match"]) == ("Bearer old", '"1"')
    assert request.headers["content-type"] == "application/json"


def test_an_answer_without_a_body_is_empty() -> None:
    """A deletion's."""
    assert Provider(answer(204, b"")).request("DELETE").body == {}


def test_packed_answers_are_read() -> None:
    """And unpacked only up to the bound."""
    packed = answer(200, gzip.compress(b'{"a": 1}'), Content_Encoding="gzip")
    assert Provider(packed).request().body == {"a": 1}
    bomb = answer(200, gzip.compress(b" " * 1_000_000), Content_Encoding="gzip")
    assert Provider(bomb).refusal().reason == "too_large"


def test_a_refused_token_is_replaced_once() -> None:
    """The second refusal is the answer, and says nothing final."""
    provider = Provider(answer(401), ok({}))
    provider.request()
    assert [one.headers["authorization"] for one in provider.requests] == ["Bearer old", "Bearer new-2"]
    provider = Provider(answer(401), answer(401))
    refusal = provider.refusal()
    assert (refusal.reason, refusal.ended, provider.tokens.asked) == ("unauthorized", None, [False, True])


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (301, "http_301"),
        (400, "http_400"),
        (403, "forbidden"),
        (404, "not_found"),
        (409, "conflict"),
        (410, "http_410"),
        (412, "conflict"),
        (429, "rate_limited"),
        (500, "http_500"),
        (503, "http_503"),
        (599, "http_599"),
    ],
)
def test_a_status_has_a_reason_and_ends_nothing(status: int, reason: str) -> None:
    """Whether it ends the source is the provider's module to say."""
    refusal = Provider(answer(status, {"error": "x"}, Location="https://elsewhere.test/")).refusal()
    assert (refusal.reason, refusal.ended) == (reason, None)
    assert Provider(answer(status)).request(allowed={status}).status == status


def test_what_the_provider_asks_to_wait_is_kept() -> None:
    """Retry-After, of any refusal."""
    assert Provider(answer(429, Retry_After="30")).refusal().after == 30
    assert Provider(answer(503, Retry_After="7")).refusal().after == 7
    assert Provider(answer(503)).refusal().after == 0


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"a": ', b"7", b"\xff"])
def test_an_answer_that_is_no_object_is_invalid(content: bytes) -> None:
    """Of a refusal it does not matter."""
    assert Provider(answer(200, content)).refusal().reason == "invalid_body"
    assert Provider(answer(503, content)).refusal().reason == "http_503"


def test_nesting_without_end_is_invalid() -> None:
    """The parser's own limit is an invalid answer too."""
    limits = replace(LIMITS, body_bytes=1_000_000)
    provider = Provider(ok(b"[" * 900_000))
    api = ProviderApi(base_url=BASE, token=provider.tokens, limits=limits, transport=provider)
    with pytest.raises(CalendarError, match="invalid_body"):
        asyncio.run(api.request("GET", "events"))


def test_an_answer_is_bounded() -> None:
    """Past the bound nothing is read in part."""
    assert Provider(ok({"x": "x" * 1000})).refusal().reason == "too_large"


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadError("reset")])
def test_a_broken_connection_is_no_answer(error: Exception) -> None:
    """One attempt: whoever asks knows whether another is safe."""
    provider = Provider(error)
    assert (provider.refusal().reason, len(provider.requests)) == ("connection", 1)


@pytest.mark.parametrize(
    "path",
    [
        "https://elsewhere.test/events",
        "https://127.0.0.1:9/events",
        "http://127.0.0.1:10/events",
        "//elsewhere.test/events",
        "http://user@127.0.0.1:9/events",
        "http://[",
    ],
)
def test_a_token_goes_to_its_provider_alone(path: str) -> None:
    """Whatever a page says of the next one."""
    provider = Provider()
    assert provider.refusal(path).reason == "invalid_body"
    assert not provider.requests


def test_an_address_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the local stack's setting nothing is sent."""
    monkeypatch.delenv("WEBHOOK_ALLOW_LOOPBACK_HTTP")
    clear_caches()
    provider = Provider()
    assert provider.refusal().reason in {"invalid_url", "blocked_address"}
    assert not provider.requests


def test_all_pages_are_read() -> None:
    """A short or an empty page is not the end."""
    provider = Provider(
        ok({"items": [1], "next": "a"}), ok({"items": [], "next": "b"}), ok({"items": [2, 3]})
    )
    assert provider.pages() == [[1], [], [2, 3]]
    assert [one.url.params.get("pageToken") for one in provider.requests] == [None, "a", "b"]


def test_pages_share_a_connection() -> None:
    """Each of its own is a handshake more; it is closed when the reader has enough."""
    opened: list[object] = []

    class Pages(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            opened.append(self)

        def finish(self) -> None:
            super().finish()
            opened.append(None)

        def do_GET(self) -> None:
            content = json.dumps({"items": [self.path]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Be silent."""

    async def three(api: ProviderApi) -> None:
        numbers = itertools.count(1)

        def following(_: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
            return "events", {"pageToken": str(next(numbers))}

        async with aclosing(api.pages("events", following=following)) as pages:
            for _ in range(3):
                await anext(pages)

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        server.daemon_threads = False  # its end waits for theirs
        threading.Thread(target=server.serve_forever).start()
        try:
            base = f"http://127.0.0.1:{server.server_port}/"
            asyncio.run(three(ProviderApi(base_url=base, token=Tokens(), limits=LIMITS)))
        finally:
            server.shutdown()
    assert len(opened) == 2, "one connection, which has ended"


def test_pages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A calendar without an end is not read in part, nor one that leads in a circle."""
    monkeypatch.setattr(provider_api, "MOST_PAGES", 3)
    endless = Provider(*(ok({"items": [], "next": str(number)}) for number in range(4)))
    with pytest.raises(CalendarError, match="too_large"):
        endless.pages()
    circle = Provider(*(ok({"items": [], "next": "a"}) for _ in range(3)))
    with pytest.raises(CalendarError, match="invalid_body"):
        circle.pages()
