"""Reading one coach's external calendar, whatever its kind and however it goes."""

import asyncio
from datetime import UTC, datetime

from fairslot.calendars.calendar_api import CalendarApi
from fairslot.calendars.interface import CalendarError, ExternalCalendar
from fairslot.messages.calendars import Reading, Request
from fairslot.platform.settings import settings


async def read(request: Request, *, seconds: float) -> Reading:
    """Return the free slots that are asked for, or why the calendar could not be read within `seconds`."""
    fetched_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    try:
        async with asyncio.timeout(seconds):
            free = await open_calendar(request).free(request.window)
    except CalendarError as error:
        return Reading(request=request, fetched_at=fetched_at, error=error.reason)
    except TimeoutError:
        return Reading(request=request, fetched_at=fetched_at, error="timeout")
    return Reading(request=request, fetched_at=fetched_at, free=free.bits, unreadable=free.unreadable)


def open_calendar(request: Request) -> ExternalCalendar:
    """Return the calendar that is asked for; CalendarError when there is no such kind."""
    if request.kind == "calendar_api":
        return CalendarApi(base_url=settings().calendar_api_url, coach_id=request.coach_id, zone=request.zone)
    if request.kind == "icalendar":
        # Late, and only for coaches who have one: 90 ms of a cold start.
        from fairslot.calendars.icalendar_feed import IcalendarFeed

        return IcalendarFeed(url=request.url or "", zone=request.zone)
    raise CalendarError("unknown_kind")
