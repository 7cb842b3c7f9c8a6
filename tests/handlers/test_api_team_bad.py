"""What an operator cannot mean: refused by its place, and nothing is changed."""

from typing import Any

import pytest

from fairslot.platform.db import Connection
from tests.support.http import ask, check_problem
from tests.support.tables import table_digests
from tests.support.team_api import CALENDAR, COACH

_PATTERN = "string_pattern_mismatch"
_MARCH = [{"date": f"2026-03-{day:02}"} for day in range(1, 29)]
WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("coaches", {"name": ""}, "name", "string_too_short"),
    ("coaches", {"name": "A\u202eB"}, "name", "control_character"),
    ("coaches", {"name": None}, "name", "string_type"),
    ("coaches", {"email": "zed"}, "email", _PATTERN),
    ("coaches", {"time_zone": "Mars/Olympus"}, "time_zone", "unknown_time_zone"),
    ("coaches", {"active": "perhaps"}, "active", "bool_parsing"),
    ("coaches", {"nmae": "Zed"}, "nmae", "extra_forbidden"),
    ("coaches", {"limits": {"per_year": 3}}, "limits.per_year", "extra_forbidden"),
    ("coaches", {"limits": {"per_week": -1}}, "limits.per_week", "greater_than_equal"),
    ("coaches", {"limits": {"per_month": 10**5}}, "limits.per_month", "less_than_equal"),
    ("coaches", {"limits": {"minutes_per_week": "many"}}, "limits.minutes_per_week", "int_parsing"),
    ("coaches", {"limits": 5}, "limits", "model_type"),
    ("coaches", {"buffers": {"before": 10}}, "buffers.before", "multiple_of"),
    ("coaches", {"buffers": {"after": 255}}, "buffers.after", "less_than_equal"),
    ("coaches", {"notice": 10**10}, "notice", "less_than_equal"),
    ("coaches", {"limits": {"per_day": 105}}, "limits.per_day", "less_than_equal"),
    ("coaches", {"score": 0}, "score", "greater_than_equal"),
    ("coaches", {"working_hours": {"monday": []}}, "working_hours.monday.[key]", "literal_error"),
    ("coaches", {"working_hours": {"mon": [["09:00"]]}}, "working_hours.mon.0", "too_short"),
    (
        "coaches",
        {"working_hours": {"mon": [["9:00", "17:00"]]}},
        "working_hours.mon.0.0",
        _PATTERN,
    ),
    (
        "coaches",
        {"working_hours": {"mon": [["09:10", "17:00"]]}},
        "working_hours.mon.0.0",
        _PATTERN,
    ),
    (
        "coaches",
        {"working_hours": {"mon": [["09:00", "24:15"]]}},
        "working_hours.mon.0.1",
        _PATTERN,
    ),
    ("coaches", {"working_hours": {"mon": [["24:00", "02:00"]]}}, "working_hours.mon.0", "hours_start"),
    (
        "coaches",
        {"overrides": [{"date": "2026-03-03", "hours": [["09:00", "10:00"], ["24:00", "24:00"]]}]},
        "overrides.0.hours.1",
        "hours_start",
    ),
    (
        "coaches",
        {"working_hours": {"mon": [["09:00", "12:00"], ["11:45", "17:00"]]}},
        "working_hours.mon",
        "hours_overlap",
    ),
    (
        "coaches",
        {"working_hours": {"mon": [["22:00", "02:00"]], "tue": [["01:00", "05:00"]]}},
        "working_hours",
        "hours_overlap",
    ),
    (
        "coaches",
        {"working_hours": {"sun": [["22:00", "02:00"]], "mon": [["01:45", "05:00"]]}},
        "working_hours",
        "hours_overlap",
    ),
    ("coaches", {"overrides": [{"date": "2026-02-30"}]}, "overrides.0.date", "date_from_datetime_parsing"),
    ("coaches", {"overrides": [{"date": 5}]}, "overrides.0.date", "date"),
    ("coaches", {"overrides": [{"date": "2026-03-03"}] * 2}, "overrides", "date_repeated"),
    (
        "coaches",
        {"overrides": [_MARCH[0] | {"at": 1}]},
        "overrides.0.at",
        "extra_forbidden",
    ),
    (
        "coaches",
        {"overrides": _MARCH * 15},
        "overrides",
        "too_long",
    ),
    ("calendars", {"slot_duration": 20}, "slot_duration", "multiple_of"),
    ("calendars", {"slot_duration": 735}, "slot_duration", "less_than_equal"),
    ("calendars", {"slot_duration": None}, "slot_duration", "int_type"),
    ("calendars", {"slot_interval": 0}, "slot_interval", "greater_than_equal"),
    ("calendars", {"buffers": {"before": 10}}, "buffers.before", "multiple_of"),
    ("calendars", {"buffers": 15}, "buffers", "model_type"),
    ("calendars", {"notice": -1}, "notice", "greater_than_equal"),
    ("calendars", {"horizon": 367}, "horizon", "less_than_equal"),
    ("calendars", {"max_per_day": 10**10}, "max_per_day", "less_than_equal"),
    ("calendars", {"blocked_dates": ["2026-03-03"] * 2}, "blocked_dates", "date_repeated"),
    ("calendars", {"blocked_dates": ["03.03.2026"]}, "blocked_dates.0", "date"),
    ("calendars", {"slug": "In Tro"}, "slug", _PATTERN),
    ("calendars", {"policy": "random"}, "policy", "literal_error"),
    ("calendars", {"conflict_policy": "ignore"}, "conflict_policy", "literal_error"),
    ("calendars", {"fairness": {"gamma": 21}}, "fairness.gamma", "less_than_equal"),
    ("calendars", {"fairness": {"low": 3}}, "fairness", "low_above_high"),
    ("calendars", {"requires": {}}, "requires", "list_type"),
    ("calendars", {"description": "x" * 4001}, "description", "string_too_long"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda one: f"{one[2]}-{one[3]}")
def test_what_cannot_be_meant_is_said_by_its_place(
    team: Connection, wrong: tuple[str, Any, str, str]
) -> None:
    """A member that is wrong or unknown is named; nothing is made."""
    resource, members, place, kind = wrong
    body = (COACH if resource == "coaches" else CALENDAR) | members
    before = table_digests(team)
    problem = check_problem(ask("PUT", f"/api/{resource}/new", body), 422, "VALIDATION_ERROR")
    assert {"loc": f"body.{place}", "type": kind} in problem["details"]
    assert table_digests(team) == before


@pytest.mark.parametrize("weight", [0, -1, 101, "heavy", None, float("nan")])
def test_a_weight_has_bounds(team: Connection, weight: Any) -> None:
    """So that no weight overflows and none is nothing."""
    before = table_digests(team)
    answer = ask("PUT", "/api/calendars/cal/coaches/coach-01", {"weight": weight})
    assert answer.status in {400, 422}
    assert answer.json["error"] == "VALIDATION_ERROR"
    assert table_digests(team) == before


@pytest.mark.parametrize("member", [{"buffers": {"before": 20}}, {"buffers": 15}, {"notice": -1}])
def test_the_rules_of_a_member_have_bounds(team: Connection, member: dict[str, Any]) -> None:
    """As those of calendars and coaches have."""
    before = table_digests(team)
    check_problem(ask("PUT", "/api/calendars/cal/coaches/coach-01", member), 422, "VALIDATION_ERROR")
    assert table_digests(team) == before


@pytest.mark.parametrize("coach_id", ["distribution", "a%20b", "-a", "a" * 101, "%E2%80%AE", "a/b"])
def test_an_id_has_letters_that_need_no_escape(team: Connection, coach_id: str) -> None:
    """It stands in paths; one that another route has is none."""
    before = table_digests(team)
    assert ask("PUT", f"/api/coaches/{coach_id}", COACH).status in {404, 405}
    assert table_digests(team) == before


@pytest.mark.parametrize("working_hours", [
    {"mon": [["22:00", "02:00"]], "tue": [["02:00", "05:00"]]},
    {"sun": [["22:00", "06:00"]], "mon": [["06:00", "22:00"]]},
    {"mon": [["00:00", "24:00"]], "tue": [["00:00", "00:00"]]},
])  # fmt: skip
def test_hours_may_meet_and_cross_midnight(team: Connection, working_hours: dict[str, Any]) -> None:
    """Where one interval ends another may begin."""
    assert ask("PUT", "/api/coaches/zed", COACH | {"working_hours": working_hours}).status == 201
