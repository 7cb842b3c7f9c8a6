"""The calendar API's overlapping half hours as slots."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.calendars.calendar_api import CalendarApi
from fairslot.calendars.interface import CalendarError
from fairslot.domain import slots
from fairslot.domain.slots import Window

NEW_YORK = ZoneInfo("America/New_York")
DAY = datetime(2026, 3, 9, 13, tzinfo=UTC)
NOON = Window(slots.slot_of(DAY), 8)  # two hours from 09:00 in New York


class Api:
    """The calendar API, answering one body."""

    def __init__(self, body: object) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def read(self, url: str, *, params: dict[str, str], accept: str) -> bytes:
        """Answer, and remember what was asked for."""
        assert accept == "application/json"
        self.asked.append((url, params))
        return self.body

    def free(self, window: Window = NOON, now: datetime = DAY, coach_id: str = "coach-1") -> int:
        """Read the calendar."""
        calendar = CalendarApi(
            base_url="http://calendar.test/",
            coach_id=coach_id,
            zone=NEW_YORK,
            read=self.read,
            now=lambda: now,
        )
        return asyncio.run(calendar.free(window)).bits


def entry(start: int, *, available: object = True, minutes: int = 30) -> dict[str, Any]:
    """Make the entry that starts so many minutes after nine."""
    begin = DAY + timedelta(minutes=start)
    end = begin + timedelta(minutes=minutes)
    return {"start_time": begin.isoformat(), "end_time": end.isoformat(), "available": available}


def answer(*entries: dict[str, Any]) -> dict[str, Any]:
    """Make the API's answer."""
    total = sum(bool(one["available"]) for one in entries)
    return {
        "coach_id": "coach-1",
        "timezone": "America/New_York",
        "slots": list(entries),
        "total_available": total,
        "generated_at": "2026-03-09T13:00:00Z",
    }


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], "00000000"),
        ([entry(0)], "11000000"),
        ([entry(0), entry(15), entry(30)], "11110000"),
        # A meeting from 09:30 to 10:00: no entry that touches it is available.
        ([entry(0), *[entry(n, available=False) for n in (15, 30, 45)], entry(60)], "11001100"),
        ([entry(0), entry(15, available=False)], "11000000"),
        ([entry(0, available=False), entry(15)], "01100000"),
        # Outside the window, in part and as a whole.
        ([entry(-15), entry(-60), entry(105), entry(300)], "10000001"),
        # Off the grid only whole slots count; other lengths count as a whole.
        ([entry(5)], "01000000"),
        ([entry(0, minutes=10)], "00000000"),
        ([entry(0, minutes=75)], "11111000"),
    ],
)
def test_entries_are_free_as_a_whole(entries: list[dict[str, Any]], expected: str) -> None:
    """Free is what some available entry covers, and nothing else."""
    assert f"{Api(answer(*entries)).free():08b}" == expected


def test_offsets_do_not_matter() -> None:
    """The same instant in another offset is the same slot."""
    local = {
        "start_time": "2026-03-09T09:00:00-04:00",
        "end_time": "2026-03-09T14:30:00+01:00",
        "available": True,
    }
    assert Api(answer(local)).free() == 0b11000000


@given(st.lists(st.tuples(st.integers(-4, 12), st.booleans()), max_size=20))
def test_free_is_what_available_entries_cover(drawn: list[tuple[int, bool]]) -> None:
    """Slot by slot: free when an available half hour holds it."""
    found = Api(answer(*(entry(15 * at, available=available) for at, available in drawn))).free()
    expected = [any(available and at <= slot < at + 2 for at, available in drawn) for slot in range(8)]
    assert [bool(found >> 7 - slot & 1) for slot in range(8)] == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"success": tru',
        b"<html></html>",
        [],
        None,
        {"coach_id": "coach-1"},
        {"error": "Internal"},
        {"coach_id": "coach-1", "slots": None},
        {"coach_id": "coach-1", "slots": {}},
        {"coach_id": "coach-1", "slots": [[]]},
        {"slots": []},
        {"coach_id": "coach-2", "slots": []},
        answer(entry(0), {"start_time": "2026-03-09T13:00:00Z", "available": True}),
        answer({"start_time": "2026-03-09T13:00:00", "end_time": "2026-03-09T13:30:00", "available": True}),
        answer(entry(0, available="yes")),
        answer(entry(0, available=None)),
        answer(entry(0, minutes=0)),
        answer(entry(0, minutes=-30)),
        answer({"start_time": 1773061200, "end_time": 1773063000, "available": True}),
    ],
)
def test_an_invalid_body_is_an_error(body: object) -> None:
    """What is not the contract's answer about this coach is never an empty calendar."""
    with pytest.raises(CalendarError, match="invalid_body"):
        Api(body).free()


@pytest.mark.parametrize(
    ("now", "first", "days", "expected"),
    [
        ("2026-03-09T13:00:00+00:00", "2026-03-09", 1, "1"),
        ("2026-03-09T13:00:00+00:00", "2026-03-09", 61, "61"),
        # Late in the evening in New York it is tomorrow in UTC, and still today.
        ("2026-03-10T03:00:00+00:00", "2026-03-09", 7, "7"),
        ("2026-03-09T13:00:00+00:00", "2026-03-12", 2, "5"),
        # Over both changes of the clocks.
        ("2026-03-07T13:00:00+00:00", "2026-03-07", 300, "300"),
        ("2026-03-09T13:00:00+00:00", "2026-03-01", 2, "1"),
    ],
)
def test_the_days_are_those_of_the_window(now: str, first: str, days: int, expected: str) -> None:
    """As many days as it takes from today to the window's end, by the coach's clock."""
    begin = datetime.fromisoformat(first).date()
    start = slots.day_of(NEW_YORK, begin)[0]
    end = slots.day_of(NEW_YORK, begin + timedelta(days=days))[0]
    api = Api(answer())
    api.free(Window(start, end - start), datetime.fromisoformat(now))
    assert api.asked == [("http://calendar.test/coaches/coach-1/availability", {"days": expected})]


def test_the_coach_stays_in_the_path() -> None:
    """An id with a slash asks for no other path."""
    api = Api({"coach_id": "../a b?x", "slots": []})
    api.free(coach_id="../a b?x")
    assert api.asked[0][0] == "http://calendar.test/coaches/..%2Fa%20b%3Fx/availability"
