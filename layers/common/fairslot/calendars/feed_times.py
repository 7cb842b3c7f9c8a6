"""The times of a feed's events, in unambiguous forms.

An ambiguous event takes the time of both meanings: better busy than free by mistake.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from fairslot.calendars.feed_parts import UnreadableError, listed
from fairslot.domain.slots import day_of, slot_from, slot_of

SUBDAILY = {"HOURLY", "MINUTELY", "SECONDLY"}
DAYS_PARTS = ("BYHOUR", "BYMINUTE", "BYSECOND")
END_OF_DAY = time(23, 59, 59)
DAY = timedelta(days=1)


def settle(event: Any, zone: ZoneInfo) -> None:
    """Convert an event's end and rules to the kind of time of its start.

    All-day and floating times are the coach's. Raises UnreadableError.
    """
    start = event["DTSTART"].dt
    ends = [*_ends(event, start, zone)]
    if "DURATION" in event or event.get("DTEND") is None or ends != [event["DTEND"].dt]:
        event.pop("DTEND", None)
        event.pop("DURATION", None)
        event.add("DTEND", max(ends, key=lambda end: instant(end, zone)))
    for rule in listed(event, "RRULE"):
        if "UNTIL" in rule:
            rule["UNTIL"] = [_until(until, start, zone) for until in rule["UNTIL"]]
    # The first occurrence takes place whatever the rule says.
    if any(_is_over(rule, start, zone) for rule in listed(event, "RRULE")):
        event.pop("RRULE")


def _ends(event: Any, start: date, zone: ZoneInfo) -> Iterator[date]:
    """Yield when an event may end, in the kind of time of its start."""
    if "DTEND" in event:
        yield from _ends_at(event["DTEND"].dt, start, zone)
    if "DURATION" in event:
        yield from _ends_after(event["DURATION"].dt, start, zone)
    if "DTEND" not in event and "DURATION" not in event:
        yield start if isinstance(start, datetime) else start + DAY


def _ends_at(end: date, start: date, zone: ZoneInfo) -> Iterator[date]:
    if not isinstance(start, datetime):
        if isinstance(end, datetime):
            for moment in (end, end.astimezone(zone)) if end.tzinfo else (end,):
                yield moment.date() + (DAY if moment.time() != time() else timedelta())
        else:
            yield end
    elif not isinstance(end, datetime):
        midnight = datetime.combine(end, time())
        if midnight <= start.replace(tzinfo=None):
            midnight += DAY
        yield from _both(midnight, start.tzinfo, zone)
    elif end.tzinfo:
        yield end if start.tzinfo else end.astimezone(zone).replace(tzinfo=None)
    else:
        yield from _both(end, start.tzinfo, zone)


def _ends_after(length: timedelta, start: date, zone: ZoneInfo) -> Iterator[date]:
    """Yield both meanings: PT24H is 24 hours, P1D is the same time next day, and both parse alike."""
    if not isinstance(start, datetime):
        yield start - DAY * (-length // DAY)
        return
    own = start.tzinfo or zone
    later = (start.replace(tzinfo=own).astimezone(UTC) + length).astimezone(own)
    yield start + length
    yield later if start.tzinfo else later.replace(tzinfo=None)


def _both(moment: datetime, own: tzinfo | None, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield a floating time in the zone of its event and in the coach's."""
    if own is None:
        yield moment
    else:
        yield moment.replace(tzinfo=own)
        yield moment.replace(tzinfo=zone)


def is_subdaily(event: Any) -> bool:
    """Tell whether a series may occur several times a day."""
    return any(
        rule["FREQ"][0].upper() in SUBDAILY or any(len(rule.get(part, ())) > 1 for part in DAYS_PARTS)
        for rule in listed(event, "RRULE")
    )


def alike(moment: date, start: date, zone: ZoneInfo) -> date:
    """Convert a time to the kind of a series' start: in its zone, floating, or a day.

    Raises UnreadableError.
    """
    if not isinstance(start, datetime):
        if not isinstance(moment, datetime):
            return moment
        if moment.time() != time():
            raise UnreadableError
        return moment.date()
    if not isinstance(moment, datetime):
        raise UnreadableError
    if not moment.tzinfo:
        return moment.replace(tzinfo=start.tzinfo)
    return moment.astimezone(start.tzinfo) if start.tzinfo else moment.astimezone(zone).replace(tzinfo=None)


def instant(moment: date, zone: ZoneInfo) -> datetime:
    """Return a time's instant in UTC; a floating time is in the zone, a day is its start."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def touched(start: date, end: date, zone: ZoneInfo, *, recurs: bool) -> tuple[int, int]:
    """Return the slots [first, end) that an occurrence touches; none if it takes no time."""
    if not isinstance(start, datetime):
        return day_of(zone, start)[0], day_of(zone, max(end, start + DAY))[0]
    if not isinstance(end, datetime):
        raise UnreadableError
    begins, ends, length = instant(start, zone), instant(end, zone), end - start
    if not length:
        return 0, 0
    if recurs or ends <= begins:
        # Across a clock change RFC 5545 keeps the length, and most calendars keep the end time: the later end
        # covers both.
        ends = max(ends, begins + length)
    return slot_of(begins), slot_from(ends)


def _until(until: date, start: date, zone: ZoneInfo) -> date:
    """Return the last instant of a series in the kind of time of its start.

    RFC 5545 requires a date for all-day events and UTC for others; feeds do not always comply.
    """
    if not isinstance(start, datetime):
        if not isinstance(until, datetime):
            return until
        return max(until.date(), until.astimezone(zone).date() if until.tzinfo else until.date())
    own = start.tzinfo or zone
    if not isinstance(until, datetime):
        until = datetime.combine(until, END_OF_DAY)
    aware = until if until.tzinfo else until.replace(tzinfo=own)
    return aware.astimezone(UTC) if start.tzinfo else aware.astimezone(own).replace(tzinfo=None)


def _is_over(rule: Any, start: date, zone: ZoneInfo) -> bool:
    """Tell whether a series ends before it starts."""
    return any(instant(until, zone) < instant(start, zone) for until in rule.get("UNTIL", ()))
