"""Read one coach's external calendar, whatever its kind."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from fairslot.calendars.calendar_api import CalendarApi
from fairslot.calendars.interface import CalendarError, ExternalCalendar, Sighting, WritableCalendar
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import LONGEST_TAG, MOST_OWN, FreeSlots, OwnEvent, Reading
from fairslot.platform.settings import settings


async def read(request: FetchRequest, *, seconds: float) -> Reading:
    """Return the free slots of the requested window, or why the calendar could not be read in `seconds`."""
    fetched_at = datetime.now(UTC)
    try:
        async with asyncio.timeout(seconds):
            found = await open_calendar(request).free(request.window)
    except CalendarError as error:
        return Reading.of(
            request, fetched_at=fetched_at, error=error.reason, after=error.after, ended=error.ended
        )
    except TimeoutError:
        return Reading.of(request, fetched_at=fetched_at, error="timeout")
    own = tuple(_seen(one) for one in found.own[:MOST_OWN])
    tag = found.tag if found.tag is not None and len(found.tag) <= LONGEST_TAG else None
    free = FreeSlots(
        window=request.window,
        bits=found.bits,
        unreadable=found.unreadable,
        tag=tag,
        own=own,
        own_is_whole=len(own) == len(found.own) and not found.unreadable,
    )
    return Reading.of(request, fetched_at=fetched_at, free=free)


def open_calendar(request: FetchRequest) -> ExternalCalendar:
    """Return the calendar to read; CalendarError for an unknown kind."""
    if request.kind == "calendar_api":
        return CalendarApi(base_url=settings().calendar_api_url, coach_id=request.coach_id, zone=request.zone)
    if request.kind == "icalendar":
        # Imported late, and only for coaches who have one: 90 ms of a cold start.
        from fairslot.calendars.icalendar_feed import IcalendarFeed

        return IcalendarFeed(url=request.url or "", zone=request.zone)
    raise CalendarError("unknown_kind")


def open_writable(
    *,
    kind: str,
    url: str | None,
    calendar_ref: str | None,
    credentials: str | None,
    source_id: UUID,
    zone: ZoneInfo,
) -> WritableCalendar:
    """Return the calendar to write to; CalendarError for a kind that cannot be written."""
    raise CalendarError("unknown_kind")


def _seen(one: Sighting) -> OwnEvent:
    return OwnEvent(
        appointment_id=one.key.appointment_id, generation=one.key.generation, start=one.start, end=one.end
    )
