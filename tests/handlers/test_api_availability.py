"""The page of bookable starts: its shape, its cuts, its clocks, and how fresh it is."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fairslot.coach_time.days import extend_days
from fairslot.domain.slots import SLOT_SECONDS
from fairslot.platform.db import Connection
from tests.support.clock import NINE, NOW, QUARTER, SECOND
from tests.support.fixtures import Clock
from tests.support.http import ask, booked
from tests.support.team import ALWAYS, add_calendar, add_coach

PATH = "/api/availability"


def page(**query: Any) -> dict[str, Any]:
    """Return a page that has to be served."""
    answer = ask("GET", PATH, query=query)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json
    return found


def instants(found: dict[str, Any]) -> list[str]:
    """Return the starts of a page."""
    return [slot["start_time"] for slot in found["slots"]]


def test_the_page_of_a_calendar(team: Connection) -> None:
    """A page is exactly what the contract says, start by start."""
    booked()
    found = page(calendar_id="cal", start="2026-03-03T14:00:00Z", end="2026-03-03T14:45:00Z")
    assert found == {
        "calendar_id": "cal",
        "slots": [
            {
                "start_time": "2026-03-03T14:00:00Z",
                "end_time": "2026-03-03T14:30:00Z",
                "available_coaches": 2,
            },
            {
                "start_time": "2026-03-03T14:15:00Z",
                "end_time": "2026-03-03T14:45:00Z",
                "available_coaches": 2,
            },
            {
                "start_time": "2026-03-03T14:30:00Z",
                "end_time": "2026-03-03T15:00:00Z",
                "available_coaches": 3,
            },
        ],
        "total_available": 3,
        "synced_at": None,
        "stale": False,
        "next_cursor": None,
    }


def test_local_times_and_coaches_stand_where_asked_for(team: Connection) -> None:
    """`timezone` adds the local start and `include=coaches` the coaches, in order of their ids."""
    made = booked()
    found = page(
        calendar_id="cal",
        start="2026-03-03T14:00:00Z",
        end="2026-03-03T14:15:00Z",
        timezone="Asia/Kathmandu",
        include="coaches",
    )
    others = sorted({"coach-01", "coach-02", "coach-03"} - {made["coach_id"]})
    assert found["slots"] == [
        {
            "start_time": "2026-03-03T14:00:00Z",
            "end_time": "2026-03-03T14:30:00Z",
            "available_coaches": 2,
            "local_start_time": "2026-03-03T19:45:00+05:45",
            "coach_ids": others,
        }
    ]


def test_without_a_calendar_every_calendar_is_told(team: Connection) -> None:
    """Each entry names its own calendar, and its length is that calendar's."""
    add_calendar(team, "hour", ["coach-01"], duration=60)
    found = page(start="2026-03-03T14:00:00Z", end="2026-03-03T14:15:00Z")
    assert found["calendar_id"] is None
    assert found["slots"] == [
        {
            "start_time": "2026-03-03T14:00:00Z",
            "end_time": "2026-03-03T14:30:00Z",
            "available_coaches": 3,
            "calendar_id": "cal",
        },
        {
            "start_time": "2026-03-03T14:00:00Z",
            "end_time": "2026-03-03T15:00:00Z",
            "available_coaches": 1,
            "calendar_id": "hour",
        },
    ]


@pytest.mark.parametrize("limit", [1, 7, 500])
@pytest.mark.parametrize("query", [{"calendar_id": "cal", "days": 2}, {"days": 1, "include": "coaches"}])
def test_pages_joined_are_the_whole(team: Connection, query: dict[str, Any], limit: int) -> None:
    """Following the cursor gives every start once, in order, and the total with every page."""
    add_calendar(team, "hour", ["coach-01", "coach-02"], duration=60, slot_interval=30)
    whole = page(**query)
    assert whole["next_cursor"] is None
    joined: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    pages = 0
    while True:
        found = page(**query, limit=limit, **more)
        assert len(found["slots"]) <= limit
        assert found["total_available"] == whole["total_available"] == len(whole["slots"])
        joined += found["slots"]
        pages += 1
        if found["next_cursor"] is None:
            break
        assert len(found["slots"]) == limit
        more = {"cursor": found["next_cursor"]}
    assert joined == whole["slots"]
    assert pages == -(-len(joined) // limit)


def test_days_count_from_now_and_are_seven_by_default(team: Connection) -> None:
    """`days` is a stretch from this moment, the same as its start and end."""
    start = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    for days in (1, 7, 30):
        end = (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert page(calendar_id="cal", days=days) == page(calendar_id="cal", start=start, end=end)
    assert page(calendar_id="cal") == page(calendar_id="cal", days=7)
    assert page(calendar_id="cal", start=start) == page(calendar_id="cal", days=7)
    whole = instants(page(calendar_id="cal", days=60))
    assert whole[0] == "2026-03-02T14:00:00Z"
    assert len(whole) == 60 * 31  # 09:00 to 16:30 on every day


def test_ends_may_have_any_offset_and_cut_exactly(team: Connection) -> None:
    """The first instant belongs to the stretch, the last does not, whatever zone they are written in."""
    found = page(calendar_id="cal", start="2026-03-03T09:00:00-05:00", end="2026-03-03T15:30:00+01:00")
    assert instants(found) == ["2026-03-03T14:00:00Z", "2026-03-03T14:15:00Z"]
    late = page(calendar_id="cal", start="2026-03-03T14:00:01Z", end="2026-03-03T14:15:01Z")
    assert instants(late) == ["2026-03-03T14:15:00Z"]


def test_what_is_over_is_not_offered(team: Connection, clock: Clock) -> None:
    """No start is offered that is not in the future, to the second."""
    clock(NINE)
    assert instants(page(calendar_id="cal", start="2026-03-01T00:00:00Z"))[0] == "2026-03-03T14:15:00Z"
    clock(NINE - SECOND)
    assert instants(page(calendar_id="cal"))[0] == "2026-03-03T14:00:00Z"


def test_what_is_offered_can_be_booked_and_nothing_else(team: Connection) -> None:
    """The end of a page is the end of what can be booked: one quarter further is refused."""
    last = instants(page(calendar_id="cal", days=60))[-1]
    booked(last)
    beyond = datetime.fromisoformat(last) + QUARTER
    answer = ask(
        "POST",
        "/api/appointments",
        {
            "calendar_id": "cal",
            "start_time": beyond.isoformat(),
            "contact_email": "zoe@example.com",
            "contact_name": "Zoë",
        },
    )
    assert (answer.status, answer.json["error"]) == (409, "SLOT_UNAVAILABLE")


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Australia/Lord_Howe", "UTC"])
def test_local_times_are_those_of_the_zones_clocks(team: Connection, zone: str) -> None:
    """Over a change of the clocks every local start names the instant and the offset of its own day."""
    add_coach(team, "night", working_hours=ALWAYS)
    add_calendar(team, "night", ["night"])
    extend_days(team, now=NOW)
    found = page(calendar_id="night", start="2026-03-07T00:00:00Z", end="2026-04-07T00:00:00Z", timezone=zone)
    assert len(found["slots"]) == 31 * 96
    for slot in found["slots"]:
        local = datetime.fromisoformat(slot["local_start_time"])
        instant = datetime.fromisoformat(slot["start_time"])
        assert local.astimezone(UTC) == instant
        assert local.utcoffset() == instant.astimezone(ZoneInfo(zone)).utcoffset()
    steps = {
        datetime.fromisoformat(b["start_time"]) - datetime.fromisoformat(a["start_time"])
        for a, b in pairwise(found["slots"])
    }
    assert steps == {timedelta(seconds=SLOT_SECONDS)}


def test_the_missing_hour_is_not_offered(team: Connection) -> None:
    """On the day when New York leaves out an hour, 09:00 to 17:00 are still eight hours, an hour earlier."""
    found = page(
        calendar_id="cal",
        start="2026-03-08T05:00:00Z",
        end="2026-03-09T04:00:00Z",
        timezone="America/New_York",
    )
    assert len(found["slots"]) == 31
    assert found["slots"][0]["start_time"] == "2026-03-08T13:00:00Z"
    assert found["slots"][0]["local_start_time"] == "2026-03-08T09:00:00-04:00"
