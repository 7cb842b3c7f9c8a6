"""What the tests of feeds share: a window's busy time, written for people."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from fairslot.calendars.icalendar_feed import free_of
from fairslot.domain import slots
from fairslot.domain.slots import Window

NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")
FIXTURES = Path(__file__).parent / "fixtures"


def window(first: str, end: str, zone: ZoneInfo) -> Window:
    """Return the slots of the local days from one date to the one before another."""
    begin, stop = (slots.day_of(zone, date.fromisoformat(day))[0] for day in (first, end))
    return Window(begin, stop - begin)


def busy(body: bytes, asked: Window, zone: ZoneInfo) -> list[str]:
    """Return the stretches that are not free, in UTC: "2026-03-02 14:00-15:00"."""
    free = free_of(body, asked, zone).bits
    taken = asked.bits(asked.first_slot, asked.end_slot) & ~free
    at = list(slots.positions(taken, asked.slot_count))
    found = set(at)
    starts = [_utc(asked, offset) for offset in at if offset - 1 not in found]
    ends = [_utc(asked, offset + 1) for offset in at if offset + 1 not in found]
    return [_stretch(start, end) for start, end in zip(starts, ends, strict=True)]


def feed(*events: str, zones: str = "") -> bytes:
    """Return a calendar of events, each given as its lines."""
    parts = [f"BEGIN:VEVENT\nUID:{number}\n{lines}\nEND:VEVENT\n" for number, lines in enumerate(events)]
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{zones}{''.join(parts)}END:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def _utc(asked: Window, offset: int) -> datetime:
    return slots.instant_of(asked.first_slot + offset).astimezone(UTC)


def _stretch(start: datetime, end: datetime) -> str:
    if start.date() == end.date():
        return f"{start:%Y-%m-%d %H:%M}-{end:%H:%M}"
    return f"{start:%Y-%m-%d %H:%M}-{end:%m-%d %H:%M}"
