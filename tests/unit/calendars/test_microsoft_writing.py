"""Calendars of Microsoft 365: what a write does, and when it is repeated."""

import asyncio
import json
from dataclasses import replace

import pytest

from fairslot.calendars.event_ids import event_id
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.microsoft_events import new_event
from tests.support.environment import clear_caches
from tests.unit.calendars.graph import DAY, EVENT, HOUR, KEY, Graph, ours, page, refused


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of providers are on this machine."""
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    clear_caches()


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
        graph = Graph(page(), first, page(ours(DAY - HOUR)), (200, ours()))
        assert graph.put().start == DAY
        assert graph.requests[-1].method == "PATCH"
        assert graph.requests[-1].headers["if-match"] == 'W/"1"'


def test_a_repeated_write_leaves_what_the_coach_moved() -> None:
    """It is told from another write by the digest that is written with the event."""
    there = ours(DAY + HOUR)
    there["singleValueExtendedProperties"] = new_event(EVENT)["singleValueExtendedProperties"]
    assert Graph(page(there)).put().start == DAY + HOUR
    other = EVENT.title + "!"
    graph = Graph(page(there), (200, ours()))
    asyncio.run(graph.calendar().put(replace(EVENT, title=other)))
    assert json.loads(graph.requests[1].content)["subject"] == other


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
