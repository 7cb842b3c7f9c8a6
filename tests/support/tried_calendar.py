"""A calendar of any kind as the table of cases sees it: what the coach does there, and what is read."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Literal, Protocol
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx

from fairslot.calendars.interface import (
    Event,
    EventKey,
    ExternalCalendar,
    Free,
    WritableCalendar,
)
from fairslot.domain import slots
from fairslot.domain.slots import Window

# The coach's zone. Its clocks go forward on Sunday, the 14th of March 2027, at 02:00; Berlin's on the 28th.
ZONE = ZoneInfo("America/New_York")
FIRST, END = date(2027, 3, 8), date(2027, 3, 17)
SOURCE, OTHER_SOURCE = (UUID(f"00000000-0000-4000-8000-00000000000{number}") for number in (1, 2))
TITLE, MOVED_TITLE = "Booked: Intro", "Booked: Intro (moved)"

type Quality = Literal["tentative", "transparent", "cancelled", "declined"]


class AnyCalendar(ExternalCalendar, WritableCalendar, Protocol):
    """A calendar that is read and written."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A daily series: how often, which of its starts is left out, and which one is moved where."""

    count: int
    left_out: datetime | None = None
    moved: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """An event that the coach has; `all_day` from the date of its start to the one before its end's.

    `start` and `end` are in the zone in which the coach wrote it down.
    """

    start: datetime
    end: datetime
    all_day: bool = False
    quality: Quality | None = None
    series: Series | None = None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An event of ours as it stands at the provider, read without our reader."""

    key: EventKey
    title: str
    start: datetime
    end: datetime


class TriedCalendar(Protocol):
    """A calendar of some kind, empty from FIRST to END, and what the coach does in it.

    `recreates`: an event that the coach deleted is made again where the same generation is put again; else
    that is a `conflict`. `free_qualities` take no time there; `cannot_have` no coach can give an event.
    """

    name: str
    recreates: bool
    free_qualities: frozenset[Quality]
    cannot_have: frozenset[Quality]

    def calendar(self, *, source_id: UUID = SOURCE, lost: int = 0) -> AnyCalendar:
        """Return what the system uses, as a source; of so many writes the answer is lost, without a retry."""

    async def put_foreign(self, event: Foreign) -> None:
        """Put an event as the coach would."""

    async def mine(self) -> list[Standing]:
        """Return every event that has a key of ours, of any source."""

    async def delete_mine(self, key: EventKey) -> None:
        """Delete an event of ours as the coach would."""

    async def move_mine(self, key: EventKey, start: datetime, end: datetime) -> None:
        """Move an event of ours as the coach would."""

    async def clean(self) -> None:
        """Remove whatever was put since the last time."""


class LosesAnswers(httpx.AsyncBaseTransport):
    """Sends requests, and loses the answers of the first writes: they are done, and nobody is told."""

    def __init__(self, lost: int) -> None:
        self._left = lost

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request by a connection of its own."""
        async with httpx.AsyncHTTPTransport(trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            content = b"".join([piece async for piece in response.stream])  # type: ignore[union-attr]
        if request.method in {"PUT", "POST", "PATCH", "DELETE"} and self._left:
            self._left -= 1
            raise httpx.ReadError("lost")
        return httpx.Response(response.status_code, headers=response.headers, stream=_Whole(content))


class _Whole(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
        yield self._content


def at(day: int, hour: int, minute: int = 0, zone: ZoneInfo = ZONE) -> datetime:
    """Return a time of March 2027."""
    return datetime(2027, 3, day, hour, minute, tzinfo=zone)


def asked() -> Window:
    """Return the slots from FIRST to END."""
    first, end = (slots.day_of(ZONE, day)[0] for day in (FIRST, END))
    return Window(first, end - first)


def busy(free: Free) -> list[str]:
    """Return what is not free, on the coach's clock: "10 09:00-10:30", with the day that it ends on."""
    window = asked()
    taken = window.bits(window.first_slot, window.end_slot) & ~free.bits
    found = [*slots.positions(taken, window.slot_count)]
    starts = [one for one in found if one - 1 not in found]
    ends = [one + 1 for one in found if one + 1 not in found]
    return [f"{_clock(start)}-{_clock(end)}" for start, end in zip(starts, ends, strict=True)]


def _clock(offset: int) -> str:
    return f"{slots.instant_of(asked().first_slot + offset).astimezone(ZONE):%d %H:%M}"


def an_event(day: int = 10, hour: int = 9, *, source_id: UUID = SOURCE, title: str = TITLE) -> Event:
    """Return an event of an appointment of its own, of one hour."""
    key = EventKey(appointment_id=uuid4(), source_id=source_id)
    return Event(key=key, start=at(day, hour), end=at(day, hour + 1), title=title)


def moved(event: Event, day: int, hour: int) -> Event:
    """Return an event with another time and title."""
    return replace(event, start=at(day, hour), end=at(day, hour + 1), title=MOVED_TITLE)


async def free_of(tried: TriedCalendar) -> Free:
    """Read the window."""
    return await tried.calendar().free(asked())


async def stands(tried: TriedCalendar, *events: Event) -> None:
    """Check that these events of ours are there, each once, as they were put, and no other."""
    found = sorted((one.key.generation, one.title, _utc(one.start, one.end)) for one in await tried.mine())
    assert found == sorted((one.key.generation, one.title, _utc(one.start, one.end)) for one in events)
    assert {one.key for one in await tried.mine()} == {one.key for one in events}


def _utc(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    return start.astimezone(UTC), end.astimezone(UTC)
