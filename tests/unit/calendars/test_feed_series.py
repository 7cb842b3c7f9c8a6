"""Exceptions, ranges and additional dates, and times that can be read in two ways: never free by mistake."""

from zoneinfo import ZoneInfo

import pytest

from tests.unit.calendars.feeds import BERLIN, NEW_YORK, busy, feed, window

MARCH = window("2026-03-01", "2026-04-10", NEW_YORK)
ZONE = ";TZID=Europe/Berlin:"
DAILY = f"DTSTART{ZONE}20270301T090000\nDTEND{ZONE}20270301T100000\nRRULE:FREQ=DAILY"
MOVED = f"DTSTART{ZONE}20270327T150000\nDTEND{ZONE}20270327T160000"


def series(core: str, *exceptions: str) -> bytes:
    """Return a feed of one event and its exceptions."""
    body = feed(core, *exceptions)
    for number in range(1, len(exceptions) + 1):
        body = body.replace(f"UID:{number}\r\n".encode(), b"UID:0\r\n")
    return body


@pytest.mark.parametrize(
    "named",
    [
        "RECURRENCE-ID;RANGE=THISANDFUTURE" + ZONE + "20270327T090000",
        "recurrence-id;range=thisandfuture:20270327T080000Z",
    ],
)
def test_a_series_with_a_date_more_is_moved_from_a_day_on(named: str) -> None:
    """Daily at nine, once more at six one evening, and from the 27th on at three; the 28th has 23 hours."""
    body = series(f"{DAILY}\nRDATE{ZONE}20270305T180000", f"{MOVED}\n{named}")
    assert busy(body, window("2027-03-05", "2027-03-07", BERLIN), BERLIN) == [
        "2027-03-05 08:00-09:00",
        "2027-03-05 17:00-18:00",
        "2027-03-06 08:00-09:00",
    ]
    assert busy(body, window("2027-03-26", "2027-03-31", BERLIN), BERLIN) == [
        "2027-03-26 08:00-09:00",
        "2027-03-27 14:00-15:00",
        "2027-03-28 13:00-14:00",
        "2027-03-29 13:00-14:00",
        "2027-03-30 13:00-14:00",
    ]


def test_a_series_of_several_hours_a_day_is_moved_from_a_day_on() -> None:
    """Where exceptions come on top, so does a range: the time before and the time after are busy."""
    body = series(f"{DAILY};BYHOUR=9,11", f"{MOVED}\nRECURRENCE-ID;RANGE=THISANDFUTURE{ZONE}20270327T090000")
    assert busy(body, window("2027-03-29", "2027-03-31", BERLIN), BERLIN) == [
        f"2027-03-{day} {hours}"
        for day in (29, 30)
        for hours in ("07:00-08:00", "09:00-10:00", "13:00-14:00", "15:00-16:00")
    ]


def test_a_range_that_is_named_by_its_day_or_moved_to_another_zone_is_not_lost() -> None:
    """By the clock of either zone."""
    spring = window("2027-03-29", "2027-03-31", BERLIN)
    by_day = series(DAILY, f"{MOVED}\nRECURRENCE-ID;RANGE=THISANDFUTURE;VALUE=DATE:20270327")
    assert "2027-03-29 13:00-14:00" in busy(by_day, spring, BERLIN)
    far = "DTSTART;TZID=America/New_York:20270327T100000\nDTEND;TZID=America/New_York:20270327T110000"
    found = busy(
        series(DAILY, f"{far}\nRECURRENCE-ID;RANGE=THISANDFUTURE{ZONE}20270327T090000"), spring, BERLIN
    )
    assert "2027-03-29 13:00-15:00" in found, (
        "three in Berlin, four since New York does not change its clocks"
    )


def test_additional_dates_are_excepted_one_by_one() -> None:
    """An exception of one, or its exclusion, is of that one."""
    more = f"RDATE{ZONE}20270305T180000,20270306T180000\nRDATE;VALUE=PERIOD:20270307T130000Z/PT2H"
    body = series(
        f"{DAILY};COUNT=7\n{more}\nEXDATE{ZONE}20270306T180000",
        f"DTSTART{ZONE}20270305T200000\nDURATION:PT1H\nRECURRENCE-ID{ZONE}20270305T180000",
    )
    assert busy(body, window("2027-03-05", "2027-03-08", BERLIN), BERLIN) == [
        "2027-03-05 08:00-09:00",
        "2027-03-05 19:00-20:00",
        "2027-03-06 08:00-09:00",
        "2027-03-07 08:00-09:00",
        "2027-03-07 13:00-15:00",
    ]


@pytest.mark.parametrize("name", ["EXDATE:20270305T090000Z", "EXDATE;TZID=Nowhere:20270305T090000"])
def test_what_names_no_occurrence_takes_none_away(name: str) -> None:
    """Nine in the morning in Berlin is not nine in UTC."""
    assert busy(feed(f"{DAILY}\n{name}"), window("2027-03-05", "2027-03-06", BERLIN), BERLIN) == [
        "2027-03-05 08:00-09:00"
    ]


def test_two_exceptions_of_one_occurrence_are_two() -> None:
    """As are two events of one UID; one that is left out besides takes its time all the same."""
    at = f"RECURRENCE-ID{ZONE}20270305T090000"
    early, late = (f"DTSTART{ZONE}20270305T{hour}0000\nDURATION:PT1H\n{at}" for hour in (11, 15))
    friday = window("2027-03-05", "2027-03-06", BERLIN)
    assert busy(series(DAILY, early, late), friday, BERLIN) == [
        "2027-03-05 10:00-11:00",
        "2027-03-05 14:00-15:00",
    ]
    left_out = series(f"{DAILY}\nEXDATE{ZONE}20270305T090000", early)
    assert busy(left_out, friday, BERLIN) == ["2027-03-05 10:00-11:00"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # A day that ends at an instant begins at the coach's midnight and is a whole one.
        ("DTSTART;VALUE=DATE:20260303\nDTEND:20260304T000000Z", "2026-03-03 05:00-03-04 05:00"),
        ("DTSTART;VALUE=DATE:20260303\nDTEND:20260304T120000Z", "2026-03-03 05:00-03-05 05:00"),
        ("DTSTART;VALUE=DATE:20260303\nDTEND:20260304T000000", "2026-03-03 05:00-03-04 05:00"),
        ("DTSTART;VALUE=DATE:20260303\nDURATION:PT36H", "2026-03-03 05:00-03-05 05:00"),
        # A time that ends on a day ends at its midnight, or with it.
        ("DTSTART:20260303T100000Z\nDTEND;VALUE=DATE:20260304", "2026-03-03 10:00-03-04 05:00"),
        ("DTSTART:20260303T100000Z\nDTEND;VALUE=DATE:20260303", "2026-03-03 10:00-03-04 05:00"),
        # Floating on one side alone.
        ("DTSTART:20260303T100000\nDTEND:20260303T160000Z", "2026-03-03 15:00-16:00"),
        ("DTSTART:20260303T140000Z\nDTEND:20260303T100000", "2026-03-03 14:00-15:00"),
        # Eight hours are eight hours, and to six o'clock: the later.
        ("DTSTART:20260307T220000\nDURATION:PT8H", "2026-03-08 03:00-11:00"),
        # Of an end and a duration the later.
        ("DTSTART:20260303T100000Z\nDTEND:20260303T103000Z\nDURATION:PT1H", "2026-03-03 10:00-11:00"),
        # The first time counts, whatever the rule says.
        (
            "DTSTART:20260303T100000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20260101",
            "2026-03-03 10:00-11:00",
        ),
        ("DTSTART:20260303T100000Z\nDURATION:PT1H\nRRULE:FREQ=YEARLY;BYMONTH=5", "2026-03-03 10:00-11:00"),
        # An exclusion in UTC does not move a floating series.
        ("DTSTART:20260303T100000\nDURATION:PT1H\nEXDATE:20260309T100000Z", "2026-03-03 15:00-16:00"),
    ],
)
def test_of_two_readings_the_longer_counts(lines: str, expected: str) -> None:
    """On the coach's clock in New York."""
    assert busy(feed(lines), MARCH, NEW_YORK) == [expected]


def test_floating_times_of_a_calendar_that_names_its_zone_are_busy_for_both() -> None:
    """The coach's clock, by the standard, and the calendar's, as some mean it."""
    body = feed("DTSTART:20260303T100000\nDTEND:20260303T110000", zones="X-WR-TIMEZONE:Europe/Berlin\n")
    assert busy(body, MARCH, NEW_YORK) == ["2026-03-03 09:00-10:00", "2026-03-03 15:00-16:00"]


def test_an_all_day_series_ends_on_the_coachs_day() -> None:
    """An end in UTC is the day after, east of it."""
    tokyo = "DTSTART;VALUE=DATE:20260308\nRRULE:FREQ=DAILY;UNTIL=20260309T150000Z"
    asked = window("2026-03-08", "2026-03-14", BERLIN)
    assert busy(feed(tokyo), asked, BERLIN) == ["2026-03-07 23:00-03-09 23:00"]
    asked = window("2026-03-08", "2026-03-14", ZoneInfo("Asia/Tokyo"))
    assert busy(feed(tokyo), asked, ZoneInfo("Asia/Tokyo")) == ["2026-03-07 15:00-03-10 15:00"]
