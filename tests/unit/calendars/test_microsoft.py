"""Calendars of Microsoft 365: what takes time, what is ours, and what a write does when it is repeated."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest

from fairslot.calendars.event_ids import event_id, key_text
from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import CalendarError, Event, EventKey, Free, Sighting
from fairslot.calendars.microsoft import MicrosoftCalendar
from fairslot.calendars.microsoft_events import PROPERTY_ID, Rules
from fairslot.calendars.microsoft_schedule import MicrosoftSchedule
from fairslot.domain.slots import Window, slot_of
from tests.support.environment import clear_caches

BASE = "http://127.0.0.1:9/v1.0"
LIMITS = Limits(attempts=1, answer_seconds=5)
BERLIN = ZoneInfo("Europe/Berlin")
DAY = datetime(2026, 11, 30, 9, tzinfo=UTC)
WINDOW = Window(slot_of(DAY), 8)  # two hours from 10:00 in Berlin
SOURCE = UUID(int=2)
KEY = EventKey(appointment_id=UUID(int=1), source_id=SOURCE)
HOUR = timedelta(hours=1)
EVENT = Event(key=KEY, start=DAY, end=DAY + HOUR, title="Intro call")
ADDRESS = "ana@example.com"


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of providers are on this machine."""
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    clear_caches()


class Tokens:
    """Gives a token, or another."""

    async def get(self, *, fresh: bool = False) -> str:
        return "new" if fresh else "old"


class Graph(httpx.MockTransport):
    """Gives one answer after the other, and keeps the requests."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        super().__init__(self._answer)
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status, body = self.answers.pop(0)
        return httpx.Response(status, stream=httpx.ByteStream(json.dumps(body).encode()))

    def calendar(self, **more: Any) -> MicrosoftCalendar:
        """Open the calendar."""
        return MicrosoftCalendar(
            token=Tokens(),
            source_id=SOURCE,
            zone=BERLIN,
            base_url=BASE,
            limits=LIMITS,
            transport=self,
            **more,
        )

    def free(self, **more: Any) -> Free:
        """Read it."""
        return asyncio.run(self.calendar(**more).free(WINDOW))

    def put(self) -> Sighting:
        """Write the event."""
        return asyncio.run(self.calendar().put(EVENT))

    def remove(self, ref: str | None = None) -> None:
        """Remove the event."""
        asyncio.run(self.calendar().remove(KEY, ref))

    def schedule(self, **more: Any) -> int:
        """Read the free/busy times."""
        opened = MicrosoftSchedule(
            token=Tokens(), address=ADDRESS, base_url=BASE, limits=LIMITS, transport=self, **more
        )
        return asyncio.run(opened.free(WINDOW)).bits

    @property
    def asked(self) -> list[str]:
        """The methods and paths of the requests."""
        return [f"{one.method} {one.url.path.removeprefix('/v1.0/')}" for one in self.requests]


def time(instant: datetime, zone: str = "UTC") -> dict[str, str]:
    """Write a time as Graph does."""
    return {"dateTime": f"{instant:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": zone}


def event(**more: object) -> dict[str, object]:
    """Make an event as Graph answers it: of an hour, unless `more` says otherwise."""
    return {
        "@odata.etag": 'W/"1"',
        "id": "AAMk=",
        "start": time(DAY),
        "end": time(DAY + HOUR),
        "isAllDay": False,
        "showAs": "busy",
        "isCancelled": False,
        "type": "singleInstance",
        "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
        **more,
    }


def ours(start: datetime = DAY, key: EventKey = KEY, **more: object) -> dict[str, object]:
    """Make an event that we wrote."""
    named = [{"id": PROPERTY_ID, "value": key_text(key)}]
    made: dict[str, object] = {"transactionId": event_id(key), "singleValueExtendedProperties": named}
    return event(**{"start": time(start), "end": time(start + HOUR)} | made | more)


def page(*events: object, **more: object) -> tuple[int, dict[str, object]]:
    """Make a page."""
    return 200, {"value": list(events), **more}


def refused(status: int, code: str) -> tuple[int, dict[str, object]]:
    """Make a refusal."""
    return status, {"error": {"code": code, "message": "x"}}


FREE, BUSY = 0b11111111, 0b00001111


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


def test_an_event_is_created_once() -> None:
    """It is looked for, then made with its transaction id and nobody invited."""
    graph = Graph(page(), (201, ours()))
    assert (graph.put().ref, graph.asked) == ("AAMk=", ["GET me/calendar/events", "POST me/calendar/events"])
    sent = json.loads(graph.requests[1].content)
    assert (sent["transactionId"], sent["start"]) == (
        event_id(KEY),
        {"dateTime": "2026-11-30T09:00:00", "timeZone": "UTC"},
    )
    assert "attendees" not in sent


def test_a_repeated_write_finds_its_event() -> None:
    """After a lost answer: by the property, or as the answer to the same transaction id, old times moved."""
    assert Graph(page(ours())).put().ref == "AAMk="
    for first in ((201, ours(DAY - HOUR)), refused(409, "ErrorDuplicateTransactionId")):
        again = () if first[0] == 201 else (page(ours(DAY - HOUR)),)
        graph = Graph(page(), first, *again, (200, ours()))
        assert graph.put().start == DAY
        assert graph.requests[-1].method == "PATCH"
        assert graph.requests[-1].headers["if-match"] == 'W/"1"'


@pytest.mark.parametrize(
    "answers",
    [
        [page(), refused(400, "ErrorDuplicateTransactionId"), page()],
        [page(ours(DAY - HOUR)), refused(404, "ErrorItemNotFound"), page()],
    ],
)
def test_what_the_coach_deleted_is_a_conflict(answers: list[tuple[int, object]]) -> None:
    """Which another generation solves, and nothing else."""
    with pytest.raises(CalendarError, match="conflict"):
        Graph(*answers).put()


def test_a_move_that_meets_another_change_looks_again() -> None:
    """It is bounded."""
    elsewhere, changed = page(ours(DAY - HOUR)), refused(412, "ErrorIrresolvableConflict")
    assert Graph(elsewhere, changed, page(ours())).put().start == DAY
    with pytest.raises(CalendarError, match="http_412"):
        Graph(*[elsewhere, changed] * 3, elsewhere).put()


def test_a_copy_is_never_written_to() -> None:
    """Neither moved nor removed."""
    copy = page(ours(transactionId=None, id="copy"))
    graph = Graph(copy, (201, ours()))
    graph.put()
    graph = Graph(copy)
    graph.remove()
    assert graph.asked == ["GET me/calendar/events"]


@pytest.mark.parametrize(
    "gone", [refused(404, "ErrorItemNotFound"), (410, {}), refused(400, "ErrorInvalidIdMalformed")]
)
def test_what_is_gone_is_removed(gone: tuple[int, object]) -> None:
    """After it was looked for by its key, as ids can change."""
    Graph((204, {})).remove("a/b")
    graph = Graph(gone, page(ours()), (204, {}))
    graph.remove("a/b")
    assert [one.url.raw_path.decode().partition("?")[0] for one in graph.requests] == [
        "/v1.0/me/events/a%2Fb",
        "/v1.0/me/calendar/events",
        "/v1.0/me/events/AAMk%3D",
    ]
    Graph(gone, page()).remove("x")
    Graph(gone, refused(404, "ErrorItemNotFound")).remove("x")
    with pytest.raises(CalendarError, match="http_400"):
        Graph(refused(400, "BadRequest")).remove("x")


def schedule(**more: object) -> tuple[int, dict[str, object]]:
    """Make an answer of getSchedule."""
    return 200, {
        "value": [{"scheduleId": ADDRESS, "availabilityView": "00000000", "scheduleItems": [], **more}]
    }


def test_free_busy_is_read_slot_by_slot() -> None:
    """Free where neither the view nor an item says otherwise; working elsewhere as the coach says."""
    assert Graph(schedule(availabilityView="01234900")).schedule() == 0b10001011
    busy = Rules(working_elsewhere_is_busy=True)
    assert Graph(schedule(availabilityView="01234900")).schedule(rules=busy) == 0b10000011
    item = {"status": "oof", "start": time(DAY), "end": time(DAY + HOUR)}
    assert Graph(schedule(scheduleItems=[item])).schedule() == BUSY
    away = [{**item, "status": "workingElsewhere"}]
    assert Graph(schedule(scheduleItems=away)).schedule() == FREE
    assert Graph(schedule(scheduleItems=away)).schedule(rules=busy) == BUSY


@pytest.mark.parametrize(
    ("more", "reason", "ended"),
    [
        ({"error": {"responseCode": "ErrorMailRecipientNotFound"}}, "not_found", "unsupported"),
        ({"error": {"responseCode": "ErrorNoFreeBusyAccess"}}, "forbidden", "disconnected"),
        ({"error": {"responseCode": "ErrorTimeoutExpired"}}, "http_500", None),
        ({"error": {}}, "http_500", None),
        ({"availabilityView": "0000000"}, "invalid_body", None),
        ({"availabilityView": None}, "invalid_body", None),
        ({"scheduleId": "ben@example.com"}, "invalid_body", None),
    ],
)
def test_an_error_inside_a_200_is_never_free(more: dict[str, object], reason: str, ended: str | None) -> None:
    """Nor is an answer about somebody else, or about another time."""
    with pytest.raises(CalendarError) as raised:
        Graph(schedule(**more)).schedule()
    assert (raised.value.reason, raised.value.ended) == (reason, ended)


def test_a_long_window_is_asked_for_in_parts() -> None:
    """Of 60 days, put together in order."""
    window = Window(WINDOW.first_slot, 5760 + 8)
    graph = Graph(schedule(availabilityView="2" * 5760), schedule(availabilityView="00000002"))
    opened = MicrosoftSchedule(
        token=Tokens(), address=ADDRESS, app_only=True, base_url=BASE, limits=LIMITS, transport=graph
    )
    assert asyncio.run(opened.free(window)).bits == 0b11111110
    assert graph.asked == ["POST users/ana@example.com/calendar/getSchedule"] * 2
