"""An iCalendar feed (RFC 5545), and what its events and busy periods leave free."""

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import recurring_ical_events
from icalendar import Calendar
from icalendar.error import GloballyUniqueTZIDGuessed

from fairslot.calendars.feed_parts import UnreadableError, closed, floats, is_whole, listed, read, read_zones
from fairslot.calendars.feed_parts import takes_time as may_take_time
from fairslot.calendars.feed_series import Entry, Range, Series, arrange, is_after, moved_by, takes_time
from fairslot.calendars.feed_text import EVENT, HOURS, ZONE, ZONE_NAME, Part, only_times
from fairslot.calendars.feed_times import instant, settle, touched
from fairslot.calendars.feed_zones import clear_zones
from fairslot.calendars.fetch import fetch
from fairslot.calendars.interface import CalendarError, Free
from fairslot.calendars.time_limit import TookTooLongError, within
from fairslot.domain.slots import Window, date_of, instant_of, slot_from, slot_of

READ_SECONDS = 3.0
_DAY = timedelta(days=1)

# One feed at a time: the icalendar package registers a feed's zones globally, and two calculations at once
# would only take turns. A thread of its own, as the event loop's default threads resolve names.
_alone = ThreadPoolExecutor(1, "feed")

type _Slots = Iterator[tuple[int, int]]
type _Readings = Iterator[tuple[ZoneInfo, Sequence[Part]]]


class IcalendarFeed:
    """One coach's calendar as a feed."""

    def __init__(self, *, url: str, zone: ZoneInfo, read: Callable[..., Awaitable[bytes]] = fetch) -> None:
        """Take the feed's address and the coach's time zone; `read` has the shape of `fetch`."""
        self._url = url
        self._zone = zone
        self._read = read

    async def free(self, window: Window) -> Free:
        """Return every slot that no event or busy period touches; working hours are applied elsewhere."""
        body = await self._read(self._url, accept="text/calendar, */*;q=0.1")
        return await apart(lambda: _free(body, window, self._zone))


def free_of(body: bytes, window: Window, zone: ZoneInfo, seconds: float = READ_SECONDS) -> Free:
    """Return the slots that a feed leaves free, to a coach in that zone. Raises CalendarError.

    All-day and floating times are in the coach's zone. Transparent, cancelled and empty events take no time;
    an unreadable one takes all the time that it may. Not thread-safe.
    """
    return _bounded(lambda: _free(body, window, zone), seconds)


async def apart[T](work: Callable[[], T], seconds: float = READ_SECONDS) -> T:
    """Return what a reading of untrusted text returns, made on the thread of readings. Raises CalendarError.

    It takes so many seconds at most, and must not wait for anything.
    """
    return await asyncio.get_running_loop().run_in_executor(_alone, _bounded, work, seconds)


def free_of_calendars(calendars: Iterable[Sequence[Part]], window: Window, zone: ZoneInfo) -> Free:
    """Return the slots that the parts of calendars leave free: each calendar has its own zones and UIDs."""
    busy = unreadable = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GloballyUniqueTZIDGuessed)
        for parts in calendars:
            unread: dict[int, Part] = {}
            for clock, some in _readings(parts, zone):
                reading = _Reading(window, clock)
                for start, end in reading.busy(some):
                    busy |= window.bits(start, end)
                unread |= reading.unreadable
            unreadable += len(unread)
    return Free(window.bits(window.first_slot, window.end_slot) & ~busy, unreadable)


def days_of(window: Window, zone: ZoneInfo) -> tuple[date, date]:
    """Return the first and the last local day of a window."""
    return date_of(zone, window.first_slot), date_of(zone, window.end_slot - 1)


def _bounded[T](work: Callable[[], T], seconds: float) -> T:
    try:
        return within(seconds, work)
    except TookTooLongError:
        raise CalendarError("too_complex") from None
    except CalendarError:
        raise
    except Exception:  # noqa: BLE001  # untrusted text can make a parser raise anything, and the error quotes it
        raise CalendarError("invalid_body") from None


def _free(body: bytes, window: Window, zone: ZoneInfo) -> Free:
    return free_of_calendars(only_times(body, *days_of(window, zone)), window, zone)


def _readings(parts: Sequence[Part], zone: ZoneInfo) -> _Readings:
    """Yield the zones that floating times may be in, each with the parts to read in it.

    RFC 5545 says the coach's; a calendar that names one (X-WR-TIMEZONE) may mean that: both count as busy.
    """
    known = [part for part in parts if part.name != ZONE_NAME]
    yield zone, known
    for name in {
        line.partition(":")[2].strip() for part in parts if part.name == ZONE_NAME for line in part.lines
    }:
        try:
            other = ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            continue
        if other != zone:
            yield other, [part for part in known if part.name == ZONE or floats(part)]


class _Reading:
    """Reads one calendar of a feed; `unreadable` has the parts that could not be read fully."""

    def __init__(self, window: Window, zone: ZoneInfo) -> None:
        self._window = window
        self._zone = zone
        self.unreadable: dict[int, Part] = {}

    def busy(self, parts: Sequence[Part]) -> _Slots:
        """Yield the slots [first, end) that events and busy periods touch."""
        clear_zones()
        read_zones(part for part in parts if part.name == ZONE)
        groups: dict[str, list[Entry]] = {}
        for part in parts:
            if part.name == EVENT:
                yield from self._or_closed([part], partial(self._group, part, groups))
            elif part.name != ZONE:
                yield from self._or_closed([part], partial(_periods, part, self._zone))
        series: list[Series] = []
        for group in groups.values():
            yield from self._or_closed([one.part for one in group], partial(self._arrange, group, series))
        try:
            # All at once is faster than one by one.
            yield from [*self._occurrences(series)]
        except Exception:  # noqa: BLE001  # as above; one by one, only the series at fault is unreadable
            for one in series:
                yield from self._or_closed(
                    [two.part for two in one.entries], partial(self._occurrences, [one])
                )

    def _or_closed(self, parts: Sequence[Part], work: Callable[[], Iterable[tuple[int, int]]]) -> _Slots:
        """Yield what `work` yields, or all the time that the parts may take if it fails."""
        try:
            yield from [*work()]
        except Exception:  # noqa: BLE001  # as above
            for part in filter(may_take_time, parts):
                self.unreadable[id(part)] = part
                yield closed(part, self._window, self._zone)

    def _group(self, part: Part, groups: dict[str, list[Entry]]) -> _Slots:
        """Read an event and add it to the group of its UID; without one it is its own group."""
        event = read(part)
        settle(event, self._zone)
        groups.setdefault(event.get("UID") or str(uuid4()), []).append(Entry(event, part))
        if not is_whole(part) and takes_time(event):
            self.unreadable[id(part)] = part
        yield from ()

    def _arrange(self, group: list[Entry], series: list[Series]) -> _Slots:
        series += [*arrange(group, self._zone)]
        yield from ()

    def _occurrences(self, series: Iterable[Series]) -> _Slots:
        calendar = Calendar()
        for one in series:
            for entry in one.entries:
                calendar.add_component(entry.event)
            for start, end in one.extra:
                yield touched(start, end, self._zone, recurs=True)
            for range_ in one.ranges:
                yield from self._moved(range_)
        for event in self._between(calendar, timedelta()):
            if takes_time(event):
                recurs = "RRULE" in event or "RANGE" in event["RECURRENCE-ID"].params
                yield touched(event["DTSTART"].dt, event["DTEND"].dt, self._zone, recurs=recurs)

    def _moved(self, range_: Range) -> _Slots:
        """Yield the times to which a range moves the occurrences after its own."""
        if not takes_time(range_.event):
            return
        calendar = Calendar()
        calendar.add_component(range_.series)
        begins, ends = (instant(range_.event[name].dt, self._zone) for name in ("DTSTART", "DTEND"))
        reach = abs(begins - instant(range_.moved, self._zone)) + abs(ends - begins) + _DAY
        for event in self._between(calendar, reach):
            if is_after(range_, event["DTSTART"].dt, self._zone):
                for start, end in moved_by(range_, event["DTSTART"].dt, self._zone):
                    yield touched(start, end, self._zone, recurs=True)

    def _between(self, calendar: Calendar, reach: timedelta) -> list[Any]:
        """Return the occurrences in the window and within `reach` around it."""
        # Floating times are compared in the zone of the bounds.
        start = instant_of(self._window.first_slot).astimezone(self._zone) - _DAY - reach
        end = instant_of(self._window.end_slot).astimezone(self._zone) + _DAY + reach
        query = recurring_ical_events.of(calendar, keep_recurrence_attributes=True)
        return [*query.between(start, end)]


def _periods(part: Part, zone: ZoneInfo) -> _Slots:
    """Yield the slots [first, end) that a VFREEBUSY calls busy. A VAVAILABILITY is not read."""
    if part.name == HOURS:
        raise UnreadableError
    for period in listed(read(part), "FREEBUSY"):
        if period.params.get("FBTYPE", "").upper() != "FREE":
            start, end = period.start, period.end
            if not isinstance(end, datetime):
                end += _DAY
            yield slot_of(instant(start, zone)), slot_from(instant(end, zone))
