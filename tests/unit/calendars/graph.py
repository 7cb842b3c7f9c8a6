"""Microsoft Graph without a network: answers that are given one after the other."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx

from fairslot.calendars.event_ids import event_id, key_text
from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import Event, EventKey, Free, Sighting
from fairslot.calendars.microsoft import MicrosoftCalendar
from fairslot.calendars.microsoft_events import PROPERTY_ID
from fairslot.calendars.microsoft_schedule import MicrosoftSchedule
from fairslot.domain.slots import Window, slot_of

BASE = "http://127.0.0.1:9/v1.0"
LIMITS = Limits(attempts=1, answer_seconds=5)
BERLIN = ZoneInfo("Europe/Berlin")
DAY = datetime(2026, 11, 30, 9, tzinfo=UTC)
WINDOW = Window(slot_of(DAY), 8)  # two hours from 10:00 in Berlin
SOURCE = UUID(int=2)
KEY = EventKey(appointment_id=UUID(int=1), source_id=SOURCE)
HOUR = timedelta(hours=1)
EVENT = Event(key=KEY, start=DAY, end=DAY + HOUR, title="Intro call")
ADDRESS = "ana@example.com"
FREE, BUSY = 0b11111111, 0b00001111


class Tokens:
    """Gives a token, or another."""

    async def get(self, *, fresh: bool = False) -> str:
        return "new" if fresh else "old"


class Graph(httpx.MockTransport):
    """Gives one answer after the other, and keeps the requests."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        super().__init__(self._answer)
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status, body = self.answers.pop(0)
        return httpx.Response(status, stream=httpx.ByteStream(json.dumps(body).encode()))

    def calendar(self, **more: Any) -> MicrosoftCalendar:
        """Open the calendar."""
        return MicrosoftCalendar(
            token=Tokens(),
            source_id=SOURCE,
            zone=BERLIN,
            base_url=BASE,
            limits=LIMITS,
            transport=self,
            **more,
        )

    def free(self, **more: Any) -> Free:
        """Read it."""
        return asyncio.run(self.calendar(**more).free(WINDOW))

    def put(self) -> Sighting:
        """Write the event."""
        return asyncio.run(self.calendar().put(EVENT))

    def remove(self, ref: str | None = None) -> None:
        """Remove the event."""
        asyncio.run(self.calendar().remove(KEY, ref))

    def schedule(self, **more: Any) -> int:
        """Read the free/busy times."""
        opened = MicrosoftSchedule(
            token=Tokens(), address=ADDRESS, base_url=BASE, limits=LIMITS, transport=self, **more
        )
        return asyncio.run(opened.free(WINDOW)).bits

    @property
    def asked(self) -> list[str]:
        """The methods and paths of the requests."""
        return [f"{one.method} {one.url.path.removeprefix('/v1.0/')}" for one in self.requests]


def time(instant: datetime, zone: str = "UTC") -> dict[str, str]:
    """Write a time as Graph does."""
    return {"dateTime": f"{instant:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": zone}


def event(**more: object) -> dict[str, object]:
    """Make an event as Graph answers it: of an hour, unless `more` says otherwise."""
    return {
        "@odata.etag": 'W/"1"',
        "id": "AAMk=",
        "start": time(DAY),
        "end": time(DAY + HOUR),
        "isAllDay": False,
        "showAs": "busy",
        "isCancelled": False,
        "type": "singleInstance",
        "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
        **more,
    }


def ours(start: datetime = DAY, key: EventKey = KEY, **more: object) -> dict[str, object]:
    """Make an event that we wrote."""
    named = [{"id": PROPERTY_ID, "value": key_text(key)}]
    made: dict[str, object] = {"transactionId": event_id(key), "singleValueExtendedProperties": named}
    return event(**{"start": time(start), "end": time(start + HOUR)} | made | more)


def page(*events: object, **more: object) -> tuple[int, dict[str, object]]:
    """Make a page."""
    return 200, {"value": list(events), **more}


def refused(status: int, code: str) -> tuple[int, dict[str, object]]:
    """Make a refusal."""
    return status, {"error": {"code": code, "message": "x"}}
