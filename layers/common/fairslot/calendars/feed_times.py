"""The times of a feed's events, brought into the form in which recurrences are calculated."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from fairslot.calendars.interface import CalendarError

ZONED = ("DTSTART", "DTEND", "RECURRENCE-ID", "RDATE")
SUBDAILY = {"HOURLY", "MINUTELY", "SECONDLY"}
DAYS_PARTS = ("BYHOUR", "BYMINUTE", "BYSECOND")
END_OF_DAY = time(23, 59, 59)


def check(component: Any) -> None:
    """Raise CalendarError where the parser left out what it could not read or does not know.

    Without it an unreadable rule would be an event that does not recur, and a time in an unknown zone one
    in the coach's.
    """
    if component.errors:
        raise CalendarError("invalid_body")
    for name in ZONED:
        found = component.get(name, [])
        for value in found if isinstance(found, list) else [found]:
            if "TZID" in value.params and any(
                _is_floating(part.dt) for part in getattr(value, "dts", [value])
            ):
                raise CalendarError("unknown_time_zone")


def settle(events: Sequence[Any], zone: ZoneInfo) -> None:
    """Check the events, and bring their times into forms that leave no two readings. Raises CalendarError."""
    for event in events:
        check(event)
        _end(event)
        for rule in _rules(event):
            if "UNTIL" in rule:
                rule["UNTIL"] = [_until(until, event["DTSTART"].dt, zone) for until in rule["UNTIL"]]
    _keep_twins_apart(events)
    _keep_exceptions_apart(events)


def _end(event: Any) -> None:
    """Give an event an end in place of a duration."""
    start = event["DTSTART"].dt
    if "DURATION" in event and "DTEND" not in event and isinstance(start, datetime) and start.tzinfo:
        length = event.pop("DURATION").dt
        # PT24H is 24 hours, P1D goes to the same time, and both read alike: the later is busy for either.
        ends = (start + length, (start.astimezone(UTC) + length).astimezone(start.tzinfo))
        event.add("DTEND", max(ends, key=lambda end: end.astimezone(UTC)))


def _keep_twins_apart(events: Sequence[Any]) -> None:
    """Let two events be two, though they carry one UID: not every calendar makes them as it should.

    Of two with another SEQUENCE the higher is the newer version, and the package takes that one.
    """
    seen = set()
    for event in events:
        identity = (event.get("UID"), event.get("SEQUENCE"))
        if identity in seen and "RECURRENCE-ID" not in event:
            event["UID"] = str(uuid4())
        elif "RECURRENCE-ID" not in event:
            seen.add(identity)


def _keep_exceptions_apart(events: Sequence[Any]) -> None:
    """Let a series that occurs several times a day have no exceptions, and what replaces one come on top.

    recurring-ical-events finds an exception by its time in UTC or in its zone, so one at 09:00 in New York
    would also take away the occurrence at 14:00. Better busy for nothing than free by mistake.
    """
    several = {
        event.get("UID") for event in events if "RDATE" in event or any(map(_is_subdaily, _rules(event)))
    }
    for event in events:
        if event.get("UID") in several:
            event.pop("EXDATE", None)
            if event.pop("RECURRENCE-ID", None):
                event["UID"] = str(uuid4())


def _is_subdaily(rule: Any) -> bool:
    return rule["FREQ"][0].upper() in SUBDAILY or any(len(rule.get(part, ())) > 1 for part in DAYS_PARTS)


def _rules(event: Any) -> list[Any]:
    rules = event.get("RRULE", [])
    return rules if isinstance(rules, list) else [rules]


def instant(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant in UTC of a time, which is in the zone when it is floating."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _until(until: date, start: date, zone: ZoneInfo) -> date:
    """Return the last instant of a series in the kind of time in which it starts.

    RFC 5545 wants a date for all-day events and UTC for the others; feeds give what they like.
    """
    if not isinstance(start, datetime):
        return until
    own = start.tzinfo or zone
    if not isinstance(until, datetime):
        until = datetime.combine(until, END_OF_DAY)
    aware = until if until.tzinfo else until.replace(tzinfo=own)
    return aware.astimezone(UTC) if start.tzinfo else aware.astimezone(own).replace(tzinfo=None)


def _is_floating(moment: object) -> bool:
    begin = moment[0] if isinstance(moment, tuple) else moment
    return isinstance(begin, datetime) and begin.tzinfo is None
