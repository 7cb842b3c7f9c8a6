"""Servers that answer badly, on a real socket: what is wrong is told, soon, and nothing becomes free."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter

import pytest

from fairslot.calendars.caldav import CaldavCalendar
from fairslot.calendars.caldav_account import BODY_BYTES, Account
from fairslot.calendars.caldav_discovery import discover
from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import CalendarError
from tests.support.environment import clear_caches, set_environment
from tests.support.tried_calendar import SOURCE, ZONE, asked, busy
from tests.unit.calendars.dav import objects, strangers, tag

LIMITS = Limits(attempts=1, answer_seconds=0.5, body_seconds=1.0, total_seconds=3.0, body_bytes=BODY_BYTES)
MEGABYTE = b" " * 1_048_576
START = b'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">'
BOMB = b"".join(
    [
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "boom">',
        *(b'<!ENTITY a%d "%s">' % (n + 1, b"&a%d;" % n * 10) for n in range(12)),
        b"]><x>&a12;</x>",
    ]
)

type Behaviour = Callable[["Server", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Behaves as told, to a REPORT or to everything; `sent` is how many bytes of the body went out."""

    behave: Behaviour
    always: bool = False
    sent: int = 0
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head.partition(b"\r\n")[0])
            if self.always or head.startswith(b"REPORT"):
                await self.behave(self, writer)
            else:
                await whole(tag().content)(self, writer)
        writer.close()

    async def body(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        """Send a piece."""
        writer.write(piece)
        await writer.drain()
        self.sent += len(piece)


def head(length: int | None = None, status: str = "207 Multi-Status", more: str = "") -> bytes:
    size = f"Content-Length: {length}\r\n" if length is not None else ""
    return f"HTTP/1.1 {status}\r\n{size}{more}Connection: close\r\n\r\n".encode()


def whole(content: bytes, more: str = "") -> Behaviour:
    """Answer a body."""

    async def behave(server: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(head(len(content), more=more))
        await server.body(writer, content)

    return behave


async def flood(server: Server, writer: asyncio.StreamWriter) -> None:
    """Answer 50 MB."""
    writer.write(head(50 * len(MEGABYTE)))
    await server.body(writer, START)
    for _ in range(50):
        await server.body(writer, MEGABYTE)


async def drip(server: Server, writer: asyncio.StreamWriter) -> None:
    """Answer a byte now and then."""
    writer.write(head(1_000_000))
    while True:
        await server.body(writer, b" ")
        await asyncio.sleep(0.02)


async def drip_headers(server: Server, writer: asyncio.StreamWriter) -> None:
    """Answer a header now and then."""
    writer.write(b"HTTP/1.1 207 Multi-Status\r\n")
    while True:
        await server.body(writer, b"X-More: x\r\n")
        await asyncio.sleep(0.02)


async def hang_up(server: Server, writer: asyncio.StreamWriter) -> None:
    """Promise more than comes."""
    content = objects(strangers()).content
    writer.write(head(len(content)))
    await server.body(writer, content[:-10])


async def close(server: Server, writer: asyncio.StreamWriter) -> None:
    """Say nothing."""


async def nonsense(server: Server, writer: asyncio.StreamWriter) -> None:
    """Answer something that is not HTTP."""
    await server.body(writer, b"220 smtp.test ESMTP\r\n")


@asynccontextmanager
async def running(behave: Behaviour, *, always: bool = False) -> AsyncIterator[tuple[Server, str]]:
    server = Server(behave, always=always)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield server, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    finally:
        listening.close()
        listening.close_clients()


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Allow plain http to this machine."""
    set_environment(monkeypatch, {"WEBHOOK_ALLOW_LOOPBACK_HTTP": "true"})
    yield
    monkeypatch.undo()
    clear_caches()


def calendar(url: str) -> CaldavCalendar:
    account = Account(address=url, user="coach", password="s3cret")
    return CaldavCalendar(account=account, url=url, source_id=SOURCE, zone=ZONE, limits=LIMITS)


BAD: tuple[tuple[Behaviour, str], ...] = (
    (flood, "too_large"),
    (drip, "timeout"),
    (drip_headers, "timeout"),
    (hang_up, "connection"),
    (close, "connection"),
    (nonsense, "connection"),
    (whole(BOMB), "invalid_body"),
    (whole(gzip.compress(START + MEGABYTE * 200), "Content-Encoding: gzip\r\n"), "too_large"),
    (whole(b"not gzip", "Content-Encoding: gzip\r\n"), "invalid_body"),
    (whole(b"br", "Content-Encoding: br\r\n"), "invalid_body"),
    (whole(objects(strangers()).content[:-30]), "invalid_body"),
    (whole(b'{"events": []}'), "invalid_body"),
    (whole(START + b"<D:a>" * 100_000), "too_complex"),
    (whole(START + b"<D:a/>" * 300_000), "too_complex"),
    (whole(objects("BEGIN:VCALENDAR\n" * 100_000).content), "invalid_body"),
    (whole(objects("DTSTART:20270309T100000").content), "invalid_body"),
)


@pytest.mark.parametrize(("behave", "reason"), BAD)
def test_a_bad_answer_is_told_and_holds_up_nobody(behave: Behaviour, reason: str) -> None:
    """Within the limits of time and size, while another calendar is read."""

    async def run() -> tuple[str, int, list[str]]:
        good_answer = whole(objects(strangers("20270309T150000Z", "20270309T160000Z")).content)
        async with running(behave) as (bad, bad_url), running(good_answer) as (_, good_url):
            reading = asyncio.create_task(calendar(bad_url).free(asked()))
            good = await calendar(good_url).free(asked())
            with pytest.raises(CalendarError) as raised:
                await reading
            assert raised.value.ended is None
            return raised.value.reason, bad.sent, busy(good)

    began = perf_counter()
    told, sent, good = asyncio.run(run())
    assert (told, good) == (reason, ["09 10:00-09 11:00"])
    # The bound on time is the limits' own, and the machine's to spare.
    assert perf_counter() - began < 10
    assert sent < BODY_BYTES + 8 * len(MEGABYTE)


@pytest.mark.parametrize(("behave", "reason"), [one for one in BAD if one[0] in {flood, drip}])
def test_a_search_for_calendars_is_bounded_too(behave: Behaviour, reason: str) -> None:
    """Whoever gives an address waits no longer than the limits."""

    async def run() -> str:
        async with running(behave, always=True) as (_, url):
            account = Account(address=url, user="coach", password="s3cret")
            with pytest.raises(CalendarError) as raised:
                await discover(account, limits=LIMITS)
            return raised.value.reason

    assert asyncio.run(run()) == reason


def test_a_redirect_to_another_server_is_not_followed() -> None:
    """The other one is never asked, with the password or without."""

    async def run() -> tuple[str, list[bytes]]:
        async with running(close) as (other, other_url):

            async def redirect(server: Server, writer: asyncio.StreamWriter) -> None:
                await server.body(writer, head(0, "301 Moved", f"Location: {other_url}\r\n"))

            async with running(redirect) as (_, url):
                with pytest.raises(CalendarError) as raised:
                    await calendar(url).free(asked())
            return raised.value.reason, other.asked

    assert asyncio.run(run()) == ("other_domain", [])
