"""What cannot be read of a feed is not free, is told, and spoils nothing else."""

import pytest

from fairslot.calendars.icalendar_feed import free_of
from tests.unit.calendars.feeds import BERLIN, NEW_YORK, busy, feed, window

MARCH = window("2026-03-01", "2026-04-10", NEW_YORK)
EVENT = "DTSTART:20260303T100000Z\nDTEND:20260303T110000Z"
OTHER = "DTSTART:20260301T090000Z\nDTEND:20260301T093000Z"
NOWHERE = "DTSTART;TZID=Nowhere:20260304T100000\nDTEND;TZID=Nowhere:20260304T110000"
ALL = "2026-03-01 05:00-04-10 04:00"
ON = "2026-03-02 05:00-04-10 04:00"
AROUND = "2026-03-02 05:00-03-05 05:00"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # Nobody knows when: never free.
        ("DTEND:20260303T110000Z", ALL),
        ("DTSTART:20260303T1000\nDTEND:20260303T110000Z", ALL),
        ("DTSTART:2026\nDTEND:20260303T110000Z", ALL),
        ("DTSTART:20261303T100000Z\nDTEND:20260303T110000Z", ALL),
        # Nobody knows how long.
        ("DTSTART:20260303T100000Z\nDTEND:soon", ON),
        ("DTSTART:20260303T100000Z\nDTEND:", ON),
        ("DTSTART:20260303T100000Z\nDURATION:long", ON),
        # Nobody knows how often.
        (f"{EVENT}\nDTSTART:20260304T100000Z\nRRULE:FREQ=DAILY", ON),
        (f"{EVENT}\nRRULE:FREQ=SOMETIMES", ON),
        (f"{EVENT}\nRRULE:COUNT=3", ON),
        (f"{EVENT}\nRRULE;X:FREQ=DAILY", ON),
        (f"{EVENT}\nRRULE:FREQ=DAILY;INTERVAL={'9' * 400}", ON),
        (f"{EVENT}\nRRULE:FREQ=DAILY;INTERVAL=0", ON),
        (f"{EVENT}\nRRULE:FREQ=DAILY;COUNT=0", ON),
        (f"{EVENT}\nRRULE:FREQ=DAILY;UNTIL=never", ON),
        (f"{EVENT}\nRDATE:soon", ON),
        (f"{EVENT}\nRDATE;TZID=Nowhere:20260304T100000", ON),
        (f"{EVENT}\nRDATE;VALUE=DATE:20260304", ON),
        (f"{EVENT}\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260303T090000Z", ON),
        (f"{EVENT}\nRECURRENCE-ID;RANGE=THISANDPRIOR:20260303T090000Z", ALL),
        # A zone that nobody knows is one of the world's.
        ("DTSTART;TZID=Nowhere:20260303T100000\nDTEND;TZID=Nowhere:20260303T110000", AROUND),
        ("DTSTART;TZID=Nowhere:20260303T100000\nDURATION:PT1H", "2026-03-02 05:00-03-06 05:00"),
        (f"{EVENT}\nSEQUENCE:first", AROUND),
        (f"{EVENT}\nRECURRENCE-ID:then", AROUND),
    ],
)
def test_an_event_that_cannot_be_read_takes_all_that_it_may(lines: str, expected: str) -> None:
    """It is told of, and what is beside it is read as ever."""
    found = free_of(feed(lines), MARCH, NEW_YORK)
    assert (busy(feed(lines), MARCH, NEW_YORK), found.unreadable) == ([expected], 1)
    beside = busy(feed(lines, OTHER), MARCH, NEW_YORK)
    assert beside == [expected] if expected == ALL else beside == ["2026-03-01 09:00-09:30", expected]


@pytest.mark.parametrize("name", ["RRULE", "RRULE;X-A=B", "RDATE", "EXDATE", "RRULE:\nRDATE"])
def test_a_rule_without_a_value_is_none(name: str) -> None:
    """The event takes place once, the rest of the feed is read, and the source says so."""
    body = feed(f"{EVENT}\n{name}:", OTHER)
    assert busy(body, MARCH, NEW_YORK) == ["2026-03-01 09:00-09:30", "2026-03-03 10:00-11:00"]
    assert free_of(body, MARCH, NEW_YORK).unreadable == 1


@pytest.mark.parametrize("word", ["TRANSP:TRANSPARENT", "STATUS:CANCELLED"])
def test_what_takes_no_time_takes_none_unread(word: str) -> None:
    """An event that is free whenever it is is nobody's trouble."""
    found = free_of(feed(f"{EVENT}\nRRULE:FREQ=SOMETIMES\n{word}"), MARCH, NEW_YORK)
    assert (found.bits.bit_count(), found.unreadable) == (MARCH.slot_count, 0)


def test_an_exception_that_cannot_be_read_frees_nothing() -> None:
    """Left out are only dates that are understood."""
    body = feed(f"{EVENT}\nEXDATE:never\nRRULE:FREQ=DAILY;COUNT=2")
    assert busy(body, MARCH, NEW_YORK) == ["2026-03-03 10:00-11:00", "2026-03-04 10:00-11:00"]


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        ("BEGIN:VFREEBUSY\nFREEBUSY:20260303T100000Z/soon\nEND:VFREEBUSY", ALL),
        (
            "BEGIN:VFREEBUSY\nDTSTART:20260303T000000Z\nDTEND:20260303T230000Z\nFREEBUSY:x\nEND:VFREEBUSY",
            AROUND,
        ),
        # Who is there when is not read (RFC 7953), so nobody is.
        ("BEGIN:VAVAILABILITY\nDTSTART:20260303T000000Z\nEND:VAVAILABILITY", ON),
        ("BEGIN:VTIMEZONE\nTZID:Nowhere\nEND:VTIMEZONE\nBEGIN:VEVENT\n" + NOWHERE + "\nEND:VEVENT", None),
    ],
)
def test_other_components_are_closed_too(component: str, expected: str | None) -> None:
    """One that cannot be read takes its time, or all of it, and the events beside it are read."""
    around = "2026-03-03 05:00-03-06 05:00"
    body = feed(OTHER).replace(
        b"END:VCALENDAR", component.replace("\n", "\r\n").encode() + b"\r\nEND:VCALENDAR"
    )
    found = busy(body, MARCH, NEW_YORK)
    assert found == [ALL] if expected == ALL else found == ["2026-03-01 09:00-09:30", expected or around]


def test_a_series_that_cannot_be_calculated_spoils_no_other() -> None:
    """What fails late is found one by one."""
    body = feed(f"{EVENT}\nRRULE:FREQ=YEARLY;BYMONTHDAY=1;BYSETPOS=400", OTHER)
    found = busy(body, MARCH, BERLIN)
    assert found[0] == "2026-03-01 09:00-09:30"
