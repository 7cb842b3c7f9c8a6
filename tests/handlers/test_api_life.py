"""Holding, moving, handing over, reporting and explaining, over HTTP."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from tests.support.clock import MINUTE, NINE, NOW, QUARTER
from tests.support.http import ask, body_of, book, booked, check_problem
from tests.support.invariants import check_invariants
from tests.support.tables import count, table_digests

PATH = "/api/appointments"


def hold(start: datetime = NINE, **members: Any) -> dict[str, Any]:
    """Return a hold that has to succeed."""
    return body_of(
        ask("POST", "/api/holds", {"calendar_id": "cal", "start_time": start.isoformat(), **members}), 201
    )


def test_a_hold_and_its_confirmation(team: Connection) -> None:
    """A hold is answered 201 with the contract's shape, and a booking with its hold_id takes its coach."""
    held = hold(minutes=10)
    assert set(held) == {"hold_id", "calendar_id", "coach_id", "start_time", "end_time", "expires_at"}
    assert datetime.fromisoformat(held["expires_at"]) == NOW + timedelta(minutes=10)
    made = booked(hold_id=held["hold_id"])
    assert (made["appointment_id"], made["coach_id"]) == (held["hold_id"], held["coach_id"])
    check_problem(book(hold_id=held["hold_id"]), 410, "HOLD_EXPIRED")
    check_invariants(team)


def test_an_expired_hold_is_gone_and_in_nobodys_way(
    team: Connection, clock: Callable[[datetime], None]
) -> None:
    """At the instant of its expiry it cannot be confirmed, and its time is listed and booked again."""
    team.execute("DELETE FROM coach_calendars WHERE coach_id <> 'coach-01'")
    held = hold()
    check_problem(book(), 409, "SLOT_UNAVAILABLE")
    clock(NOW + timedelta(minutes=5))
    check_problem(book(hold_id=held["hold_id"]), 410, "HOLD_EXPIRED")
    page = ask("GET", "/api/availability", query={"calendar_id": "cal"}).json
    assert page["slots"][0]["start_time"] <= "2026-03-03T14:00:00Z"
    assert "2026-03-03T14:00:00Z" in {one["start_time"] for one in page["slots"]}
    hold()
    clock(NOW + timedelta(minutes=10))
    booked()
    check_invariants(team)


def test_a_hold_can_be_given_back(team: Connection) -> None:
    """Deleting a hold answers 204; after that there is no such hold."""
    held = hold()
    assert ask("DELETE", f"/api/holds/{held['hold_id']}").status == 204
    check_problem(ask("DELETE", f"/api/holds/{held['hold_id']}"), 404, "NOT_FOUND")
    assert count(team, "coach_appointments") == 0
    check_invariants(team)


@pytest.mark.parametrize("minutes", [0, 16, 2.5, "many"])
def test_a_hold_lasts_one_to_fifteen_minutes(team: Connection, minutes: object) -> None:
    """Anything else is refused and changes nothing."""
    before = table_digests(team)
    body = {"calendar_id": "cal", "start_time": NINE.isoformat(), "minutes": minutes}
    check_problem(ask("POST", "/api/holds", body), 422, "VALIDATION_ERROR")
    assert table_digests(team) == before


def test_a_client_has_only_so_many_holds(team: Connection, environment: Callable[..., None]) -> None:
    """Beyond the cap it is a conflict of its own."""
    environment(MAX_HOLDS_PER_CLIENT="1")
    hold()
    body = {"calendar_id": "cal", "start_time": NINE.isoformat()}
    check_problem(ask("POST", "/api/holds", body), 409, "HOLD_LIMIT_REACHED")


def test_moving_an_appointment(team: Connection) -> None:
    """A move answers 200 with the appointment, its version one higher; a refused one leaves it as it was."""
    made = booked()
    path = f"{PATH}/{made['appointment_id']}"
    moved = ask("POST", f"{path}/reschedule", {"start_time": (NINE + QUARTER).isoformat()})
    assert moved.status == 200, moved
    assert (moved.json["version"], moved.json["status"]) == (2, "scheduled")
    assert moved.json["start_time"] == "2026-03-03T14:15:00Z"
    midnight = {"start_time": (NINE + timedelta(hours=10)).isoformat(), "coach": "any"}
    check_problem(ask("POST", f"{path}/reschedule", midnight), 409, "SLOT_UNAVAILABLE")
    assert ask("GET", path).json == moved.json | {"calendar_events": []}
    check_invariants(team)


def test_handing_over_an_appointment(team: Connection) -> None:
    """Without a name another coach gets it, with a name that one; a stranger to the team is not found."""
    made = booked()
    path = f"{PATH}/{made['appointment_id']}/reassign"
    first = ask("POST", path)
    assert first.status == 200, first
    assert first.json["coach_id"] != made["coach_id"]
    second = ask("POST", path, {"coach_id": made["coach_id"], "reason": "back again"})
    assert (second.json["coach_id"], second.json["version"]) == (made["coach_id"], 3)
    check_problem(ask("POST", path, {"coach_id": made["coach_id"]}), 422, "VALIDATION_ERROR")
    check_problem(ask("POST", path, {"coach_id": "nobody"}), 404, "NOT_FOUND")
    check_invariants(team)


@pytest.mark.parametrize("outcome", ["completed", "no_show"])
def test_reporting_an_outcome(team: Connection, clock: Callable[[datetime], None], outcome: str) -> None:
    """The appointment has ended; nothing more can be done to it, and each refusal names its state."""
    made = booked()
    path = f"{PATH}/{made['appointment_id']}"
    early = check_problem(ask("POST", f"{path}/outcome", {"outcome": outcome}), 409, "ILLEGAL_TRANSITION")
    assert early["details"] == [
        {"loc": "status", "type": "scheduled"},
        {"loc": "start_time", "type": "not_started"},
    ]
    clock(NINE)
    late = check_problem(ask("POST", f"{path}/cancel"), 409, "ILLEGAL_TRANSITION")
    assert late["details"][1] == {"loc": "start_time", "type": "has_started"}
    done = ask("POST", f"{path}/outcome", {"outcome": outcome})
    assert (done.status, done.json["status"], done.json["version"]) == (200, outcome, 2)
    later = {"start_time": (NINE + QUARTER).isoformat()}
    for action, body in (
        ("cancel", None),
        ("reschedule", later),
        ("reassign", None),
        ("outcome", {"outcome": outcome}),
    ):
        problem = check_problem(ask("POST", f"{path}/{action}", body), 409, "ILLEGAL_TRANSITION")
        assert outcome in problem["detail"]
        assert problem["details"] == [{"loc": "status", "type": outcome}]
    check_invariants(team)


@pytest.mark.parametrize(
    ("action", "body", "other"),
    [
        ("reschedule", {"start_time": "2026-03-03T15:00:00Z"}, {"start_time": "2026-03-03T16:00:00Z"}),
        ("reassign", {"reason": "ill"}, {"reason": "well"}),
        ("outcome", {"outcome": "completed"}, {"outcome": "no_show"}),
        ("cancel", {"reason": "no time"}, {"reason": "no wish"}),
    ],
)
def test_every_change_has_one_effect_a_key(
    team: Connection,
    cache: Redis,
    clock: Callable[[datetime], None],
    action: str,
    body: dict[str, Any],
    other: dict[str, Any],
) -> None:
    """The same key again is a replay, from the cache and without it; with another body it is refused."""
    path = f"{PATH}/{booked()['appointment_id']}/{action}"
    if action == "outcome":
        clock(NINE)
    headers = [("Idempotency-Key", "once")]
    first = ask("POST", path, body, headers=headers)
    assert first.status == 200, first
    again = ask("POST", path, body, headers=headers)
    cache.flushall()
    flushed = ask("POST", path, body, headers=headers)
    for answer in (again, flushed):
        assert (answer.status, answer.json) == (200, first.json)
        assert answer.headers["idempotent-replayed"] == "true"
    check_problem(ask("POST", path, other, headers=headers), 422, "IDEMPOTENCY_KEY_REUSED")
    check_invariants(team)


def test_holding_has_one_effect_a_key(team: Connection, cache: Redis) -> None:
    """The same key holds once, and gives back once."""
    body = {"calendar_id": "cal", "start_time": NINE.isoformat()}
    headers = [("X-Idempotency-Key", "hold")]
    first = ask("POST", "/api/holds", body, headers=headers)
    assert ask("POST", "/api/holds", body, headers=headers).json == first.json
    assert count(team, "coach_appointments") == 1
    path, headers = f"/api/holds/{first.json['hold_id']}", [("X-Idempotency-Key", "release")]
    assert ask("DELETE", path, headers=headers).status == 204
    cache.flushall()
    again = ask("DELETE", path, headers=headers)
    assert (again.status, again.headers["idempotent-replayed"]) == (204, "true")


def test_why_this_coach(team: Connection) -> None:
    """A decision has the contract's shape: every coach, shares that sum to one, and a sentence."""
    made = booked()
    found = ask("GET", f"{PATH}/{made['appointment_id']}/decision")
    assert found.status == 200, found
    decision = found.json
    assert set(decision) == {
        "appointment_id",
        "calendar_id",
        "seq",
        "kind",
        "requires",
        "policy",
        "policy_version",
        "chosen",
        "reason",
        "reversed",
        "candidates",
    }
    assert decision["chosen"] == made["coach_id"]
    assert decision["reason"].startswith("3 coaches were free.")
    assert len(decision["candidates"]) == 3
    assert set(decision["candidates"][0]) == {
        "coach_id",
        "eligible",
        "excluded_reason",
        "weight",
        "share",
        "credit_before",
        "last_assigned_seq",
        "met",
        "missing",
    }
    assert sum(one["share"] for one in decision["candidates"]) == pytest.approx(1)


def test_why_not_then(team: Connection) -> None:
    """Explaining names each coach with a reason; an instant off the grid or a foreign calendar is refused."""
    made = booked()
    query = {"calendar_id": "cal", "start_time": NINE.isoformat()}
    told = ask("GET", "/api/availability/explain", query=query)
    assert told.status == 200, told
    reasons = {one["coach_id"]: (one["free"], one["reason"]) for one in told.json["coaches"]}
    assert reasons.pop(made["coach_id"]) == (False, "booked")
    assert set(reasons.values()) == {(True, None)}
    past = ask("GET", "/api/availability/explain", query=query | {"start_time": NOW.isoformat()})
    assert {one["reason"] for one in past.json["coaches"]} == {"minimum_notice"}
    odd = query | {"start_time": (NINE + MINUTE).isoformat()}
    check_problem(ask("GET", "/api/availability/explain", query=odd), 422, "VALIDATION_ERROR")
    check_problem(
        ask("GET", "/api/availability/explain", query=query | {"calendar_id": "no"}), 404, "NOT_FOUND"
    )
