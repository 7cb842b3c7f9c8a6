"""Appointments that no longer fit what an operator sets: the plan first, then what the operator says."""

from typing import Any

import pytest

from fairslot.platform.db import Connection
from fairslot.team import changes
from tests.support.clock import DAY, HALF, HOUR, NINE
from tests.support.endpoints import add_endpoint
from tests.support.http import ask, body_of, booked, check_problem
from tests.support.invariants import check_invariants, check_replay
from tests.support.tables import count, one_row, table_digests
from tests.support.team import set_calendar
from tests.support.team_api import CALENDAR, COACH, free, put, touched

ONE = "/api/coaches/coach-01"
_TOLD = "webhook_deliveries AS delivery JOIN changes ON changes.change_id = delivery.event_id"
ABSENCE = {"start": "2026-03-03T00:00:00Z", "end": "2026-03-04T00:00:00Z", "reason": "ill"}
# What takes coach-01 away from the appointments at nine: method, path, body, and the reason that is given.
CHANGES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "deactivated": ("PATCH", ONE, {"active": False}, "inactive"),
    "hours": ("PATCH", ONE, {"working_hours": {"tue": None}}, "outside_working_hours"),
    "override": ("PATCH", ONE, {"overrides": [{"date": "2026-03-03"}]}, "outside_working_hours"),
    "zone": ("PATCH", ONE, {"time_zone": "America/Los_Angeles"}, "outside_working_hours"),
    "absence": ("POST", f"{ONE}/absences", ABSENCE, "absent"),
    "left": ("DELETE", "/api/calendars/cal/coaches/coach-01", {}, "left_team"),
    "deleted": ("DELETE", ONE, {}, "inactive"),
}


@pytest.fixture
def nine(team: Connection) -> Connection:
    """Six appointments from nine on, two with each coach, and a CRM that gets their events."""
    add_endpoint(team, "crm", "appointment.*")
    for step in range(6):
        booked(NINE + step * HALF)
    return team


def coaches_of(connection: Connection, **where: Any) -> list[str]:
    """Return the coaches of the scheduled appointments."""
    found = body_of(ask("GET", "/api/appointments", query={"status": "scheduled", **where}))
    return [one["coach_id"] for one in found["data"]]


@pytest.mark.parametrize("kind", CHANGES)
def test_it_is_refused_with_the_plan(nine: Connection, kind: str) -> None:
    """Each appointment with the reason and who would take it; nothing is changed."""
    method, path, body, reason = CHANGES[kind]
    before = table_digests(nine)
    appointments = touched(ask(method, path, body))
    assert [one["coach_id"] for one in appointments] == ["coach-01"] * 2
    assert {one["reason"] for one in appointments} == {reason}
    assert {one["outcome"] for one in appointments} == {"reassigned"}
    assert {one["new_coach_id"] for one in appointments} == {"coach-02", "coach-03"}
    assert table_digests(nine) == before
    plan = body_of(ask(method, path, body, query={"dry_run": "true"}))
    assert plan["appointments"] == appointments
    assert table_digests(nine) == before


@pytest.mark.parametrize("kind", CHANGES)
def test_reassigning_is_fair_and_recorded(nine: Connection, kind: str) -> None:
    """The others get the appointments as the plan said; every decision replays, and events go out."""
    method, path, body, _ = CHANGES[kind]
    planned = touched(ask(method, path, body))
    assert ask(method, path, body, query={"appointments": "reassign"}).status in {200, 201, 204}
    for one in planned:
        now = body_of(ask("GET", f"/api/appointments/{one['appointment_id']}"))
        assert now["coach_id"] == one["new_coach_id"]
    assert sorted(coaches_of(nine)) == ["coach-02"] * 3 + ["coach-03"] * 3
    assert count(nine, _TOLD, "type = 'appointment.reassigned'") == 2
    assert "coach-01" not in free(NINE + 4 * HOUR) or kind == "zone"
    check_invariants(nine)
    check_replay(nine)


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_kept_of_availability_follows(nine: Connection, kind: str) -> None:
    """Who was listed as free before a change is not listed after it; the roster says who is inactive."""
    at = NINE + 4 * HOUR
    method, path, body, _ = CHANGES[kind]
    assert free(at) == ["coach-01", "coach-02", "coach-03"]
    body_of(ask(method, path, body, query={"dry_run": "true"}))
    assert "coach-01" in free(at)
    assert ask(method, path, body, query={"appointments": "keep"}).status in {200, 201, 204}
    assert free(at) == (["coach-01"] if kind == "zone" else []) + ["coach-02", "coach-03"]
    absent = {"deactivated": "inactive"}.get(kind)
    team = nine.execute("SELECT coach_id, absent FROM coach_credits").fetchall()
    assert [one["absent"] for one in team if one["coach_id"] == "coach-01"] == (
        [] if kind in {"left", "deleted"} else [absent]
    )


@pytest.mark.parametrize("kind", CHANGES)
def test_cancelling_gives_the_time_back(nine: Connection, kind: str) -> None:
    """The appointments are cancelled, as ones that the coach cannot hold."""
    method, path, body, _ = CHANGES[kind]
    assert ask(method, path, body, query={"appointments": "cancel"}).status in {200, 201, 204}
    assert sorted(coaches_of(nine)) == ["coach-02"] * 2 + ["coach-03"] * 2
    row = one_row(
        nine,
        "SELECT DISTINCT cancelled_by, cancel_reason FROM coach_appointments WHERE status = 'cancelled'",
    )
    assert row == {"cancelled_by": "coach", "cancel_reason": body.get("reason")}
    check_invariants(nine)
    check_replay(nine)


@pytest.mark.parametrize("kind", CHANGES)
def test_keeping_marks_a_conflict_once(nine: Connection, kind: str) -> None:
    """They stay with the coach, marked; what fits no better than before is not touched again."""
    method, path, body, _ = CHANGES[kind]
    assert ask(method, path, body, query={"appointments": "keep"}).status in {200, 201, 204}
    assert count(nine, "coach_appointments", "conflict AND coach_id = 'coach-01' AND version = 2") == 2
    if method == "PATCH":
        before = table_digests(nine)
        assert ask("PATCH", path, body).status == 200
        assert table_digests(nine) == before
        assert ask("PATCH", path, {"limits": {"per_day": 9}}).status == 200
    check_invariants(nine)
    check_replay(nine)


def test_all_are_reassigned_or_none(nine: Connection) -> None:
    """If nobody is free for one of them nothing is changed, and the plan says for which."""
    for coach_id in ("coach-02", "coach-03"):
        body = {"overrides": [{"date": "2026-03-03", "hours": [["09:00", "10:30"]]}]}
        body_of(ask("PATCH", f"/api/coaches/{coach_id}", body, query={"appointments": "keep"}))
    before = table_digests(nine)
    answer = ask("PATCH", ONE, {"active": False}, query={"appointments": "reassign"})
    outcomes = [one["outcome"] for one in touched(answer)]
    assert "nobody_free" in outcomes
    assert "Nobody is free" in answer.json["message"]
    assert table_digests(nine) == before


def test_a_hold_that_no_longer_fits_is_released(team: Connection) -> None:
    """It is no appointment yet, so it refuses nothing; one that fits stays."""
    for start in (NINE, NINE + DAY):
        for _ in range(3):
            body = {"calendar_id": "cal", "start_time": start.isoformat()}
            assert ask("POST", "/api/holds", body).status == 201
    off = {"overrides": [{"date": "2026-03-03"}]}
    plan = body_of(ask("PATCH", ONE, off, query={"dry_run": "true"}))
    assert (plan["holds_released"], plan["appointments"]) == (1, [])
    body_of(ask("PATCH", ONE, off))
    assert count(team, "coach_appointments", "status = 'held'") == 5
    check_invariants(team)
    check_replay(team)


@pytest.mark.parametrize(
    "patch", [{"time_zone": "Europe/Berlin"}, {"working_hours": {"tue": [["00:00", "24:00"]]}}]
)
def test_what_still_fits_is_left_alone(nine: Connection, patch: dict[str, Any]) -> None:
    """A change of hours or zone loses neither appointments nor holds."""
    hours = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    body_of(ask("PATCH", ONE, {"working_hours": hours}))
    assert (
        ask("POST", "/api/holds", {"calendar_id": "cal", "start_time": (NINE + 4 * HOUR).isoformat()}).status
        == 201
    )
    before = count(nine, "coach_appointments", "version = 1")
    body_of(ask("PATCH", ONE, patch))
    assert count(nine, "coach_appointments", "version = 1") == before
    check_invariants(nine)


def test_a_closed_date_of_a_calendar_touches_its_appointments(nine: Connection) -> None:
    """Nobody can take them; cancelled by the system, their credits go back."""
    body = {"blocked_dates": ["2026-03-03"]}
    for choice in (None, "reassign"):
        query = {"appointments": choice} if choice else {}
        appointments = touched(ask("PATCH", "/api/calendars/cal", body, query=query))
        assert {(one["reason"], one["outcome"]) for one in appointments} == {
            ("calendar_closed", "nobody_free")
        }
    body_of(ask("PATCH", "/api/calendars/cal", body, query={"appointments": "cancel"}))
    assert count(nine, "coach_appointments", "cancelled_by = 'system'") == 6
    assert count(nine, "coach_credits", "credit <> 0") == 0
    check_invariants(nine)
    check_replay(nine)


@pytest.mark.parametrize("choice", ["cancel", "keep"])
def test_a_calendar_is_deleted_by_plan(nine: Connection, choice: str) -> None:
    """With its appointments cancelled, or kept as they are."""
    appointments = touched(ask("DELETE", "/api/calendars/cal"))
    assert {one["reason"] for one in appointments} == {"calendar_deleted"}
    assert free(NINE + 4 * HOUR)
    assert ask("DELETE", "/api/calendars/cal", query={"appointments": choice}).status == 204
    assert count(nine, "coach_appointments", "status = 'scheduled'") == (6 if choice == "keep" else 0)
    assert ask("GET", "/api/availability", query={"calendar_id": "cal"}).status == 404
    check_invariants(nine)


def test_a_deleted_calendar_and_who_left_begin_anew(nine: Connection) -> None:
    """With the ids used again everybody has neither credit nor debt, and the whole record replays."""
    for path in ("/api/calendars/cal", ONE):
        assert ask("DELETE", path, query={"appointments": "cancel"}).status == 204
    put("/api/calendars/cal", CALENDAR, status=201)
    put(ONE, COACH, status=201)
    for coach_id in ("coach-01", "coach-02"):
        put(f"/api/calendars/cal/coaches/{coach_id}", {}, status=201)
    assert count(nine, "coach_credits", "credit = 0 AND last_assigned_seq IS NULL") == 2
    for step in range(4):
        booked(NINE + step * HALF)
    assert set(coaches_of(nine)) == {"coach-01", "coach-02"}
    check_invariants(nine)
    check_replay(nine)


def test_too_many_appointments_are_refused(nine: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is bounded; the message says what to do."""
    monkeypatch.setattr(changes, "MOST_APPOINTMENTS", 1)
    before = table_digests(nine)
    problem = check_problem(
        ask("PATCH", ONE, {"active": False}, query={"appointments": "keep"}), 409, "CONFLICT"
    )
    assert "in parts" in problem["message"]
    assert table_digests(nine) == before


def test_reassigning_goes_on_after_expired_holds(nine: Connection, clock: Any) -> None:
    """A hold that has expired is cleared, and who had it can take over."""
    set_calendar(nine, "cal", conflict_policy="keep")
    start = {"calendar_id": "cal", "start_time": (NINE + 6 * HALF).isoformat(), "minutes": 1}
    assert ask("POST", "/api/holds", start).status == 201
    clock(NINE - HOUR)
    assert ask("PATCH", ONE, {"active": False}, query={"appointments": "reassign"}).status == 200
    assert count(nine, "coach_appointments", "status = 'held'") == 0
    check_replay(nine)
