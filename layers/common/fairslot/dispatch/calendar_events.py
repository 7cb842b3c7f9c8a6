"""One attempt at writing an appointment's event to its coach's calendar, or at removing it."""

import asyncio
from collections.abc import Mapping
from time import perf_counter

from fairslot.calendars import opening
from fairslot.calendars.interface import CalendarError, Event, EventKey, Sighting, WritableCalendar
from fairslot.dispatch.permits import permitted_until
from fairslot.dispatch.subscribers import Result
from fairslot.messages.contract import MessageError
from fairslot.messages.deliveries import CalendarEventData, Delivery
from fairslot.platform.http_client import RequestFailedError

# What a provider says that another attempt would not change.
FINAL = frozenset({"conflict", "unknown_kind"})
LONGEST_NAME = 2_000


async def write(delivery: Delivery, *, seconds: float) -> Result:
    """Put or remove an event within `seconds`. Raises MessageError for data that cannot be used.

    Whether it is still wanted is asked for inside right before: a message may have been kept back for long,
    and something else been written since. A repetition of what is wanted does no harm.
    """
    wanted = delivery.calendar_event()
    if wanted.write == "none":
        return Result()
    begun = perf_counter()
    marks = {"source_generation": str(wanted.source_generation)}
    try:
        async with asyncio.timeout(seconds):
            calendar = await _opened(wanted)
            await permitted_until(delivery.delivery_id, seconds=seconds, what="calendar_event")
            answer = await _done(calendar, wanted)
    except CalendarError as error:
        ended = {"ended": error.ended, "source_id": str(wanted.source_id)} if error.ended else {}
        return Result(
            error=error.reason,
            final=error.ended is not None or error.reason in FINAL,
            status_code=_status(error.reason),
            retry_after=error.after,
            answer={**marks, **ended},
            seconds=perf_counter() - begun,
        )
    except RequestFailedError as error:
        return Result(error=error.reason, final=error.final)
    except TimeoutError:
        return Result(error="timeout", answer=marks, seconds=perf_counter() - begun)
    return Result(answer={**marks, **answer}, seconds=perf_counter() - begun)


async def _opened(wanted: CalendarEventData) -> WritableCalendar:
    return await opening.open_writable(
        kind=wanted.kind,
        url=wanted.url,
        calendar_ref=wanted.calendar_ref,
        credentials=wanted.credentials,
        source_id=wanted.source_id,
        zone=wanted.zone,
    )


async def _done(calendar: WritableCalendar, wanted: CalendarEventData) -> Mapping[str, str]:
    """Write, and return what the database keeps of the answer."""
    key = EventKey(
        appointment_id=wanted.appointment_id, source_id=wanted.source_id, generation=wanted.generation
    )
    done = {"done": wanted.write, "generation": str(wanted.generation)}
    if wanted.write == "remove":
        await calendar.remove(key, wanted.ref)
        return done
    if wanted.start_time is None or wanted.end_time is None:
        raise MessageError
    event = Event(key=key, start=wanted.start_time, end=wanted.end_time, title=wanted.title)
    return {**done, **_kept(await calendar.put(event), event)}


def _kept(seen: Sighting, event: Event) -> Mapping[str, str]:
    kept = {"start": event.start.isoformat(), "end": event.end.isoformat()}
    names = {"ref": seen.ref, "version": seen.version}
    return kept | {name: value for name, value in names.items() if value and len(value) <= LONGEST_NAME}


def _status(reason: str) -> int | None:
    """Return the status code that a reason such as http_503 tells of."""
    head, _, digits = reason.partition("http_")
    return int(digits) if not head and digits.isdigit() else None
