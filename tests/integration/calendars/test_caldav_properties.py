"""Whatever a coach has in a calendar: both servers' answers are read as the texts alone are."""

import asyncio
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairslot.calendars.caldav import CaldavCalendar
from fairslot.calendars.icalendar_feed import free_of
from fairslot.domain import slots
from fairslot.domain.slots import Window
from tests.support.caldav_servers import CaldavServer, Radicale, Xandikos
from tests.support.caldav_tried import text_of
from tests.support.environment import clear_caches, set_environment
from tests.support.tried_calendar import SOURCE, Foreign, Quality, Series

ZONES = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
    "UTC",
]
# The clocks of some of these zones change between the first and the last.
DAYS = [date(2027, 3, 7), date(2027, 3, 14), date(2027, 3, 28), date(2027, 4, 4), date(2027, 10, 31)]
DAY = timedelta(days=1)
_QUALITIES: tuple[Quality | None, ...] = ("tentative", "transparent", "cancelled", None)

type Servers = list[tuple[CaldavServer, str]]


@st.composite
def events(draw: st.DrawFn) -> Foreign:
    """Draw an event; one without a zone floats."""
    day = draw(st.sampled_from(DAYS)) + draw(st.integers(-3, 3)) * DAY
    zone = draw(st.sampled_from([*ZONES, None]))
    start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone) if zone else None)
    all_day = draw(st.booleans())
    length = draw(st.integers(1, 3)) * DAY
    if not all_day:
        start += timedelta(minutes=5 * draw(st.integers(0, 287)))
        length = timedelta(minutes=5 * draw(st.integers(1, 400)))
    quality = draw(st.sampled_from(_QUALITIES))
    series = None
    if draw(st.booleans()):
        count = draw(st.integers(2, 6))
        left_out, moved = (draw(st.none() | st.integers(0, count - 1)) for _ in range(2))
        series = Series(
            count=count,
            left_out=start + left_out * DAY if left_out is not None and not all_day else None,
            moved=(start + moved * DAY, start + draw(st.integers(-9, 9)) * DAY + timedelta(hours=1))
            if moved is not None and not all_day
            else None,
        )
    return Foreign(start=start, end=start + length, all_day=all_day, quality=quality, series=series)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """An empty calendar at each server."""
    patch = pytest.MonkeyPatch()
    set_environment(patch, {"WEBHOOK_ALLOW_LOOPBACK_HTTP": "true"})
    folder = tmp_path_factory.mktemp("caldav")
    with Radicale(folder / "radicale") as radicale, Xandikos(folder / "xandikos") as xandikos:
        yield [(one, one.make_calendar()) for one in (radicale, xandikos)]
    patch.undo()
    clear_caches()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(events(), min_size=1, max_size=3),
    st.sampled_from(DAYS),
    st.integers(1, 6),
    st.sampled_from(ZONES).map(ZoneInfo),
)
def test_both_servers_are_read_as_the_texts_are(
    servers: Servers, found: list[Foreign], day: date, days: int, coach: ZoneInfo
) -> None:
    """The same slots are free, around every kind of clock change and midnight."""
    first, end = (slots.day_of(coach, one)[0] for one in (day, day + days * DAY))
    window = Window(first, end - first)
    texts = [text_of(event, f"event-{number}") for number, event in enumerate(found)]
    expected = window.bits(first, end)
    for text in texts:
        expected &= free_of(text, window, coach).bits
    for server, url in servers:
        calendar = CaldavCalendar(account=server.account, url=url, source_id=SOURCE, zone=coach)
        paths = [f"{url}{number}.ics" for number in range(len(texts))]
        try:
            for path, text in zip(paths, texts, strict=True):
                server.put(path, text)
            free = asyncio.run(calendar.free(window))
        finally:
            for path in paths:
                server.request("DELETE", path)
        assert (server.name, free.bits, free.unreadable) == (server.name, expected, 0)
