"""The series of a feed: events that belong together, in a form that the recurrence package reads exactly.

recurring-ical-events identifies an occurrence by its time in UTC or in its zone, so an exception at 09:00 in
New York would also remove the occurrence at 14:00, and a RANGE in such a series is lost. Therefore additional
dates become events of their own, and exceptions of a series that occurs several times a day replace nothing:
their time counts in addition.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from fairslot.calendars.feed_parts import UnreadableError, listed
from fairslot.calendars.feed_text import Part
from fairslot.calendars.feed_times import alike, instant, is_subdaily

FREE = {"TRANSPARENT", "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Entry:
    """An event and the part of the feed that it was read from."""

    event: Any
    part: Part


@dataclass(frozen=True, slots=True)
class Range:
    """A change of all occurrences of a series from one on: that one, and what it becomes (THISANDFUTURE)."""

    series: Any
    moved: date
    event: Any


@dataclass(slots=True)
class Series:
    """Events that are calculated together; `extra` has further times, from start to end."""

    entries: list[Entry]
    ranges: list[Range] = field(default_factory=list)
    extra: list[tuple[date, date]] = field(default_factory=list)


def takes_time(event: Any) -> bool:
    """Tell whether an event or occurrence takes time."""
    return not FREE & {event.get("TRANSP", "").upper(), event.get("STATUS", "").upper()}


def arrange(group: list[Entry], zone: ZoneInfo) -> Iterator[Series]:
    """Yield the series of one UID: the newest version with its exceptions, and the events that do not fit.

    A higher SEQUENCE is a newer version. Two equally new versions are two events: not every calendar makes
    its UIDs unique. Raises UnreadableError.
    """
    cores = _newest([one for one in group if "RECURRENCE-ID" not in one.event])
    exceptions: dict[datetime, list[Entry]] = {}
    for one in group:
        if "RECURRENCE-ID" in one.event:
            exceptions.setdefault(instant(one.event["RECURRENCE-ID"].dt, zone), []).append(one)
    newest = [_newest(same) for same in exceptions.values()]
    if not cores and any(_has_range(one) and takes_time(one.event) for same in newest for one in same):
        raise UnreadableError
    for other in (*cores[1:], *(one for same in newest for one in same[bool(cores) :])):
        yield _alone(other)
    for core in cores[:1]:
        yield from _with_exceptions(core, [same[0] for same in newest], zone)


def _has_range(entry: Entry) -> bool:
    return "RANGE" in entry.event["RECURRENCE-ID"].params


def _newest(versions: list[Entry]) -> list[Entry]:
    highest = max((one.event.get("SEQUENCE", -1) for one in versions), default=-1)
    return [one for one in versions if one.event.get("SEQUENCE", -1) == highest]


def _with_exceptions(core: Entry, exceptions: list[Entry], zone: ZoneInfo) -> Iterator[Series]:
    series, event = Series([core]), core.event
    excluded = _excluded(event, zone)
    is_plain = not is_subdaily(event)
    named = {}
    for one in exceptions:
        changed = one.event
        moved = changed["RECURRENCE-ID"].dt
        at = _named(event, moved, zone)
        named[instant(moved, zone)] = one
        fits = is_plain and at is not None and not {"RRULE", "RDATE"} & changed.keys()
        if _has_range(one) and not (fits and _same_zone(changed["DTSTART"].dt, event["DTSTART"].dt)):
            series.ranges.append(Range(event, moved, changed))
            fits = False
        if fits and at is not None:
            params = changed["RECURRENCE-ID"].params
            changed.pop("RECURRENCE-ID")
            changed.add("RECURRENCE-ID", at)
            changed["RECURRENCE-ID"].params = params
            series.entries.append(one)
        if not fits or at in excluded:
            yield _alone(one)
        changed.pop("EXDATE", None)
    _separate_dates(series, event, named, zone)
    _exclude(event, excluded if is_plain else [])
    yield series


def _alone(entry: Entry) -> Series:
    """Return the entry as an event of its own, which replaces no occurrence."""
    event = entry.event.copy()
    event.pop("RECURRENCE-ID", None)
    event["UID"] = str(uuid4())
    return Series([Entry(event, entry.part)])


def _named(event: Any, moment: date, zone: ZoneInfo) -> date | None:
    """Return the occurrence that a RECURRENCE-ID or EXDATE names, in the series' kind of time, or None."""
    start = event["DTSTART"].dt
    try:
        own = alike(moment, start, zone)
    except UnreadableError:
        return None
    return own if not isinstance(start, datetime) or _clock(own) == _clock(start) else None


def _clock(moment: date) -> object:
    return moment.time() if isinstance(moment, datetime) else None


def _same_zone(one: date, other: date) -> bool:
    kinds = [isinstance(moment, datetime) and (moment.tzinfo or "floating") for moment in (one, other)]
    return kinds[0] == kinds[1]


def _excluded(event: Any, zone: ZoneInfo) -> list[date]:
    """Return what EXDATE excludes: occurrences, and days of a series that occurs once a day."""
    found = []
    for moment in (one.dt for dates in listed(event, "EXDATE") for one in dates.dts):
        is_day = not isinstance(moment, datetime)
        own = moment if is_day else _named(event, moment, zone)
        if own is not None:
            found.append(own)
    return found


def _exclude(event: Any, excluded: list[date]) -> None:
    event.pop("EXDATE", None)
    for moment in excluded:
        event.add("EXDATE", [moment])


def _separate_dates(series: Series, event: Any, named: dict[datetime, Entry], zone: ZoneInfo) -> None:
    """Make additional dates (RDATE) times of their own, except those that an EXDATE or an exception names.

    One that comes after a RANGE takes both its own time and the time it is moved to.
    """
    start, end = event["DTSTART"].dt, event["DTEND"].dt
    kind = isinstance(start, datetime)
    out = [one.dt for dates in listed(event, "EXDATE") for one in dates.dts]
    gone = {
        instant(alike(one, start, zone), zone) for one in out if isinstance(one, datetime) == kind
    } | named.keys()
    found = [one.dt for dates in listed(event, "RDATE") for one in dates.dts]
    event.pop("RDATE", None)
    added = []
    for one in found:
        begins = alike(one[0] if isinstance(one, tuple) else one, start, zone)
        until = begins + (end - start)
        if isinstance(one, tuple):
            until = one[1] if isinstance(one[1], date) else begins + one[1]
        if instant(begins, zone) not in gone:
            added.append((begins, until))
    if takes_time(event):
        series.extra += added
    for entry in filter(_has_range, named.values()):
        moved = entry.event["RECURRENCE-ID"].dt
        if takes_time(entry.event):
            range_ = Range(event, moved, entry.event)
            for begins, _ in added:
                if is_after(range_, begins, zone):
                    series.extra += moved_by(range_, begins, zone)


def is_after(range_: Range, start: date, zone: ZoneInfo) -> bool:
    """Tell whether a range may move an occurrence."""
    return instant(start, zone) > instant(range_.moved, zone) - timedelta(days=1)


def moved_by(range_: Range, start: date, zone: ZoneInfo) -> Iterator[tuple[date, date]]:
    """Yield the times to which a range moves an occurrence, by the clocks of either zone.

    If the range moves days, a day is moved to a day; otherwise it counts from its midnight.
    """
    begins, ends = range_.event["DTSTART"].dt, range_.event["DTEND"].dt
    if not any(isinstance(one, datetime) for one in (begins, start, range_.moved)):
        yield start + (begins - range_.moved), start + (ends - range_.moved)
        return
    own = _zone_of(range_.series["DTSTART"].dt, zone)
    was, now = _wall_time(range_.moved, own, zone), _wall_time(start, own, zone)
    if not isinstance(range_.moved, datetime):
        was = datetime.combine(range_.moved, now.time())
    for clock in {own, _zone_of(begins, zone)}:
        moved = (_wall_time(begins, clock, zone) + (now - was)).replace(tzinfo=clock)
        yield moved, moved + (_wall_time(ends, clock, zone) - _wall_time(begins, clock, zone))


def _zone_of(moment: date, zone: ZoneInfo) -> tzinfo:
    return (isinstance(moment, datetime) and moment.tzinfo) or zone


def _wall_time(moment: date, clock: tzinfo, zone: ZoneInfo) -> datetime:
    """Return the wall time of a moment in a zone."""
    return instant(moment, zone).astimezone(clock).replace(tzinfo=None)
