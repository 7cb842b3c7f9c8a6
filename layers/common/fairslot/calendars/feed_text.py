"""A first scan of an iCalendar feed: whether it is complete, and which of its lines concern times.

Feeds hold years of meetings with descriptions, and a reading needs some weeks of times. Parsing is expensive
(0.3 ms an event), so this leaves out what cannot matter, by the text alone.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta

from fairslot.calendars.interface import CalendarError

MOST_COMPONENTS = 10_000
TIMES = {"UID", "SEQUENCE", "RECURRENCE-ID", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE"}
# What an event of ours says of itself where we write it: its key, and a digest of what we wrote.
OWN_KEY, OWN_TEXT = "X-FAIRSLOT-EVENT", "X-FAIRSLOT-WRITTEN"
KEPT = TIMES | {"TRANSP", "STATUS", "FREEBUSY", OWN_KEY, OWN_TEXT}
SERIES = {"RRULE", "RDATE", "RECURRENCE-ID"}
ZONE, EVENT, BUSY, HOURS = "VTIMEZONE", "VEVENT", "VFREEBUSY", "VAVAILABILITY"
ZONE_NAME = "X-WR-TIMEZONE"
_READ = ([EVENT], [BUSY], [HOURS])
# Offsets move a date by less than a day; the second day is a reserve.
MARGIN = timedelta(days=2)

_FOLD = re.compile(r"\r?\n[ \t]")
_NAME = re.compile(r"[^:;]*")
_PLAIN = re.compile(r"([0-9]{8})(T[0-9]{6}Z?)?")


@dataclass(frozen=True, slots=True)
class Part:
    """A component of a calendar: its name, and its unfolded lines that concern times."""

    name: str
    lines: list[str]

    def values(self, name: str) -> list[str]:
        """Return the values of a property, in upper case."""
        return [value(line) for line in self.lines if property_of(line) == name]


def only_times(body: bytes, first: date, last: date) -> list[list[Part]]:
    """Return, for each calendar of a feed, its zones and what may touch the days first to last.

    Raises CalendarError: `invalid_body` if it is not iCalendar or incomplete, `too_complex` if too many
    components remain.
    """
    lines = _FOLD.sub("", body.decode("utf-8-sig", "replace")).replace("\r\n", "\n").split("\n")
    scan = _Scan((first - MARGIN).strftime("%Y%m%d"), (last + MARGIN).strftime("%Y%m%d"))
    for line in lines:
        if line and not line.isspace():
            scan.take(line)
    return scan.result()


class _Scan:
    """Follows the components of a feed and keeps the lines that concern times."""

    def __init__(self, first: str, last: str) -> None:
        self._first, self._last = first, last
        self._open: list[str] = []
        self._kept: list[list[Part]] = []
        self._part: list[str] = []  # the lines of the component being read
        self._components = 0

    def take(self, line: str) -> None:
        """Read one unfolded line."""
        word = property_of(line)
        if word == "BEGIN":
            self._begin(value(line))
        elif not self._open:
            raise CalendarError("invalid_body")
        elif word == "END":
            self._end(value(line))
        elif word == ZONE_NAME and len(self._open) == 1:
            self._kept[-1].append(Part(ZONE_NAME, [line]))
        elif self._inside(ZONE) or (self._open[1:] in _READ and word in KEPT):
            self._part.append(line)

    def result(self) -> list[list[Part]]:
        """Return what was kept; every component must have ended."""
        if self._open or not self._kept:
            raise CalendarError("invalid_body")
        return self._kept

    def _begin(self, component: str) -> None:
        if not self._open:
            if component != "VCALENDAR":
                raise CalendarError("invalid_body")
            self._kept.append([])
        elif component == "VCALENDAR" or (component in {EVENT, BUSY} and len(self._open) > 1):
            raise CalendarError("invalid_body")  # not where RFC 5545 allows it
        elif len(self._open) == 1:
            self._part = [f"BEGIN:{component}"]
        elif self._inside(ZONE):
            self._part.append(f"BEGIN:{component}")
        self._open.append(component)

    def _end(self, component: str) -> None:
        if self._open.pop() != component:
            raise CalendarError("invalid_body")
        if self._open == ["VCALENDAR"]:
            self._close(Part(component, [*self._part, f"END:{component}"]))
        elif self._inside(ZONE):
            self._part.append(f"END:{component}")

    def _close(self, part: Part) -> None:
        if part.name in {ZONE, BUSY, HOURS} or (part.name == EVENT and self._may_matter(part)):
            self._components += 1
            if self._components > MOST_COMPONENTS:
                raise CalendarError("too_complex")
            self._kept[-1].append(part)

    def _inside(self, component: str) -> bool:
        return self._open[1:2] == [component]

    def _may_matter(self, part: Part) -> bool:
        """Tell whether an event may touch the days; a series may, and so may what a scan cannot tell."""
        names = [property_of(line) for line in part.lines]
        starts, ends = part.values("DTSTART"), part.values("DTEND")
        found = [_PLAIN.fullmatch(text) for text in starts + ends]
        if len(starts) != 1 or not all(found) or "DURATION" in names or SERIES & set(names):
            return True
        days = [match.group(1) for match in found if match]
        return max(days) >= self._first and min(days) <= self._last


def property_of(line: str) -> str:
    """Return the name of a line's property, in upper case."""
    name = _NAME.match(line)
    return name.group().strip().upper() if name else ""


def value(line: str) -> str:
    """Return what follows the last colon, in upper case: the value, unless it contains a colon."""
    return line.rpartition(":")[2].strip().upper()
