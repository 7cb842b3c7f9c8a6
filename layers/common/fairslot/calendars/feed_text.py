"""The first look at an iCalendar feed: whether it is whole, and which lines of it tell time.

Feeds hold years of meetings with their descriptions, while a reading wants some weeks of times. Parsing
is what costs (0.3 ms an event), so what cannot matter is left out before it, by the text alone.
"""

import re
from datetime import date, timedelta

from fairslot.calendars.interface import CalendarError

MOST_COMPONENTS = 10_000
TIMES = {"UID", "SEQUENCE", "RECURRENCE-ID", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE"}
KEPT = TIMES | {"TRANSP", "STATUS", "FREEBUSY"}
SERIES = {"RRULE", "RDATE", "RECURRENCE-ID"}
ZONE, EVENT, BUSY = "VTIMEZONE", "VEVENT", "VFREEBUSY"
# Offsets move a date by less than a day, and a second day is for what nobody thought of.
MARGIN = timedelta(days=2)

_FOLD = re.compile(r"\r?\n[ \t]")
_NAME = re.compile(r"[^:;]*")


def only_times(body: bytes, first: date, last: date) -> str:
    """Return the feed with nothing but its zones and the times of what may touch the days first to last.

    Raises CalendarError: `invalid_body` when it is no iCalendar or not whole, `too_complex` when too
    many components are left.
    """
    lines = _FOLD.sub("", body.decode("utf-8-sig", "replace")).replace("\r\n", "\n").split("\n")
    scan = _Scan((first - MARGIN).strftime("%Y%m%d"), (last + MARGIN).strftime("%Y%m%d"))
    for line in lines:
        if line and not line.isspace():
            scan.take(line)
    return scan.result()


class _Scan:
    """Follows the components of a feed and keeps the lines that tell time."""

    def __init__(self, first: str, last: str) -> None:
        self._first, self._last = first, last
        self._open: list[str] = []
        self._kept: list[str] = []
        self._part: list[str] = []  # the component that is being read
        self._components = 0

    def take(self, line: str) -> None:
        """Read one unfolded line."""
        name = _NAME.match(line)
        word = name.group().strip().upper() if name else ""
        if word == "BEGIN":
            self._begin(_value(line))
        elif not self._open:
            raise CalendarError("invalid_body")
        elif word == "END":
            self._end(_value(line))
        elif self._inside(ZONE) or (self._open[1:] in ([EVENT], [BUSY]) and word in KEPT):
            self._part.append(line)

    def result(self) -> str:
        """Return what was kept, once every component has ended."""
        if self._open or not self._kept:
            raise CalendarError("invalid_body")
        return "\r\n".join([*self._kept, ""])

    def _begin(self, component: str) -> None:
        if not self._open:
            if component != "VCALENDAR":
                raise CalendarError("invalid_body")
            self._kept.append("BEGIN:VCALENDAR")
        elif component == "VCALENDAR" or (component in {EVENT, BUSY} and len(self._open) > 1):
            raise CalendarError("invalid_body")  # where nobody would look for it
        elif len(self._open) == 1:
            self._part = [f"BEGIN:{component}"]
        elif self._inside(ZONE):
            self._part.append(f"BEGIN:{component}")
        self._open.append(component)

    def _end(self, component: str) -> None:
        if self._open.pop() != component:
            raise CalendarError("invalid_body")
        if not self._open:
            self._kept.append("END:VCALENDAR")
        elif self._open == ["VCALENDAR"]:
            self._close([*self._part, f"END:{component}"], component)
        elif self._inside(ZONE):
            self._part.append(f"END:{component}")

    def _close(self, part: list[str], component: str) -> None:
        if component in {ZONE, BUSY} or (component == EVENT and self._may_matter(part)):
            self._components += 1
            if self._components > MOST_COMPONENTS:
                raise CalendarError("too_complex")
            self._kept += part

    def _inside(self, component: str) -> bool:
        return self._open[1:2] == [component]

    def _may_matter(self, part: list[str]) -> bool:
        """Tell whether an event may touch the days: a series may, and so may what is hard to tell."""
        found = {match.group().upper(): _value(line)[:8] for line in part if (match := _NAME.match(line))}
        start, end = found.get("DTSTART", ""), found.get("DTEND", "")
        is_plain = start.isdecimal() and (end.isdecimal() or not end)
        if not is_plain or "DURATION" in found or SERIES & found.keys():
            return True
        return max(start, end) >= self._first and min(start, end or start) <= self._last


def _value(line: str) -> str:
    """Return what follows the last colon, which is the value where values hold no colon, in upper case."""
    return line.rpartition(":")[2].strip().upper()
