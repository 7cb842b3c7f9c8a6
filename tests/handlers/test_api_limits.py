"""Limits, buffers and notices of coaches and members over the API: what they do from the answer on."""

from datetime import datetime
from typing import Any

import pytest

from fairslot.platform.db import Connection
from tests.support.clock import DAY, HOUR, MINUTE, NINE, NOW
from tests.support.fixtures import Clock
from tests.support.http import ask, body_of, book, booked, check_problem
from tests.support.invariants import check_invariants
from tests.support.tables import count
from tests.support.team_api import free, put

LIMITS: dict[str, tuple[dict[str, int], str]] = {
    "week": ({"per_week": 1}, "weekly_maximum"),
    "month": ({"per_month": 1}, "monthly_maximum"),
    "minutes": ({"minutes_per_week": 45}, "weekly_minutes"),
}


def why(start: datetime) -> dict[str, str | None]:
    """Return why each coach is not free at a start."""
    query = {"calendar_id": "cal", "start_time": start.isoformat()}
    coaches = body_of(ask("GET", "/api/availability/explain", query=query))["coaches"]
    return {one["coach_id"]: one["reason"] for one in coaches}


@pytest.mark.parametrize(("limits", "reason"), LIMITS.values(), ids=LIMITS)
def test_a_limit_holds_from_the_answer_on(team: Connection, limits: dict[str, int], reason: str) -> None:
    """For what is listed, explained and decided; what is booked is not touched by it."""
    chosen = [booked(NINE)["coach_id"] for _ in range(3)]
    changed = ask("PATCH", "/api/coaches/coach-01", {"limits": limits}, query={"dry_run": "true"})
    assert body_of(changed)["appointments"] == []
    body_of(ask("PATCH", "/api/coaches/coach-01", {"limits": limits}))
    assert sorted(chosen) == ["coach-01", "coach-02", "coach-03"]
    assert free(NINE + DAY) == ["coach-02", "coach-03"]
    assert why(NINE + DAY)["coach-01"] == reason
    done = booked(NINE + DAY)
    decision = body_of(ask("GET", f"/api/appointments/{done['appointment_id']}/decision"))
    excluded = {one["coach_id"]: one["excluded_reason"] for one in decision["candidates"]}
    assert excluded == {"coach-01": reason, "coach-02": None, "coach-03": None}
    body_of(ask("PATCH", "/api/coaches/coach-01", {"limits": None}))
    assert count(team, "coach_periods") == 0
    assert "coach-01" in free(NINE + 2 * DAY)
    check_invariants(team)


def test_when_everybody_is_at_the_limit_nothing_can_be_booked(team: Connection) -> None:
    """The start is unavailable, as if all were busy."""
    for number in (1, 2, 3):
        body_of(ask("PATCH", f"/api/coaches/coach-0{number}", {"limits": {"per_week": 1}}))
        booked(NINE + number * HOUR)
    assert free(NINE + DAY) == []
    check_problem(book(NINE + DAY), 409, "SLOT_UNAVAILABLE")
    check_invariants(team)


@pytest.mark.parametrize("path", ["/api/coaches/coach-01", "/api/calendars/cal/coaches/coach-01"])
def test_buffers_and_notice_hold_from_the_answer_on(team: Connection, path: str) -> None:
    """For a coach everywhere, and for a coach in one calendar."""
    booked(NINE + HOUR)
    own: dict[str, Any] = {"buffers": {"before": 15, "after": 45}, "notice": 26 * 60 + 60}
    changed = body_of(ask("PATCH", path, own)) if path.startswith("/api/coaches") else put(path, own)
    assert changed.items() >= own.items()
    assert why(NINE)["coach-01"] == "minimum_notice"
    assert why(NINE + HOUR + 30 * MINUTE)["coach-01"] == "buffer"
    assert why(NINE + DAY)["coach-01"] is None
    assert free(NINE) == ["coach-02", "coach-03"]


def test_a_page_follows_a_notice_as_time_passes(team: Connection, clock: Clock) -> None:
    """Its text is kept with the team, and is another one when a coach can no longer be had."""
    body_of(ask("PATCH", "/api/coaches/coach-01", {"notice": 26 * 60}))
    query = {"calendar_id": "cal", "days": 3, "include": "coaches"}
    first = ask("GET", "/api/availability", query=query)
    clock(NOW + MINUTE)
    second = ask("GET", "/api/availability", query=query)
    assert first.headers["etag"] != second.headers["etag"]
    at = f"{NINE:%Y-%m-%dT%H:%M:%SZ}"
    pages = [
        {one["start_time"]: one["coach_ids"] for one in answer.json["slots"]} for answer in (first, second)
    ]
    assert [page[at] for page in pages] == [["coach-01", "coach-02", "coach-03"], ["coach-02", "coach-03"]]
    assert pages[0].keys() == pages[1].keys()
