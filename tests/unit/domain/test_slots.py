"""Slots, local days and working hours, over every zone and every kind of clock change."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.domain import slots

NEW_YORK = ZoneInfo("America/New_York")
ZONES = sorted(available_timezones() - {"localtime"})
zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.dates(date(2000, 1, 1), date(2050, 12, 31))
modern_slots = st.integers(slots.slot_of(datetime(2000, 1, 1, tzinfo=UTC)), 2**21 + 2**20)
times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
hours_of_a_week = st.dictionaries(
    st.sampled_from(slots.WEEKDAYS), st.lists(st.tuples(times, times | st.just("24:00")), max_size=3)
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def begin(zone: str, day: str) -> tuple[datetime, int]:
    first, count = slots.day_of(ZoneInfo(zone), date.fromisoformat(day))
    return slots.instant_of(first), count


def local_quarters(zone: ZoneInfo, day: date) -> list[datetime]:
    first, count = slots.day_of(zone, day)
    return [slots.instant_of(slot).astimezone(zone) for slot in range(first, first + count)]


def test_a_slot_is_unix_time_divided_by_900() -> None:
    """Rounding goes down for the slot that contains an instant, up for the first that follows it."""
    at = datetime(2026, 3, 9, 14, 14, 59, 999_999, tzinfo=UTC)
    assert slots.slot_of(at) == int(at.timestamp()) // 900
    assert slots.slot_from(at) == slots.slot_of(at) + 1
    assert slots.slot_from(utc("2026-03-09T14:15:00")) == slots.slot_of(utc("2026-03-09T14:15:00"))
    assert slots.slot_of(utc("1969-12-31T23:59:00")) == -1


def test_the_two_hours_of_a_fold_are_two_slots() -> None:
    """The same wall time before and after the clock goes back is an hour apart."""
    first = datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK)
    assert slots.slot_of(first.replace(fold=1)) - slots.slot_of(first) == 4


def test_a_naive_time_is_refused() -> None:
    """Without an offset there is no instant."""
    with pytest.raises(TypeError):
        slots.slot_of(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("zone", "day", "first", "count"),
    [
        ("America/New_York", "2026-07-01", "2026-07-01T04:00:00", 96),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00:00", 92),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00:00", 100),
        ("Asia/Kathmandu", "2026-01-01", "2025-12-31T18:15:00", 96),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00", 98),
        ("Antarctica/Troll", "2026-03-29", "2026-03-29T00:00:00", 88),
        ("Antarctica/Troll", "2026-10-25", "2026-10-24T22:00:00", 104),
        # Midnight is in the gap: the day begins at 01:00.
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00", 92),
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00:00", 92),
        # Midnight comes twice: the day begins at the first.
        ("America/Havana", "2025-11-02", "2025-11-02T04:00:00", 100),
        # Midnight goes back to 23:00: the day before is the long one.
        ("Africa/Cairo", "2026-10-29", "2026-10-28T21:00:00", 100),
        ("Africa/Cairo", "2026-10-30", "2026-10-29T22:00:00", 96),
        # The date that a zone skipped has no slots, and the next begins where it would have.
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00", 0),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00", 96),
        # 00:01 went back to 23:01: the day begins once and is not left again.
        ("America/St_Johns", "2006-10-29", "2006-10-29T02:30:00", 100),
    ],
)
def test_a_local_day(zone: str, day: str, first: str, count: int) -> None:
    """A date begins at its first instant, whatever the clocks do at midnight."""
    assert begin(zone, day) == (utc(first), count)


def test_days_partition_time_in_every_zone() -> None:
    """Every zone's days follow one another, have 88 to 104 slots and begin where the date begins."""
    dates = [date(2026, 1, 1) + timedelta(days=n) for n in range(366)]
    for name in ZONES:
        zone = ZoneInfo(name)
        expected = slots.day_of(zone, dates[0])[0]
        for day in dates:
            first, count = slots.day_of(zone, day)
            assert first == expected, (name, day)
            assert 88 <= count <= 104, (name, day)
            expected = first + count


@given(zones, days)
def test_a_day_holds_exactly_its_date(zone: ZoneInfo, day: date) -> None:
    """The clock shows the date at each edge of the day and another one just outside."""
    first, count = slots.day_of(zone, day)
    shown = [slots.instant_of(slot).astimezone(zone).date() for slot in (first - 1, first)]
    assert shown[0] < day or zone.key in {"America/St_Johns", "Canada/Newfoundland", "America/Goose_Bay"}
    assert shown[1] == day or not count
    assert slots.slot_from(slots.instant_of(first)) == first


@given(zones, modern_slots)
def test_a_slot_belongs_to_one_day(zone: ZoneInfo, slot: int) -> None:
    """date_of and day_of are each other's inverse."""
    first, count = slots.day_of(zone, slots.date_of(zone, slot))
    assert first <= slot < first + count


@given(zones, modern_slots, st.integers(0, 800))
def test_days_between_cover_the_window(zone: ZoneInfo, first: int, count: int) -> None:
    """The days of a window are in order, whole, and none is without a slot of it."""
    found = slots.days_between(zone, first, first + count)
    assert found == sorted({slots.date_of(zone, slot) for slot in range(first, first + count)})


NINE_TO_FIVE = {day: [["09:00", "17:00"]] for day in slots.WEEKDAYS[:5]}


def working(
    hours: slots.Hours, zone: str, day: str, overrides: slots.Overrides | None = None
) -> Iterator[str]:
    """Yield the stretches of working time in UTC, as "HH:MM-HH:MM"."""
    first, count = slots.day_of(ZoneInfo(zone), date.fromisoformat(day))
    bits = slots.working_bits(hours, date.fromisoformat(day), ZoneInfo(zone), overrides or {})
    at = list(slots.positions(bits, count))
    starts = [offset for offset in at if offset - 1 not in at]
    ends = [offset + 1 for offset in at if offset + 1 not in at]
    for start, end in zip(starts, ends, strict=True):
        yield f"{slots.instant_of(first + start):%H:%M}-{slots.instant_of(first + end):%H:%M}"


@pytest.mark.parametrize(
    ("hours", "zone", "day", "expected"),
    [
        (NINE_TO_FIVE, "America/New_York", "2026-03-06", ["14:00-22:00"]),
        (NINE_TO_FIVE, "America/New_York", "2026-03-07", []),
        (NINE_TO_FIVE, "America/New_York", "2026-03-09", ["13:00-21:00"]),
        ({"sun": [["09:00", "17:00"]]}, "America/New_York", "2026-03-08", ["13:00-21:00"]),
        (
            {"sun": [["09:00", "12:00"], ["13:00", "17:00"]]},
            "UTC",
            "2026-03-08",
            ["09:00-12:00", "13:00-17:00"],
        ),
        ({"mon": [["09:05", "10:10"]]}, "UTC", "2026-03-09", ["09:15-10:00"]),
        # Over midnight: Saturday's shift ends on Sunday, which has no hours of its own.
        ({"sat": [["22:00", "02:00"]]}, "UTC", "2026-03-07", ["22:00-00:00"]),
        ({"sat": [["22:00", "02:00"]]}, "UTC", "2026-03-08", ["00:00-02:00"]),
        ({"sun": [["22:00", "06:00"]]}, "UTC", "2026-03-09", ["00:00-06:00"]),
        ({"mon": [["00:00", "24:00"]]}, "UTC", "2026-03-09", ["00:00-00:00"]),
        # The skipped hour is not worked, the repeated one is worked twice.
        ({"sun": [["01:00", "04:00"]]}, "America/New_York", "2026-03-08", ["06:00-08:00"]),
        ({"sun": [["01:00", "04:00"]]}, "America/New_York", "2026-11-01", ["05:00-09:00"]),
        ({"sat": [["22:00", "01:30"]]}, "America/New_York", "2026-11-01", ["04:00-05:30", "06:00-06:30"]),
    ],
)
def test_working_hours(hours: slots.Hours, zone: str, day: str, expected: list[str]) -> None:
    """Working hours are read on the coach's clock."""
    assert list(working(hours, zone, day)) == expected


@pytest.mark.parametrize(
    ("overrides", "day", "expected"),
    [
        ({"2026-03-09": []}, "2026-03-09", []),
        ({"2026-03-09": [["10:00", "11:00"]]}, "2026-03-09", ["10:00-11:00"]),
        ({"2026-03-07": [["10:00", "11:00"]]}, "2026-03-07", ["10:00-11:00"]),  # a Saturday
        ({"2026-03-08": []}, "2026-03-09", ["09:00-17:00"]),
        # Over midnight: the hours belong to the date on which they begin.
        ({"2026-03-08": [["22:00", "02:00"]]}, "2026-03-09", ["00:00-02:00", "09:00-17:00"]),
        ({"2026-03-08": [["22:00", "02:00"]], "2026-03-09": []}, "2026-03-09", ["00:00-02:00"]),
    ],
)
def test_overrides_replace_the_hours_that_begin_on_their_date(
    overrides: dict[str, slots.Intervals], day: str, expected: list[str]
) -> None:
    """An override counts instead of its weekday's hours, on its date alone."""
    by_date = {date.fromisoformat(one): hours for one, hours in overrides.items()}
    assert list(working(NINE_TO_FIVE, "UTC", day, by_date)) == expected


@given(hours_of_a_week, zones, days)
def test_working_bits_are_what_the_clock_shows(hours: slots.Hours, zone: ZoneInfo, day: date) -> None:
    """A slot is worked exactly when the clock is inside an interval from its start to its end."""

    def minute(text: str) -> int:
        return int(text[:2]) * 60 + int(text[3:])

    def is_worked(local: datetime) -> bool:
        now, today = local.hour * 60 + local.minute, local.weekday()
        own = [(minute(a), minute(b)) for a, b in hours.get(slots.WEEKDAYS[today], [])]
        before = [(minute(a), minute(b)) for a, b in hours.get(slots.WEEKDAYS[today - 1], [])]
        return any(_covers(a, b if b > a else 1440, now) for a, b in own) or any(
            _covers(0, b, now) for a, b in before if b <= a
        )

    expected = 0
    for local in local_quarters(zone, day):
        expected = expected << 1 | is_worked(local)
    if all(local.minute % 15 == 0 for local in local_quarters(zone, day)):  # Monrovia had other offsets once
        assert slots.working_bits(hours, day, zone) == expected


def _covers(start: int, end: int, minute: int) -> bool:
    return start <= minute and minute + 15 <= end


@pytest.mark.parametrize("text", ["9:00", "0900", "09:60", "24:15", "25:00", "-1:00", "", "09:0x"])
def test_malformed_times_are_refused(text: str) -> None:
    """A time that is not HH:MM of a day is an error, never a silent empty day."""
    with pytest.raises(ValueError, match="not a time of day"):
        slots.working_bits({"mon": [[text, "17:00"]]}, date(2026, 3, 9), ZoneInfo("UTC"))


@given(st.lists(st.booleans(), max_size=150), st.integers(1, 20))
def test_runs_are_the_starts_of_consecutive_slots(row: list[bool], length: int) -> None:
    """A start counts exactly when it and the slots after it are all set."""
    bits = int("0" + "".join("01"[bit] for bit in row), 2)
    expected = [i for i in range(len(row) - length + 1) if all(row[i : i + length])]
    assert list(slots.positions(slots.runs(bits, length), len(row))) == expected


@given(st.integers(-50, 150), st.integers(-5, 150), st.integers(0, 100))
def test_span_sets_the_slots_inside_the_width(offset: int, length: int, width: int) -> None:
    """Slots outside the width are left off."""
    expected = [i for i in range(width) if offset <= i < offset + length]
    assert list(slots.positions(slots.span(offset, length, width), width)) == expected


@given(st.data(), st.integers(0, 200), st.integers(-50, 250), st.integers(0, 120))
def test_cut_reads_a_part_of_a_row(data: st.DataObject, width: int, offset: int, length: int) -> None:
    """A slot outside the row reads as 0."""
    bits = data.draw(st.integers(0, (1 << width) - 1))
    expected = [i - offset for i in slots.positions(bits, width) if offset <= i < offset + length]
    assert list(slots.positions(slots.slice_of(bits, width, offset, length), length)) == expected


@given(st.data(), st.integers(0, 6000))
def test_hex_goes_there_and_back(data: st.DataObject, width: int) -> None:
    """The hex of a row has ceil(width / 8) bytes and reads back as the row."""
    bits = data.draw(st.integers(0, (1 << width) - 1))
    text = slots.hex_of(bits, width)
    assert len(text) == 2 * -(-width // 8)
    assert slots.bits_of_hex(text, width) == bits


def test_slot_0_is_the_highest_bit_of_the_first_byte() -> None:
    """The order on the wire is the order of time, with padding at the end."""
    assert slots.hex_of(slots.span(0, 1, 12), 12) == "8000"
    assert slots.hex_of(slots.span(11, 1, 12), 12) == "0010"


@pytest.mark.parametrize("text", ["", "80", "8001", "800000", "zz00"])
def test_hex_that_does_not_fit_is_refused(text: str) -> None:
    """Another length, a set padding bit or another alphabet is an error."""
    with pytest.raises(ValueError, match=r"slots|fromhex"):
        slots.bits_of_hex(text, 12)
