"""The parts of a feed, each read on its own: one that cannot be read does not affect the others.

Unreadable parts fail closed. Such an event takes all the time that it may take: from the day before it starts
to the day after it ends, or to the end of the window if it recurs or its end cannot be read.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Component, Event
from icalendar.prop import vDuration

from fairslot.calendars.feed_text import EVENT, Part, property_of, value
from fairslot.domain.slots import Window, day_of

SERIES = ("RRULE", "RDATE")
ZONED = ("DTSTART", "DTEND", "RECURRENCE-ID", "RDATE")
# Without these an event takes the same time or more.
SPARED = {"TRANSP", "STATUS", "EXDATE"}
MARGIN = timedelta(days=1)

_DATE = re.compile(r"([0-9]{8})(T[0-9]{6}Z?)?")


class UnreadableError(Exception):
    """It cannot be told when a part takes time."""


def read_zones(parts: Iterable[Part]) -> None:
    """Register the zones that a calendar defines; a zone that cannot be read stays unknown."""
    for part in parts:
        try:
            Component.from_ical("\r\n".join(part.lines))
        except Exception:  # noqa: BLE001, S112  # untrusted text can make a parser raise anything
            continue


def read(part: Part) -> Any:
    """Parse a part into its component. Raises UnreadableError, or what the parser raises."""
    component = Component.from_ical("\r\n".join(_with_values(part.lines)))
    wrong = {name for name, _ in component.errors}
    if not wrong <= SPARED:
        raise UnreadableError
    for name in wrong:
        component.pop(name)
    for name in ZONED:
        if any(_has_unknown_zone(one) for one in listed(component, name)):
            raise UnreadableError
    if any(_has_unknown_zone(one) for one in listed(component, "EXDATE")):
        component.pop("EXDATE")
    for name in ("DTSTART", "DTEND", "DURATION", "RECURRENCE-ID", "UID", "SEQUENCE", "TRANSP", "STATUS"):
        if len(listed(component, name)) > 1:
            raise UnreadableError
    if isinstance(component, Event):
        _check_event(component)
    return component


def is_whole(part: Part) -> bool:
    """Tell whether reading a part leaves nothing out."""
    return len(_with_values(part.lines)) == len(part.lines)


def floats(part: Part) -> bool:
    """Tell whether an event starts at a floating time."""
    starts = [line.upper() for line in part.lines if property_of(line) == "DTSTART"]
    return any("TZID" not in line and "T" in value(line) and not value(line).endswith("Z") for line in starts)


def takes_time(part: Part) -> bool:
    """Tell whether a part may take time, by its text alone."""
    return part.values("TRANSP") != ["TRANSPARENT"] and part.values("STATUS") != ["CANCELLED"]


def closed(part: Part, window: Window, zone: ZoneInfo) -> tuple[int, int]:
    """Return the slots [first, end) that an unreadable part may take: whole days of the coach."""
    starts, ends = _days(part, "DTSTART"), _days(part, "DTEND")
    range_ = "".join(line.upper() for line in part.lines if property_of(line) == "RECURRENCE-ID")
    first, end = window.first_slot, window.end_slot
    if starts and "RANGE=THISANDPRIOR" not in range_:
        first = day_of(zone, min(starts) - MARGIN)[0]
    recurs = "RANGE" in range_ or any(part.values(name) != [""] * len(part.values(name)) for name in SERIES)
    lasts = ends + _lengths(part, starts) or ([*starts] if part.name == EVENT and not _has_end(part) else [])
    if starts and lasts and not recurs and len(ends) == len(part.values("DTEND")):
        end = sum(day_of(zone, max(*lasts, *starts) + MARGIN))
    return first, end


def listed(component: Any, name: str) -> list[Any]:
    """Return the values of a property, which may occur once, several times or not at all."""
    found = component.get(name, [])
    return found if isinstance(found, list) else [found]


def _check_event(event: Any) -> None:
    if "DTSTART" not in event:
        raise UnreadableError
    for rule in listed(event, "RRULE"):
        if (
            len(rule.get("FREQ", ())) != 1
            or rule.get("COUNT", [1]) == [0]
            or rule.get("INTERVAL", [1]) == [0]
        ):
            raise UnreadableError
    if "RECURRENCE-ID" in event:
        params = event["RECURRENCE-ID"].params
        if "RANGE" in params:
            params["RANGE"] = params["RANGE"].upper()
            if params["RANGE"] != "THISANDFUTURE":
                raise UnreadableError


def _with_values(lines: list[str]) -> list[str]:
    """Leave out rules and dates without a value: they mean that there is none."""
    return [line for line in lines if property_of(line) not in {*SERIES, "EXDATE"} or value(line)]


def _days(part: Part, name: str) -> list[date]:
    """Return the days of a property, none at all if one of them cannot be read."""
    found = [_DATE.fullmatch(text) for text in part.values(name)]
    try:
        return [date.fromisoformat(match.group(1)) for match in found if match] if all(found) else []
    except ValueError:
        return []


def _lengths(part: Part, starts: list[date]) -> list[date]:
    """Return the days on which a part ends by its durations."""
    try:
        lengths = [vDuration.from_ical(text) for text in part.values("DURATION")]  # type: ignore[no-untyped-call]
        return [max(starts) + length + MARGIN for length in lengths] if starts else []
    except (ValueError, OverflowError):
        return []


def _has_end(part: Part) -> bool:
    return any(property_of(line) in {"DTEND", "DURATION"} for line in part.lines)


def _has_unknown_zone(found: Any) -> bool:
    """Tell whether a value has times in an unknown zone: the parser takes them for floating."""
    return "TZID" in found.params and any(_is_floating(part.dt) for part in getattr(found, "dts", [found]))


def _is_floating(moment: object) -> bool:
    begin = moment[0] if isinstance(moment, tuple) else moment
    return isinstance(begin, datetime) and begin.tzinfo is None
