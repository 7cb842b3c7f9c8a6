"""What a feed surely calls busy, read by hand: lines, zoneinfo and dateutil, and nothing of what is tested.

It names what every reading of RFC 5545 has in common. What it cannot read itself it counts.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from fairslot.domain import slots

DAY = timedelta(days=1)
MOST = 100
FREE = {"TRANSPARENT", "CANCELLED"}

type Stretch = tuple[datetime, datetime]
type Line = tuple[str, dict[str, str], str]


class UnclearError(Exception):
    """The oracle cannot tell."""


@dataclass
class Event:
    """An event's lines, and when it starts and ends by the clock of its zone; a day has none."""

    lines: list[Line]
    coach: ZoneInfo
    start: datetime = field(init=False)
    end: datetime = field(init=False)
    zone: tzinfo = field(init=False)
    is_day: bool = field(init=False)

    def __post_init__(self) -> None:
        """Read the times."""
        self.start, self.zone, self.is_day = self.moment("DTSTART")
        self.end = self.start + (DAY if self.is_day else timedelta())
        if self.all("DTEND"):
            end, zone, is_day = self.moment("DTEND")
            if is_day != self.is_day:
                raise UnclearError
            self.end = end if is_day else end.replace(tzinfo=zone).astimezone(self.zone).replace(tzinfo=None)
        elif self.all("DURATION"):
            self.end = self.start + length(self.all("DURATION")[0][1])

    def all(self, name: str) -> list[tuple[dict[str, str], str]]:
        """Return a property's parameters and values."""
        return [(params, value) for found, params, value in self.lines if found == name]

    def text(self, name: str) -> str:
        """Return a property's value."""
        found = self.all(name)
        return found[0][1] if found else ""

    @property
    def name(self) -> tuple[str, str]:
        """What several versions of one event have in common."""
        return self.text("UID"), self.text("RECURRENCE-ID")

    @property
    def sequence(self) -> int:
        """The number of the version."""
        return int(self.text("SEQUENCE") or -1)

    def moment(self, name: str) -> tuple[datetime, tzinfo, bool]:
        """Return the only time of a property."""
        if len(self.all(name)) != 1:
            raise UnclearError
        (one,) = self.moments(name)
        return one

    def moments(self, name: str) -> list[tuple[datetime, tzinfo, bool]]:
        """Return the times of a property: by the clock, the zone, and whether it is a day."""
        return [
            read_moment(text, params, self.coach)
            for params, value in self.all(name)
            for text in value.split(",")
            if text.strip()
        ]

    def stretch(self, start: datetime) -> Stretch:
        """Return the time that the occurrence takes which starts then, by any reading."""
        start, end = min(start, start + (self.end - self.start)), max(start, start + (self.end - self.start))
        if self.is_day:
            first, last = slots.day_of(self.coach, start.date())[0], slots.day_of(self.coach, end.date())[0]
            return slots.instant_of(first), slots.instant_of(last)
        begins = start.replace(tzinfo=self.zone).astimezone(UTC)
        return begins, min(end.replace(tzinfo=self.zone).astimezone(UTC), begins + (end - start))

    def occurrences(self) -> list[datetime]:
        """Return the first of its starts, by the clock."""
        found = [self.start]
        for _, rule in self.all("RRULE"):
            if rule.strip():
                found += self._by_rule(rule.strip().rstrip(";"))
        rdates = self.moments("RDATE")
        if any(is_day != self.is_day for _, _, is_day in rdates):
            raise UnclearError
        found += [self.own(moment, zone) for moment, zone, _ in rdates]
        out = self.moments("EXDATE")
        days = {(moment if is_day else self.own(moment, zone)).date() for moment, zone, is_day in out}
        return [one for one in found if one.date() not in days]

    def own(self, moment: datetime, zone: tzinfo) -> datetime:
        """Return a time by the clock of the event's zone."""
        if self.is_day:
            return moment
        return moment.replace(tzinfo=zone).astimezone(self.zone).replace(tzinfo=None)

    def _by_rule(self, rule: str) -> list[datetime]:
        parts = dict(part.split("=", 1) for part in rule.upper().split(";"))
        until = parts.pop("UNTIL", None)
        try:
            found = rrulestr(";".join(f"{name}={text}" for name, text in parts.items()), dtstart=self.start)
        except (ValueError, KeyError):
            raise UnclearError from None
        last = None
        if until:
            moment, zone, is_day = read_moment(until, {}, self.coach)
            last = self.own(moment, zone) if not is_day else moment
        starts: list[datetime] = []
        for one in found:
            if len(starts) == MOST or (last and one > last):
                break
            starts.append(one)
        return starts


def surely_busy(body: bytes, coach: ZoneInfo) -> tuple[list[Stretch], int]:
    """Return the stretches that a feed surely calls busy, and of how many opaque events it cannot tell."""
    events, unclear = [], 0
    for lines in read_events(body):
        is_free = bool(FREE & {value.upper() for name, _, value in lines if name in {"TRANSP", "STATUS"}})
        try:
            event = Event(lines, coach)
            event.occurrences()
            events.append((event, is_free))
        except (UnclearError, ValueError, OverflowError):
            unclear += not is_free
    newest: dict[tuple[str, str], int] = {}
    replaced: dict[str, list[Event]] = {}
    for event, _ in events:
        newest[event.name] = max(newest.get(event.name, -1), event.sequence)
        if event.all("RECURRENCE-ID"):
            replaced.setdefault(event.text("UID"), []).append(event)
    found = []
    for event, is_free in events:
        if not is_free and event.sequence == newest[event.name]:
            found += _stretches(event, replaced.get(event.text("UID"), []))
    return found, unclear


def _stretches(event: Event, replaced: list[Event]) -> list[Stretch]:
    if event.all("RECURRENCE-ID"):
        return [event.stretch(event.start)]
    found = []
    ranges = [one for one in replaced if "RANGE" in one.all("RECURRENCE-ID")[0][0]]
    gone = {event.own(*one.moment("RECURRENCE-ID")[:2]).date() for one in replaced}
    moved = sorted((event.own(*one.moment("RECURRENCE-ID")[:2]), id(one), one) for one in ranges)
    for start in event.occurrences():
        if start.date() in gone:
            continue
        last = [(at, one) for at, _, one in moved if at < start]
        if not last:
            found.append(event.stretch(start))
        elif not FREE & {last[-1][1].text("TRANSP"), last[-1][1].text("STATUS")}:
            at, one = last[-1]
            found.append(one.stretch(start + (one.start - at)))
    return found


def read_events(body: bytes) -> list[list[Line]]:
    """Return the lines of every event, by hand."""
    text = re.sub(r"\r?\n[ \t]", "", body.decode("utf-8-sig", "replace"))
    found: list[list[Line]] = []
    stack: list[str] = []
    for line in re.split(r"\r?\n", text):
        match = re.fullmatch(r'([\w-]+)((?:;[^=;:]+=(?:"[^"]*"|[^;:"]*))*):(.*)', line)
        if not match:
            continue
        name, params, value = match.group(1).upper(), match.group(2), match.group(3)
        if name == "BEGIN":
            stack.append(value.strip().upper())
            if stack[-1] == "VEVENT":
                found.append([])
        elif name == "END":
            stack.pop()
        elif stack and stack[-1] == "VEVENT":
            pairs = re.findall(r';([^=;:]+)=("[^"]*"|[^;:"]*)', params)
            found[-1].append((name, {key.upper(): text.strip('"') for key, text in pairs}, value))
    return found


def read_moment(text: str, params: dict[str, str], coach: ZoneInfo) -> tuple[datetime, tzinfo, bool]:
    """Read a date or a date-time."""
    match = re.fullmatch(r"(\d{8})(?:T(\d{6})(Z?))?", text.strip())
    if not match:
        raise UnclearError
    day = datetime.strptime(match.group(1), "%Y%m%d")  # noqa: DTZ007
    if match.group(2) is None:
        return day, coach, True
    clock = time.fromisoformat(match.group(2))
    if match.group(3):
        return datetime.combine(day, clock), UTC, False
    if "TZID" not in params:
        return datetime.combine(day, clock), coach, False
    try:
        return datetime.combine(day, clock), ZoneInfo(params["TZID"].lstrip("/")), False
    except (OSError, ValueError, KeyError):
        raise UnclearError from None


def length(text: str) -> timedelta:
    """Read a duration."""
    match = re.fullmatch(
        r"([+-]?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", text.strip()
    )
    if not match:
        raise UnclearError
    weeks, days, hours, minutes, seconds = (int(match.group(at) or 0) for at in range(2, 7))
    found = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -found if match.group(1) == "-" else found
