"""Slots, local days and working hours as plain integers.

A slot is 15 minutes; its number is Unix time // 900, so it is aligned to :00 :15 :30 :45 UTC.
A row of n slots is one Python int, most significant bit first: slot i is bit n - 1 - i. The bits
then read from left to right in the order of time, and slot i + k lies k bits below slot i.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

type Intervals = Sequence[Sequence[str]]
type Hours = Mapping[str, Intervals]
type Overrides = Mapping[date, Intervals]

SLOT_SECONDS = 900
SLOT = timedelta(seconds=SLOT_SECONDS)
WALL_SLOTS = 96  # of a day on the clock face, whatever the zone does
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_MINUTES_A_DAY = 1440
_MINUTES_A_SLOT = 15
_NO_OVERRIDES: Overrides = MappingProxyType({})


def slot_of(instant: datetime) -> int:
    """Return the number of the slot that contains the instant (aware; TypeError when naive)."""
    return (instant - _EPOCH) // SLOT


def slot_from(instant: datetime) -> int:
    """Return the number of the first slot that begins at or after the instant."""
    return -((_EPOCH - instant) // SLOT)


def instant_of(slot: int) -> datetime:
    """Return the instant (UTC) at which the slot begins."""
    return _EPOCH + slot * SLOT


@lru_cache(maxsize=65_536)
def day_of(zone: ZoneInfo, day: date) -> tuple[int, int]:
    """Return (first slot, number of slots) of a local day.

    The days of a zone follow one another without a gap or an overlap. A day has 96 slots, 88 to
    104 where clocks change (Antarctica/Troll moves them by two hours), and none where a zone
    skipped the date (Pacific/Apia, 2011-12-30).
    """
    first = slot_from(_begin_of(zone, day))
    return first, slot_from(_begin_of(zone, day + _DAY)) - first


def date_of(zone: ZoneInfo, slot: int) -> date:
    """Return the local day that the slot belongs to, in the sense of day_of.

    It is the date on the local clock, except where a clock went back over midnight at an odd
    minute: a day is not left again once it has begun.
    """
    day = instant_of(slot).astimezone(zone).date()
    while slot < day_of(zone, day)[0]:
        day -= _DAY
    while slot >= sum(day_of(zone, day)):
        day += _DAY
    return day


def days_between(zone: ZoneInfo, first: int, end: int) -> list[date]:
    """Return, in order, the local days that have a slot in [first, end)."""
    if first >= end:
        return []
    start, last = date_of(zone, first), date_of(zone, end - 1)
    days = (start + n * _DAY for n in range((last - start).days + 1))
    return [day for day in days if day_of(zone, day)[1]]


@lru_cache(maxsize=1_000)
def days_text(zone: ZoneInfo, first: int, end: int) -> str:
    """Write the local days that have a slot in [first, end) as the database writes the stored ones.

    "first slot/number of slots/days since 1970,…", in order; "" for none.
    """
    days = ((day, *day_of(zone, day)) for day in days_between(zone, first, end))
    return ",".join(f"{begin}/{count}/{(day - _EPOCH.date()).days}" for day, begin, count in days)


def working_bits(hours: Hours, day: date, zone: ZoneInfo, overrides: Overrides = _NO_OVERRIDES) -> int:
    """Return the bits of a local day (as many as day_of says): 1 where the clock shows a working time.

    hours maps mon…sun to intervals ["HH:MM", "HH:MM"]; a weekday left out is free of work. An
    interval whose end is not after its start runs into the next day; "24:00" is a day's end. An
    override has the intervals that begin on its date, instead of its weekday's. A
    slot counts when the clock shows working time for the whole of it, so an hour that a zone
    repeats is worked twice and one that it skips not at all. ValueError when a time is malformed.
    """
    if _shows_every_quarter(zone, day):
        return _wall_bits(hours, day, overrides)
    first, count = day_of(zone, day)
    bits = 0
    for slot in range(first, first + count):
        bits = bits << 1 | _is_working(hours, slot, zone, overrides)
    return bits


def runs(bits: int, length: int) -> int:
    """Return the bits of the slots at which a run of `length` (at least 1) set slots starts."""
    have = 1
    while have < length:
        step = min(have, length - have)
        bits &= bits << step
        have += step
    return bits


def span(offset: int, length: int, width: int) -> int:
    """Return the bits of slots offset to offset + length - 1 of `width`; those outside are left out."""
    begin, end = max(offset, 0), min(offset + length, width)
    return ((1 << end - begin) - 1) << width - end if begin < end else 0


def slice_of(bits: int, width: int, offset: int, length: int) -> int:
    """Return `length` slots from slot `offset` of `width` slots; a slot outside them is 0."""
    shift = width - offset - length
    moved = bits >> shift if shift >= 0 else bits << -shift
    return moved & ((1 << length) - 1)


def positions(bits: int, width: int) -> Iterator[int]:
    """Yield the offsets of the set slots of `width`, earliest first."""
    while bits:
        top = bits.bit_length()
        yield width - top
        bits ^= 1 << top - 1


def hex_of(bits: int, width: int) -> str:
    """Return the row as hex of ceil(width / 8) bytes: slot 0 is the highest bit, the padding is 0."""
    size = -(-width // 8)
    return (bits << size * 8 - width).to_bytes(size).hex()


def bits_of_hex(text: str, width: int) -> int:
    """Return the row that hex_of wrote; ValueError when length or padding do not fit the width."""
    size = -(-width // 8)
    raw = bytes.fromhex(text)
    padding = size * 8 - width
    value = int.from_bytes(raw)
    if len(raw) != size or value & ((1 << padding) - 1):
        raise ValueError(f"not the hex of {width} slots")
    return value >> padding


def _begin_of(zone: ZoneInfo, day: date) -> datetime:
    """Return the first instant (UTC) at which the local date is `day`, or a later one if it was skipped."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)  # of two midnights, fold 0 is the first
    begin = midnight.astimezone(UTC)
    if begin.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return begin
    # Midnight is in a gap, so the day begins when the gap is jumped; the two offsets enclose that instant.
    before, after = midnight.replace(fold=1).astimezone(UTC), begin
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).date() < day:
            before = middle
        else:
            after = middle
    return after


@lru_cache(maxsize=65_536)
def _shows_every_quarter(zone: ZoneInfo, day: date) -> bool:
    """Tell whether the slots of a local day are the quarters of the clock face, each once and in order."""
    first, count = day_of(zone, day)
    offset = instant_of(first).astimezone(zone).utcoffset()
    last_offset = instant_of(first + count).astimezone(zone).utcoffset()
    return count == WALL_SLOTS and offset == last_offset and not (offset or timedelta()) % SLOT


def _wall_bits(hours: Hours, day: date, overrides: Overrides) -> int:
    """Return the 96 quarters of the clock face of a date: 1 where the whole quarter is working time."""
    bits = 0
    for start, end in _intervals(hours, day, overrides):
        bits |= _quarters(start, end if end > start else _MINUTES_A_DAY)
    for start, end in _intervals(hours, day - _DAY, overrides):
        if end <= start:
            bits |= _quarters(0, end)
    return bits


def _is_working(hours: Hours, slot: int, zone: ZoneInfo, overrides: Overrides) -> bool:
    """Tell whether the clock shows working time at both ends of a slot (offsets may be odd minutes)."""
    begin = instant_of(slot)
    for instant in (begin, begin + SLOT - _SECOND):
        local = instant.astimezone(zone)
        quarter = (local.hour * 60 + local.minute) // _MINUTES_A_SLOT
        if not _wall_bits(hours, local.date(), overrides) >> WALL_SLOTS - 1 - quarter & 1:
            return False
    return True


def _quarters(start: int, end: int) -> int:
    """Return the quarters of a clock face that lie wholly between two minutes of the day."""
    first = -(-start // _MINUTES_A_SLOT)
    return span(first, end // _MINUTES_A_SLOT - first, WALL_SLOTS)


def _intervals(hours: Hours, day: date, overrides: Overrides) -> Iterator[tuple[int, int]]:
    given = overrides.get(day)
    for start, end in hours.get(WEEKDAYS[day.weekday()], ()) if given is None else given:
        yield _minute(start), _minute(end)


@lru_cache(maxsize=2_000)
def _minute(text: str) -> int:
    """Return the minute of the day of "HH:MM", 00:00 to 24:00."""
    hour, colon, minute = text.partition(":")
    if not (colon and len(hour) == len(minute) == 2 and hour.isdecimal() and minute.isdecimal()):  # noqa: PLR2004
        raise ValueError(f"not a time of day: {text!r}")
    value = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or value > _MINUTES_A_DAY:  # noqa: PLR2004
        raise ValueError(f"not a time of day: {text!r}")
    return value


@dataclass(frozen=True, slots=True)
class Window:
    """A range of slots: `first_slot` and the `slot_count` - 1 after it."""

    first_slot: int
    slot_count: int

    @property
    def end_slot(self) -> int:
        """The slot after the last."""
        return self.first_slot + self.slot_count

    def bits(self, first: int, end: int) -> int:
        """Return the bits of the slots [first, end), as far as they are in the window."""
        return span(first - self.first_slot, end - first, self.slot_count)
