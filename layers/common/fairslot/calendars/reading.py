"""Read one coach's external calendar, whatever its kind."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from fairslot.calendars.interface import CalendarError, Sighting
from fairslot.calendars.opening import open_calendar
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import LONGEST_TAG, MOST_OWN, FreeSlots, OwnEvent, Reading


async def read(request: FetchRequest, *, seconds: float) -> Reading:
    """Return the free slots of the requested window, or why the calendar could not be read in `seconds`.

    With it come the credentials to store, if the provider has renewed them.
    """
    reading = await _read(request, seconds)
    if not request.credentials:
        return reading
    from fairslot.calendars.renewed import renewed  # late: 10 ms of a cold start

    credentials = await renewed(request)
    return reading if credentials is None else replace(reading, credentials=credentials)


async def _read(request: FetchRequest, seconds: float) -> Reading:
    fetched_at = datetime.now(UTC)
    try:
        async with asyncio.timeout(seconds):
            calendar = await open_calendar(request)
            found = await calendar.free(request.window)
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
        own_is_whole=found.sees_own and len(own) == len(found.own) and not found.unreadable,
    )
    return Reading.of(request, fetched_at=fetched_at, free=free)


def _seen(one: Sighting) -> OwnEvent:
    return OwnEvent(
        appointment_id=one.key.appointment_id, generation=one.key.generation, start=one.start, end=one.end
    )
