"""Other projects' test data as feeds: whatever is in them, no busy time is shown free."""

import warnings
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import recurring_ical_events
from icalendar import Calendar

from fairslot.calendars.feed_zones import clear_zones
from fairslot.calendars.icalendar_feed import free_of
from fairslot.calendars.interface import CalendarError
from fairslot.domain import slots
from fairslot.domain.slots import Window
from tests.unit.calendars.feeds import BERLIN, NEW_YORK
from tests.unit.calendars.oracle import MOST, Stretch, surely_busy

PUBLIC = Path(__file__).parent / "public"
FEEDS = sorted(PUBLIC.rglob("*.ics"))
DAYS = 60
WINDOWS = 4
SECONDS = 60.0  # what is in a feed is the question here, not how fast it is read
ZONES = [BERLIN, NEW_YORK]
REFUSED = {
    "big_bad_calendar",
    "fuzz_testcase_0_char_in_component_name",
    "fuzz_testcase_invalid_month",
    "issue_178_custom_component_contains_other",
    "issue_201_test_matrix",
    "issue_350",
    "pr_480_summary_with_colon",
    "small_bad_calendar",
    "timezone_same_start_and_offset",
}
# The package takes its floating times for UTC, since what it leaves out is in UTC.
MISREAD = {"event_with_recurrence"}


def body_of(path: Path) -> bytes:
    """Return a file as a feed: some are events alone, as they stand in one."""
    body = path.read_bytes()
    if b"BEGIN:VCALENDAR" in body.upper():
        return body
    return b"BEGIN:VCALENDAR\r\n" + body.rstrip() + b"\r\nEND:VCALENDAR\r\n"


def windows(stretches: list[Stretch], zone: ZoneInfo) -> Iterator[Window]:
    """Yield windows of sixty days, as they are asked for, where something is."""
    end = None
    for start, _ in sorted(stretches):
        day = start.astimezone(zone).date()
        if end is None or day >= end:
            end = day + timedelta(days=DAYS)
            first, until = (slots.day_of(zone, one)[0] for one in (day, end))
            yield Window(first, until - first)


def shown_free(body: bytes, stretches: list[Stretch], zone: ZoneInfo) -> list[Stretch]:
    """Return which of these stretches a feed shows as free, or in part; refused as a whole it shows none."""
    wrong = []
    found = [*windows(stretches, zone)]
    for window in found[:: max(1, -(-len(found) // WINDOWS))]:
        free = free_bits(body, window, zone)
        if free is None:
            return []
        wrong += [
            (start, end)
            for start, end in stretches
            if start < end and free & window.bits(slots.slot_of(start), slots.slot_from(end))
        ]
    return wrong


@cache
def free_bits(body: bytes, window: Window, zone: ZoneInfo) -> int | None:
    """Return what a feed shows as free, None if it is refused; both sources ask about most windows."""
    try:
        return free_of(body, window, zone, SECONDS).bits
    except CalendarError:
        return None


@cache
def by_hand(path: Path, zone: ZoneInfo) -> list[Stretch]:
    """Return when a feed is surely busy."""
    return surely_busy(body_of(path), zone)[0]


def by_the_package(body: bytes, zone: ZoneInfo) -> list[Stretch]:
    """Return when events take place by the recurrence package alone, as far as it reads them."""
    return [(at(start, zone), at(end, zone)) for start, end in occurrences(body)]


@cache
def occurrences(body: bytes) -> list[tuple[date, date]]:
    """Return the times of events by the recurrence package, which no zone of ours has a part in."""
    clear_zones()
    found: list[tuple[date, date]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for calendar in Calendar.from_ical(body, multiple=True):
                query = recurring_ical_events.of(calendar, skip_bad_series=True)
                for event in islice(query.all(), MOST):
                    free = {str(event.get("TRANSP", "")).upper(), str(event.get("STATUS", "")).upper()}
                    if not free & {"TRANSPARENT", "CANCELLED"}:
                        found.append((event.start, event.end))
        except Exception:  # noqa: BLE001  # broken on purpose, most of them; what was found before stands
            return found
    return found


def at(moment: date, zone: ZoneInfo) -> datetime:
    """Return the instant of a time, of a day its start."""
    if not isinstance(moment, datetime):
        return slots.instant_of(slots.day_of(zone, moment)[0])
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


@pytest.mark.parametrize("path", FEEDS, ids=lambda path: str(path.relative_to(PUBLIC)))
def test_no_busy_time_is_shown_free(path: Path) -> None:
    """Neither what a reading by hand finds in it nor what the recurrence package does."""
    body = body_of(path)
    for zone in ZONES:
        assert shown_free(body, by_hand(path, zone), zone) == []
        if path.stem not in MISREAD:
            assert shown_free(body, by_the_package(body, zone), zone) == []


def test_nearly_every_feed_is_read() -> None:
    """Refused is what is cut off, nested where nothing belongs, or no calendar."""
    refused, found = set(), 0
    asked = Window(slots.day_of(BERLIN, date(2019, 3, 1))[0], 6000)
    for path in FEEDS:
        found += len(by_hand(path, BERLIN))
        try:
            free_of(body_of(path), asked, BERLIN, SECONDS)
        except CalendarError as error:
            assert error.reason == "invalid_body"
            refused.add(path.stem)
    assert (len(FEEDS), refused) == (258, REFUSED)
    assert found > 7_000
