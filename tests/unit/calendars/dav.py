"""What tests of CalDAV share: answers as servers write them, and a transport that gives them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import httpx

from fairslot.calendars.caldav import CaldavCalendar
from fairslot.calendars.caldav_account import Account
from fairslot.calendars.event_ids import event_id, key_text
from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import Event, EventKey, Free
from fairslot.domain.slots import Window
from tests.unit.calendars.feeds import NEW_YORK, window

HOST = "https://dav.test"
CALENDAR = f"{HOST}/home/work/"
ACCOUNT = Account(address=HOST, user="coach", password="s3cret")
SOURCE, OTHER = UUID(int=1), UUID(int=2)
KEY = EventKey(appointment_id=UUID(int=7), source_id=SOURCE)
START, END = datetime(2026, 3, 2, 14, tzinfo=UTC), datetime(2026, 3, 2, 15, tzinfo=UTC)
EVENT = Event(key=KEY, start=START, end=END, title="Booked: Intro")
ASKED = window("2026-03-02", "2026-03-04", NEW_YORK)
LIMITS = Limits(attempts=1, answer_seconds=5)

_NAMES = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:S="http://calendarserver.org/ns/"'

type Given = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Server(httpx.MockTransport):
    """Gives one answer after the other, and keeps the requests."""

    def __init__(self, *answers: Given) -> None:
        super().__init__(self._answer)
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        found = given if isinstance(given, httpx.Response) else given(request)
        # What httpx is given as a whole cannot be read as it comes; and an answer may be given twice.
        return httpx.Response(found.status_code, headers=found.headers, content=_pieces(found.content))

    @property
    def asked(self) -> list[str]:
        """What was asked for: method, host and path."""
        return [f"{one.method} {one.headers['host']}{one.url.raw_path.decode()}" for one in self.requests]


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def lookup(host: str, _port: int) -> Sequence[str]:
    """Find every name; those of `inside` in a private network."""
    return ["10.0.0.1"] if host.startswith("inside") else ["93.184.216.34"]


def calendar(server: Server, limits: Limits = LIMITS, **account: str) -> CaldavCalendar:
    """Return the calendar that the tests ask."""
    return CaldavCalendar(
        account=replace(ACCOUNT, **account),
        url=CALENDAR,
        source_id=SOURCE,
        zone=NEW_YORK,
        limits=limits,
        transport=server,
        now=lambda: START,
    )


def read(server: Server, asked: Window = ASKED) -> Free:
    """Read the calendar."""
    return asyncio.run(calendar(server).free(asked))


def multistatus(*responses: str) -> httpx.Response:
    """Answer a multistatus."""
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><D:multistatus {_NAMES}>{"".join(responses)}</D:multistatus>'
    )
    return httpx.Response(207, content=text.encode())


def response(href: str, found: str = "", missing: str = "", status: int = 404) -> str:
    """Write what is said of one resource: the properties that are found, and those that are missing."""
    parts = [
        f"<D:propstat><D:prop>{names}</D:prop><D:status>HTTP/1.1 {code} x</D:status></D:propstat>"
        for names, code in ((found, 200), (missing, status))
        if names
    ]
    return f"<D:response><D:href>{href}</D:href>{''.join(parts)}</D:response>"


def tag(value: str | None = "1") -> httpx.Response:
    """Answer what the calendar's tag is."""
    found = f"<S:getctag>{value}</S:getctag>" if value is not None else ""
    return multistatus(response("/home/work/", found, "<D:sync-token/>"))


def objects(*texts: str) -> httpx.Response:
    """Answer objects of a calendar, each by the text of its events."""
    return multistatus(
        *(
            response(
                f"/home/work/{number}.ics",
                f'<D:getetag>"{number}"</D:getetag><C:calendar-data><![CDATA[{text}]]></C:calendar-data>',
            )
            for number, text in enumerate(texts)
        )
    )


def an_object(*lines: str) -> str:
    """Return the text of an object with one event."""
    return (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\n"
        + "".join(f"{line}\r\n" for line in lines)
        + "END:VEVENT\r\nEND:VCALENDAR\r\n"
    )


def strangers(start: str = "20260302T140000Z", end: str = "20260302T150000Z", uid: str = "x") -> str:
    """Return an object of somebody else."""
    return an_object(f"UID:{uid}", f"DTSTART:{start}", f"DTEND:{end}")


def ours(*lines: str, key: EventKey = KEY, uid: str | None = None) -> str:
    """Return an object with a key of ours."""
    return an_object(
        f"UID:{uid or event_id(key)}",
        f"X-FAIRSLOT-EVENT:{key_text(key)}",
        *(lines or ("DTSTART:20260302T140000Z", "DTEND:20260302T150000Z")),
    )
