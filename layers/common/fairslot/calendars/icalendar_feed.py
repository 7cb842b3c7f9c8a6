"""An iCalendar feed (RFC 5545): what its events and busy periods leave free."""

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import recurring_ical_events
from icalendar import Calendar
from icalendar.error import GloballyUniqueTZIDGuessed

from fairslot.calendars.deadline import TookTooLongError, within
from fairslot.calendars.feed_text import only_times
from fairslot.calendars.feed_times import check, instant, settle
from fairslot.calendars.feed_zones import forget_zones
from fairslot.calendars.fetch import fetch
from fairslot.calendars.interface import CalendarError, Window
from fairslot.slots import date_of, day_of, instant_of, slot_from, slot_of

READ_SECONDS = 3.0
_DAY = timedelta(days=1)

# One feed at a time: the zones that a feed defines are known to the whole of the icalendar package, and two
# calculations at once would only take turns. Its own thread, as the loop's shared ones look up names.
_alone = ThreadPoolExecutor(1, "feed")


class IcalendarFeed:
    """One coach's calendar as a feed."""

    def __init__(self, *, url: str, zone: ZoneInfo, read: Callable[..., Awaitable[bytes]] = fetch) -> None:
        """Take the feed's address and the coach's time zone; `read` has the shape of `fetch`."""
        self._url = url
        self._zone = zone
        self._read = read

    async def free_bits(self, window: Window) -> int:
        """Return every slot that no event or busy period touches: working hours are applied elsewhere."""
        body = await self._read(self._url, accept="text/calendar, */*;q=0.1")
        return await asyncio.get_running_loop().run_in_executor(_alone, free_bits, body, window, self._zone)


def free_bits(body: bytes, window: Window, zone: ZoneInfo, seconds: float = READ_SECONDS) -> int:
    """Return the slots that a feed leaves free, to a coach in that zone. Raises CalendarError.

    All-day and floating times are the coach's. Transparent, cancelled and empty events take no time.
    To be called by one thread at a time.
    """
    try:
        return within(seconds, lambda: _free(body, window, zone))
    except TookTooLongError:
        raise CalendarError("too_complex") from None
    except CalendarError:
        raise
    except Exception:  # noqa: BLE001  # a stranger's text can make a parser raise anything, and quotes it
        raise CalendarError("invalid_body") from None


def _free(body: bytes, window: Window, zone: ZoneInfo) -> int:
    first = date_of(zone, window.first_slot)
    last = date_of(zone, window.end_slot - 1)
    text = only_times(body, first, last)
    forget_zones()
    busy = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GloballyUniqueTZIDGuessed)
        for calendar in Calendar.from_ical(text, multiple=True):
            for start, end in _busy(calendar, window, zone):
                busy |= window.bits(start, end)
    return window.bits(window.first_slot, window.end_slot) & ~busy


def _busy(calendar: Any, window: Window, zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """Yield the slots [first, end) that are touched by what takes time."""
    for component in calendar.walk("VFREEBUSY"):
        yield from _periods(component, zone)
    settle(calendar.walk("VEVENT"), zone)
    # Floating times are compared in the zone of the bounds.
    start = instant_of(window.first_slot).astimezone(zone) - _DAY
    end = instant_of(window.end_slot).astimezone(zone) + _DAY
    query = recurring_ical_events.of(calendar, keep_recurrence_attributes=True)
    for event in query.between(start, end):
        if (
            event.get("TRANSP", "").upper() != "TRANSPARENT"
            and event.get("STATUS", "").upper() != "CANCELLED"
        ):
            yield _touched(event, zone)


def _touched(event: Any, zone: ZoneInfo) -> tuple[int, int]:
    """Return the slots [first, end) that an occurrence touches, none when it takes no time."""
    start, end = event["DTSTART"].dt, event["DTEND"].dt
    if not isinstance(start, datetime):
        return day_of(zone, start)[0], day_of(zone, max(end, start + _DAY))[0]
    begins, ends, length = instant(start, zone), instant(end, zone), end - start
    if not length:
        return 0, 0
    if "RRULE" in event or "RDATE" in event or ends <= begins:
        # Where clocks change meanwhile, RFC 5545 keeps the length and most calendars the time at which
        # it ends: the later one is busy for either.
        ends = max(ends, begins + length)
    return slot_of(begins), slot_from(ends)


def _periods(component: Any, zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """Yield the slots [first, end) that a VFREEBUSY calls busy, of whatever kind."""
    check(component)
    found = component.get("FREEBUSY", [])
    for period in found if isinstance(found, list) else [found]:
        if period.params.get("FBTYPE", "").upper() != "FREE":
            yield slot_of(instant(period.start, zone)), slot_from(instant(period.end, zone))
