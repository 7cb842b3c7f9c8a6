"""Reading one external calendar of 500 events, of each kind, against its parser alone, in one run.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.calendar_reading

Both sides are processor time of this process, in turns: a whole reading over HTTP on loopback, from the
request to the bits, and the same text, which is in memory already, to the bits. The servers are processes of
their own.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest

from bench.figures import Figure, range_of
from fairslot.calendars.caldav import CaldavCalendar
from fairslot.calendars.caldav_objects import Stored, free_of_objects
from fairslot.calendars.google import Google
from fairslot.calendars.google_events import LIST_FIELDS
from fairslot.calendars.google_events import Reading as GoogleReading
from fairslot.calendars.icalendar_feed import IcalendarFeed, free_of
from fairslot.calendars.interface import ExternalCalendar, Free
from fairslot.calendars.microsoft_events import Reading as MicrosoftReading
from fairslot.calendars.microsoft_events import Rules
from fairslot.coach_time.days import horizon_slots
from fairslot.domain.slots import Window, instant_of
from fairslot.platform.settings import settings
from tests.support.caldav_servers import Radicale
from tests.support.google import GoogleAccount, google
from tests.support.graph import Coach, graph_standin

EVENTS = 500
ROUNDS = 7
GOAL = 1.5
ZONE = ZoneInfo("America/New_York")
_OBJECT = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//EN\r\n{events}END:VCALENDAR\r\n"


@dataclass(frozen=True)
class Side:
    """A calendar to read, and its parser on the text that it reads."""

    kind: str
    calendar: ExternalCalendar
    parse: Callable[[], Free]


def figures() -> Iterator[Figure]:
    """Measure each kind of calendar."""
    for kind, (ratios, milliseconds) in reading().items():
        yield Figure(
            name=f"reading a calendar of {EVENTS} events against its parser, {kind}",
            value=statistics.median(ratios),
            unit="times",
            goal=GOAL,
            note=f"{milliseconds:.0f} ms of a processor; {range_of(ratios)}",
        )


def reading() -> dict[str, tuple[list[float], float]]:
    """Return by kind the ratio of each round, and the milliseconds of processor that a reading takes."""
    first, end = horizon_slots(ZONE, datetime.now(UTC))
    window = Window(first_slot=first, slot_count=end - first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
        patch.setenv("CALENDAR_TIMEOUT_SECONDS", "20")
        settings.cache_clear()
        return {side.kind: _measure(side, window) for side in _sides(window)}


def _measure(side: Side, window: Window) -> tuple[list[float], float]:
    read = partial(_read, side.calendar, window)
    if (read().bits, read().unreadable) != (side.parse().bits, 0):
        raise ValueError(f"{side.kind}: both sides must read the same")
    whole, alone = [], []
    for _ in range(ROUNDS):
        alone.append(_processor_seconds(side.parse))
        whole.append(_processor_seconds(read))
    ratios = [one / other for one, other in zip(whole, alone, strict=True)]
    return ratios, statistics.median(whole) * 1000


def _read(calendar: ExternalCalendar, window: Window) -> Free:
    return asyncio.run(calendar.free(window))


def _processor_seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _sides(window: Window) -> Iterator[Side]:
    text = _OBJECT.format(events="".join(map(_event, range(EVENTS)))).encode()
    with _served(text) as url:
        yield Side("iCalendar feed", IcalendarFeed(url=url, zone=ZONE), partial(free_of, text, window, ZONE))
    with tempfile.TemporaryDirectory() as folder, Radicale(Path(folder)) as server:
        yield _caldav(server, text, window)
    with tempfile.TemporaryDirectory() as folder, google(Path(folder)) as standin:
        yield _google(standin.account(zone=ZONE.key), window)
    with tempfile.TemporaryDirectory() as folder, graph_standin(Path(folder)) as graph:
        yield _microsoft(graph.coach(ZONE), window)


def _caldav(server: Radicale, text: bytes, window: Window) -> Side:
    url = server.make_calendar()
    server.put(url, text)  # Radicale makes an object of each event
    source = uuid4()
    stored = [
        Stored(f"{url}{number}.ics", None, _OBJECT.format(events=_event(number))) for number in range(EVENTS)
    ]
    return Side(
        "CalDAV",
        CaldavCalendar(account=server.account, url=url, source_id=source, zone=ZONE),
        partial(free_of_objects, stored, window, ZONE, source),
    )


def _google(account: GoogleAccount, window: Window) -> Side:
    """Fill a calendar at the stand-in. A token is kept for an hour: asking for it is no part of a reading."""
    for number in range(EVENTS):
        edges = {"start": _begin(number), "end": _begin(number) + timedelta(minutes=30)}
        times = {name: {"dateTime": moment.isoformat()} for name, moment in edges.items()}
        account.add(summary=f"Appointment {number}", **times)
    first, end = (instant_of(slot).isoformat() for slot in (window.first_slot, window.end_slot))
    params = {"singleEvents": "true", "timeMin": first, "timeMax": end, "maxResults": "2500"}
    text = account.request("GET", "events", params={**params, "fields": LIST_FIELDS}).content

    def parse() -> Free:
        found = GoogleReading(window, source_id=account.source_id)
        found.add_events(json.loads(text))
        return found.free

    calendar = Google(token=account.token, source_id=account.source_id, base_url=account.google.base_url)
    return Side("Google", calendar, parse)


def _microsoft(coach: Coach, window: Window) -> Side:
    """Fill a mailbox at the stand-in, and keep its pages."""
    for number in range(EVENTS):
        coach.add(_begin(number), _begin(number) + timedelta(minutes=30))
    texts: list[bytes] = []
    with httpx.HTTPTransport() as inner:
        asyncio.run(coach.calendar(transport=_Kept(inner, texts)).free(window))

    def parse() -> Free:
        found = MicrosoftReading(window, source_id=coach.source_id, zone=ZONE, rules=Rules())
        for text in texts:
            found.add_events(json.loads(text))
        return found.free

    return Side("Microsoft", coach.calendar(), parse)


class _Kept(httpx.AsyncBaseTransport):
    """Keeps the bodies of the calendar's pages that pass."""

    def __init__(self, inner: httpx.HTTPTransport, texts: list[bytes]) -> None:
        self._inner, self._texts = inner, texts

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        content = answer.read()
        if "calendarView" in request.url.path:
            self._texts.append(content)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(content))


def _begin(number: int) -> datetime:
    """Return when an event begins; all of them are within the window."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=2 * number + 2)


def _event(number: int) -> str:
    """Return an event of half an hour."""
    begin = _begin(number)
    return (
        f"BEGIN:VEVENT\r\nUID:{number}@bench\r\nDTSTAMP:{begin:%Y%m%dT%H%M%SZ}\r\n"
        f"DTSTART:{begin:%Y%m%dT%H%M%SZ}\r\nDTEND:{begin + timedelta(minutes=30):%Y%m%dT%H%M%SZ}\r\n"
        f"SUMMARY:Appointment {number}\r\nDESCRIPTION:{'Nobody reads this. ' * 5}\r\nEND:VEVENT\r\n"
    )


@contextmanager
def _served(text: bytes) -> Iterator[str]:
    """Serve a text on loopback by a process of its own; yield its address."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(text, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/"
    finally:
        process.terminate()
        process.join()


def _serve(text: bytes, ready: Connection) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ready.send(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    for found in figures():
        print(found, found.note)
