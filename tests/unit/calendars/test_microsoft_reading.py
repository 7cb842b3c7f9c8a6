"""Calendars of Microsoft 365: what takes time, what is ours, and what ends a source."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from fairslot.calendars.interface import CalendarError, EventKey, Free, Sighting
from fairslot.calendars.microsoft_events import Rules
from fairslot.domain.slots import Window, slot_of
from tests.support.environment import clear_caches
from tests.unit.calendars.graph import (
    BASE,
    BUSY,
    DAY,
    FREE,
    HOUR,
    KEY,
    Graph,
    event,
    ours,
    page,
    refused,
    time,
)


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of providers are on this machine."""
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    clear_caches()


@pytest.mark.parametrize(
    ("more", "bits"),
    [
        ({"showAs": "free"}, FREE),
        ({"showAs": "tentative"}, BUSY),
        ({"showAs": "busy"}, BUSY),
        ({"showAs": "oof"}, BUSY),
        ({"showAs": "workingElsewhere"}, FREE),
        ({"showAs": "unknown"}, BUSY),
        ({"showAs": "unknownFutureValue"}, BUSY),
        ({"showAs": None}, BUSY),
        ({"isCancelled": True}, FREE),
        ({"responseStatus": {"response": "declined"}}, FREE),
        ({"responseStatus": {"response": "notResponded"}}, BUSY),
        ({"responseStatus": None}, BUSY),
        ({"end": time(DAY)}, FREE),
    ],
)
def test_what_takes_time(more: dict[str, object], bits: int) -> None:
    """What Graph calls free, cancelled and declined does not; all else does."""
    assert Graph(page(event(**more))).free() == Free(bits)


def test_working_elsewhere_is_a_setting() -> None:
    """Of the coach."""
    found = Graph(page(event(showAs="workingElsewhere"))).free(rules=Rules(working_elsewhere_is_busy=True))
    assert found.bits == BUSY


@pytest.mark.parametrize(
    ("first", "last", "bits"), [("11-30", "12-01", 0), ("11-29", "11-30", FREE), ("12-01", "12-02", FREE)]
)
def test_an_all_day_event_takes_its_dates_in_the_coachs_zone(first: str, last: str, bits: int) -> None:
    """Midnights are dates, whatever zone is written with them."""
    start, end = ({"dateTime": f"2026-{day}T00:00:00.0000000", "timeZone": "UTC"} for day in (first, last))
    assert Graph(page(event(isAllDay=True, start=start, end=end))).free().bits == bits


def test_a_day_begins_when_the_coachs_does() -> None:
    """An hour before that of UTC in Berlin."""
    start, end = ({"dateTime": f"2026-12-0{day}T00:00:00.0000000", "timeZone": "UTC"} for day in (1, 2))
    graph = Graph(page(event(isAllDay=True, start=start, end=end)))
    around = Window(slot_of(datetime(2026, 11, 30, 22, tzinfo=UTC)), 8)
    assert asyncio.run(graph.calendar().free(around)).bits == 0b11110000


def test_the_names_of_windows_zones_are_read() -> None:
    """Where Graph does not answer in UTC: 10:00 in Berlin is the window's begin."""
    local = datetime(2026, 11, 30, 10, tzinfo=UTC)
    zone = "W. Europe Standard Time"
    found = Graph(page(event(start=time(local, zone), end=time(local + HOUR, zone)))).free()
    assert found.bits == BUSY


def test_our_events_take_no_time_and_are_seen() -> None:
    """By the property and the transaction id; copies, other sources' and series are strangers'."""
    sighting = Sighting(key=KEY, ref="AAMk=", start=DAY, end=DAY + HOUR, version='W/"1"')
    assert Graph(page(ours())).free() == Free(FREE, own=(sighting,))
    other = EventKey(appointment_id=UUID(int=1), source_id=UUID(int=3))
    for stranger in (ours(transactionId=None), ours(key=other), ours(type="occurrence")):
        assert Graph(page(stranger)).free() == Free(BUSY)
    assert Graph(page(ours(), ours(DAY + HOUR, id="copy"))).free() == Free(0b11110000, own=(sighting,))


def test_all_pages_are_read_without_titles() -> None:
    """As the links say, each with the same preferences."""
    link = f"{BASE}/me/calendar/calendarView?$skip=250"
    graph = Graph(page(**{"@odata.nextLink": link}), page(event()))
    assert graph.free().bits == BUSY
    first, second = graph.requests
    assert second.url.params["$skip"] == "250"
    assert (
        first.headers["prefer"] == second.headers["prefer"] == 'outlook.timezone="UTC", IdType="ImmutableId"'
    )
    assert "subject" not in str(first.url)
    assert "body" not in str(first.url)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}),
        (200, {"value": None}),
        (200, {"value": [None]}),
        (200, {"error": {"code": "x"}}),
        page(event(start=None)),
        page(event(showAs=7)),
        page(event(isCancelled="no")),
        page(event(start=time(DAY, "Nowhere"))),
        page(event(start=time(DAY + 2 * HOUR))),
        page(event(start={"dateTime": "2026-11-30T09:00:00Z", "timeZone": "UTC"})),
        page(event(start={"dateTime": "soon", "timeZone": "UTC"})),
        page(event(), **{"@odata.nextLink": 7}),
        page(event(), **{"@odata.nextLink": "https://elsewhere.test/v1.0/me"}),
    ],
)
def test_what_cannot_be_read_is_an_error(answer: tuple[int, object]) -> None:
    """A part of a calendar is never free, and no token goes elsewhere."""
    graph = Graph(answer)
    with pytest.raises(CalendarError, match="invalid_body"):
        graph.free()
    assert len(graph.requests) == 1


@pytest.mark.parametrize(
    ("answer", "reason", "ended"),
    [
        (refused(403, "ErrorAccessDenied"), "forbidden", "disconnected"),
        (refused(403, "ErrorQuotaExceeded"), "forbidden", None),
        (refused(404, "ErrorItemNotFound"), "not_found", "unsupported"),
        (refused(404, "MailboxNotEnabledForRESTAPI"), "not_found", "unsupported"),
        (refused(404, "UnknownError"), "not_found", None),
        ((404, {}), "not_found", None),
        (refused(429, "ApplicationThrottled"), "rate_limited", None),
        (refused(500, "ErrorAccessDenied"), "http_500", None),
        ((503, {}), "http_503", None),
    ],
)
def test_only_a_clear_word_ends_a_source(answer: tuple[int, object], reason: str, ended: str | None) -> None:
    """Its code, with its status."""
    with pytest.raises(CalendarError) as raised:
        Graph(answer).free()
    assert (raised.value.reason, raised.value.ended) == (reason, ended)
