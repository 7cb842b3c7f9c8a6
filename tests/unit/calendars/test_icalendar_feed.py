"""What feeds leave free, to the slot: recurrences over clock changes, exceptions, and every odd event."""

import asyncio
import time
from zoneinfo import ZoneInfo

import pytest

from fairslot.calendars import feed_text
from fairslot.calendars.icalendar_feed import IcalendarFeed, free_of
from fairslot.calendars.interface import CalendarError, Free
from fairslot.domain.slots import Window
from tests.unit.calendars.feeds import BERLIN, FIXTURES, NEW_YORK, busy, feed, window

MARCH = window("2026-03-01", "2026-04-10", NEW_YORK)

NINE = "DTSTART;TZID=America/New_York:20260303T090000\nDTEND;TZID=America/New_York:20260303T093000"

CASES = [
    (
        # Weekly since 2025 over the change of 8 March; the 16th is left out, the 23rd moved to the 24th.
        "weekly_new_york",
        NEW_YORK,
        ("2026-03-01", "2026-04-20"),
        [
            "2026-03-02 14:00-15:00",
            "2026-03-09 13:00-14:00",
            "2026-03-24 18:00-18:45",
            "2026-03-30 13:00-14:00",
            "2026-04-06 13:00-14:00",
        ],
    ),
    (
        # Six times over the change of 29 March, an hour and a half long.
        "weekly_berlin",
        BERLIN,
        ("2026-03-15", "2026-04-20"),
        [
            "2026-03-20 07:30-09:00",
            "2026-03-23 07:30-09:00",
            "2026-03-27 07:30-09:00",
            "2026-03-30 06:30-08:00",
            "2026-04-03 06:30-08:00",
            "2026-04-06 06:30-08:00",
        ],
    ),
    (
        # Over the change of 25 October; until a day, which counts.
        "weekly_berlin",
        BERLIN,
        ("2026-10-15", "2026-11-20"),
        ["2026-10-19 15:00-15:45", "2026-10-26 16:00-16:45", "2026-11-02 16:00-16:45"],
    ),
    (
        # A zone of the feed's own, defined after its use, +03:30 in summer; and Windows' name for Berlin.
        "custom_zone",
        BERLIN,
        ("2026-10-15", "2026-11-15"),
        ["2026-10-21 06:30-07:30", "2026-10-23 10:00-10:30", "2026-10-28 07:30-08:30"],
    ),
    (
        # Whole days of the coach; 8 March has 23 hours.
        "all_day",
        NEW_YORK,
        ("2026-03-01", "2026-04-01"),
        [
            "2026-03-01 05:00-03-02 05:00",
            "2026-03-05 05:00-03-06 05:00",
            "2026-03-08 05:00-03-09 04:00",
            "2026-03-11 04:00-03-12 04:00",
            "2026-03-13 04:00-03-14 04:00",
            "2026-03-15 04:00-03-17 04:00",
        ],
    ),
    (
        "all_day",
        BERLIN,
        ("2026-03-07", "2026-03-12"),
        ["2026-03-07 23:00-03-08 23:00", "2026-03-10 23:00-03-11 23:00"],
    ),
    (
        # Transparent, cancelled and empty events take no time; whatever touches a slot takes it.
        "states",
        NEW_YORK,
        ("2026-03-01", "2026-04-01"),
        [
            "2026-03-02 13:00-13:30",
            "2026-03-03 09:00-09:30",
            "2026-03-05 09:00-09:30",
            "2026-03-06 11:00-11:15",
            "2026-03-06 11:45-12:30",
        ],
    ),
    (
        # Over midnight, over both ends of the window, into it from before, and THISANDFUTURE. The night shift
        # of 7 March loses an hour to the clocks and may end at 06:00 or after eight hours: busy for either.
        "crossing",
        NEW_YORK,
        ("2026-03-01", "2026-04-01"),
        [
            "2026-03-01 05:00-11:00",
            "2026-03-04 04:30-05:30",
            "2026-03-08 03:00-11:00",
            "2026-03-10 09:00-09:15",
            "2026-03-17 09:00-09:15",
            "2026-03-18 11:00-11:30",
            "2026-03-19 11:00-11:30",
            "2026-03-31 03:00-04-01 04:00",
        ],
    ),
    (
        "free_busy",
        NEW_YORK,
        ("2026-03-01", "2026-04-01"),
        [
            "2026-03-02 09:00-09:45",
            "2026-03-02 12:00-13:00",
            "2026-03-03 09:00-09:15",
            "2026-03-04 09:00-09:15",
        ],
    ),
]


@pytest.mark.parametrize(("name", "zone", "days", "expected"), CASES)
def test_the_busy_time_of_a_feed(
    name: str, zone: ZoneInfo, days: tuple[str, str], expected: list[str]
) -> None:
    """Exactly the slots that the feed's events touch are taken."""
    assert busy((FIXTURES / f"{name}.ics").read_bytes(), window(*days, zone), zone) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # Floating times are the coach's.
        ("DTSTART:20260309T090000\nDTEND:20260309T100000", ["2026-03-09 13:00-14:00"]),
        (
            "DTSTART:20260306T210000\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20260309T010000Z",
            ["2026-03-07 02:00-03:00", "2026-03-08 02:00-03:00", "2026-03-09 01:00-02:00"],
        ),
        # Hours are hours over a clock change, when they are given as a duration.
        ("DTSTART;TZID=America/New_York:20260307T220000\nDURATION:PT8H", ["2026-03-08 03:00-11:00"]),
        # The end is the end, when it is given: 7 hours.
        (
            "DTSTART;TZID=America/New_York:20260307T220000\nDTEND;TZID=America/New_York:20260308T060000",
            ["2026-03-08 03:00-10:00"],
        ),
        # In the gap: 02:30 is what the offset before makes of it, 03:30.
        (
            "DTSTART;TZID=America/New_York:20260308T023000\nDTEND;TZID=America/New_York:20260308T030000",
            ["2026-03-08 07:30-08:00"],
        ),
        (
            "DTSTART;TZID=America/New_York:20260310T090000\nDTEND;TZID=Europe/Berlin:20260310T150000",
            ["2026-03-10 13:00-14:00"],
        ),
        # Several times a day an exception would hit others too: none is taken away.
        (
            f"{NINE}\nRRULE:FREQ=DAILY;COUNT=3;BYHOUR=9,14\nEXDATE;TZID=America/New_York:20260303T090000",
            ["2026-03-03 14:00-14:30", "2026-03-03 19:00-19:30", "2026-03-04 14:00-14:30"],
        ),
        (
            f"{NINE}\nRDATE:20260305T090000Z\nRDATE;VALUE=PERIOD:20260307T090000Z/PT1H",
            ["2026-03-03 14:00-14:30", "2026-03-05 09:00-09:30", "2026-03-07 09:00-10:00"],
        ),
        # Ends before it starts: somebody meant the time between.
        ("DTSTART:20260303T100000Z\nDTEND:20260303T090000Z", ["2026-03-03 09:00-10:00"]),
        (
            "dtstart:20260303T100000Z\ndtend:20260303T1\n 10000Z\nstatus:confirmed",
            ["2026-03-03 10:00-11:00"],
        ),
        ("DTSTART:20260303T100000Z\nDTEND:20260303T110000Z\nstatus:Cancelled", []),
        (
            'DTSTART;TZID="America/New_York":20260303T100000\nDTEND;TZID=/lib.org/America/New_York:20260303T110000',
            ["2026-03-03 15:00-16:00"],
        ),
    ],
)
def test_an_odd_event(lines: str, expected: list[str]) -> None:
    """One event, read on the coach's clock in New York."""
    assert busy(feed(lines), MARCH, NEW_YORK) == expected


def test_one_uid_for_two_events() -> None:
    """A newer version replaces an older one; two that are equally new are two."""
    early, late = (f"DTSTART:20260303T{hour}0000Z\nDTEND:20260303T{hour}3000Z" for hour in (10, 15))
    body = feed(f"{early}\nSEQUENCE:1", f"{late}\nSEQUENCE:2").replace(b"UID:1", b"UID:0")
    assert busy(body, MARCH, NEW_YORK) == ["2026-03-03 15:00-15:30"]
    body = feed(early, late).replace(b"UID:1", b"UID:0")
    assert busy(body, MARCH, NEW_YORK) == ["2026-03-03 10:00-10:30", "2026-03-03 15:00-15:30"]


def test_an_empty_calendar_is_free() -> None:
    """A feed without events leaves everything."""
    assert busy(feed(), MARCH, NEW_YORK) == []
    assert free_of(b"\xef\xbb\xbf" + feed(), MARCH, NEW_YORK).bits == MARCH.bits(
        MARCH.first_slot, MARCH.end_slot
    )


EVENT = "DTSTART:20260303T100000Z\nDTEND:20260303T110000Z"
WHOLE = feed(EVENT)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "invalid_body"),
        (b"<html>Sign in</html>", "invalid_body"),
        (b'{"error": "not found"}', "invalid_body"),
        (b"BEGIN:VEVENT\r\nDTSTART:20260303T100000Z\r\nEND:VEVENT\r\n", "invalid_body"),
        (b"Sign in\r\n" + WHOLE, "invalid_body"),
        (WHOLE + b"and more", "invalid_body"),
        (WHOLE.replace(b"END:VCALENDAR", b""), "invalid_body"),
        (WHOLE.replace(b"END:VEVENT", b""), "invalid_body"),
        (WHOLE.replace(b"END:VEVENT", b"END:VTODO"), "invalid_body"),
        (feed("BEGIN:VEVENT\nDTSTART:20260303T100000Z\nEND:VEVENT\n" + EVENT), "invalid_body"),
        (WHOLE.replace(b"END:VEVENT", b"END:VEVENT\r\n" + WHOLE), "invalid_body"),
        (feed(*[EVENT] * (feed_text.MOST_COMPONENTS + 1)), "too_complex"),
    ],
)
def test_what_cannot_be_read_is_an_error(body: bytes, reason: str) -> None:
    """Half a feed does not pass for a calendar with less in it."""
    with pytest.raises(CalendarError) as raised:
        free_of(body, MARCH, NEW_YORK)
    assert raised.value.reason == reason


def test_what_cannot_matter_is_not_read() -> None:
    """An event of another year, a to-do and an alarm may be as broken as they like."""
    long_ago = "DTSTART;TZID=Nowhere:20190101T090000\nDTEND;TZID=Nowhere:20190101T100000\nX-ODD;:"
    reminder = "BEGIN:VALARM\nTRIGGER:whenever\nEND:VALARM"
    body = feed(long_ago, f"{EVENT}\nDTSTAMP:yesterday\nATTENDEE;RSVP:x\n{reminder}")
    assert busy(body, MARCH, NEW_YORK) == ["2026-03-03 10:00-11:00"]


def test_two_feeds_may_mean_two_zones_by_one_name() -> None:
    """A zone that one coach's feed defines is not the zone of the next coach's."""

    def zone(offset: str) -> str:
        part = f"DTSTART:19700101T000000\nTZOFFSETFROM:{offset}\nTZOFFSETTO:{offset}"
        return f"BEGIN:VTIMEZONE\nTZID:Custom\nBEGIN:STANDARD\n{part}\nEND:STANDARD\nEND:VTIMEZONE\n"

    event = "DTSTART;TZID=Custom:20260303T100000\nDTEND;TZID=Custom:20260303T110000"
    assert busy(feed(event, zones=zone("+0100")), MARCH, NEW_YORK) == ["2026-03-03 09:00-10:00"]
    assert busy(feed(event, zones=zone("-0530")), MARCH, NEW_YORK) == ["2026-03-03 15:30-16:30"]
    assert busy(feed(event), MARCH, NEW_YORK) == ["2026-03-02 05:00-03-05 05:00"], "any of the world's zones"


@pytest.mark.parametrize(
    "rule", ["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=SECONDLY", "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30"]
)
def test_a_rule_without_end_is_given_up(rule: str) -> None:
    """A rule that would be calculated for hours costs its bound and is an error."""
    began = time.perf_counter()
    with pytest.raises(CalendarError, match="too_complex"):
        free_of(feed(f"DTSTART:20100101T090000Z\nDTEND:20100101T090001Z\nRRULE:{rule}"), MARCH, NEW_YORK, 0.2)
    assert time.perf_counter() - began < 5


def test_feeds_are_read_side_by_side() -> None:
    """Several coaches' feeds at once do not get into each other's way."""

    async def read(_url: str, *, accept: str) -> bytes:
        assert accept.startswith("text/calendar")
        return (FIXTURES / "custom_zone.ics").read_bytes()

    async def all_of_them(asked: Window) -> list[Free]:
        calendars = [IcalendarFeed(url="https://feed.test", zone=BERLIN, read=read) for _ in range(8)]
        return await asyncio.gather(*(calendar.free(asked) for calendar in calendars))

    asked = window("2026-10-15", "2026-11-15", BERLIN)
    found = asyncio.run(all_of_them(asked))
    assert len(set(found)) == 1
    assert found[0].bits.bit_count() == asked.slot_count - 10
