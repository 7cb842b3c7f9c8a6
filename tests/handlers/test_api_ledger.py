"""Kinds of hours, adjustments, absences that settle, and the record, as an operator sees them."""

from typing import Any

import pytest

from fairslot.domain.replay import Step, compare, replay
from fairslot.platform.db import Connection
from tests.support.clock import DAY, HALF, HOUR, NINE
from tests.support.http import ask, body_of, booked, check_problem
from tests.support.invariants import check_invariants, check_replay
from tests.support.tables import table_digests

CALENDAR = "/api/calendars/cal"
ADJUSTMENTS = f"{CALENDAR}/adjustments"
SATURDAY = NINE + 4 * DAY
KINDS: list[dict[str, Any]] = [
    {"name": "weekend", "days": ["sat", "sun"]},
    {"name": "early", "before": "09:00"},
    {"name": "late", "from": "17:00"},
]


@pytest.fixture
def kinds(team: Connection) -> Connection:
    """The small team, with three kinds of hours."""
    body_of(ask("PATCH", CALENDAR, {"hour_kinds": KINDS}))
    return team


def adjust(status: int = 201, **body: Any) -> dict[str, Any]:
    """Adjust what coach-02 is owed."""
    given = {"coach_id": "coach-02", "bookings": 0.75, "reason": "covered for a colleague", **body}
    return body_of(ask("POST", ADJUSTMENTS, given), status)


def owed(**query: Any) -> dict[str, dict[str, float]]:
    """Return what each coach is owed, by kind."""
    found = body_of(ask("GET", "/api/coaches/distribution", query={"calendar_id": "cal", **query}))
    return {
        one["kind"]: {share["coach_id"]: share["credit"] for share in one["distribution"]}
        for one in found["kinds"]
    }


def record(limit: int = 3) -> tuple[list[Step], list[dict[str, Any]]]:
    """Read the record page by page; return its steps, and the credits that the last page has."""
    steps: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = body_of(ask("GET", f"{CALENDAR}/record", query=query))
        assert (page["credits"] is None) == (page["next_cursor"] is not None)
        steps += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            names = ("seq", "step", "kind", "policy", "chosen", "reverses_seq", "candidates")
            return [Step(**{name: one[name] for name in names}) for one in steps], page["credits"]


def test_kinds_are_shown_as_they_were_set(kinds: Connection) -> None:
    """Only what was given of each; none is an empty list; a change of them is a new version of the rule."""
    assert body_of(ask("GET", CALENDAR))["hour_kinds"] == KINDS
    assert booked(SATURDAY)["calendar_id"] == "cal"
    plan = body_of(ask("PATCH", CALENDAR, {"hour_kinds": None}, query={"dry_run": "true"}))
    assert plan["changes"][0]["members"] == ["hour_kinds"]
    moved = {(one["kind"], one["credit_before"], one["credit_after"]) for one in plan["shares"]}
    assert ("weekend", 0.333333, None) in moved
    assert ("normal", 0.0, 0.333333) in moved
    assert body_of(ask("PATCH", CALENDAR, {"hour_kinds": None}))["hour_kinds"] == []
    assert owed() == {"normal": {"coach-01": -0.666666, "coach-02": 0.333333, "coach-03": 0.333333}}
    check_invariants(kinds)
    check_replay(kinds)


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ({"name": "Weekend", "days": ["sat"]}, "0.name"),
        ({"name": "weekend"}, "0"),
        ({"name": "weekend", "days": []}, "0.days"),
        ({"name": "weekend", "days": ["sat", "sat"]}, "0.days"),
        ({"name": "weekend", "days": ["saturday"]}, "0.days.0"),
        ({"name": "late", "from": "17:05"}, "0.from"),
        ({"name": "late", "from": "24:00"}, "0"),
        ({"name": "late", "before": "00:00"}, "0"),
        ({"name": "late", "from": "09:00", "before": "09:00"}, "0"),
        ({"name": "late", "since": "09:00"}, "0.since"),
        ({"from": "09:00"}, "0.name"),
    ],
)
def test_kinds_that_mean_nothing_are_refused(team: Connection, kind: dict[str, Any], place: str) -> None:
    """With the place; nothing changes."""
    before = table_digests(team)
    answer = ask("PATCH", CALENDAR, {"hour_kinds": [kind]})
    check_problem(answer, 422, "VALIDATION_ERROR")
    assert f"body.hour_kinds.{place}" in {one["loc"] for one in answer.json["details"]}
    assert table_digests(team) == before


def test_the_kind_is_told_wherever_a_booking_is_explained(kinds: Connection) -> None:
    """In the explanation of a start, in the decision, in the distribution."""
    query = {"calendar_id": "cal", "start_time": SATURDAY.isoformat()}
    assert body_of(ask("GET", "/api/availability/explain", query=query))["kind"] == "weekend"
    made = booked(SATURDAY)
    decision = body_of(ask("GET", f"/api/appointments/{made['appointment_id']}/decision"))
    assert decision["kind"] == "weekend"
    assert "Of the weekend bookings Coach-01 was owed 0.00" in decision["reason"]
    assert owed()["weekend"]["coach-01"] == -0.666666
    assert set(owed()["normal"].values()) == {0}


def test_an_adjustment_moves_what_is_owed(kinds: Connection) -> None:
    """A dry run shows credits before and after; then it is on record, listed and replayed."""
    booked(SATURDAY)
    before = table_digests(kinds)
    body = {"coach_id": "coach-02", "bookings": 0.75, "reason": "covered", "kind": "weekend"}
    plan = body_of(ask("POST", ADJUSTMENTS, body, query={"dry_run": "true"}))
    assert [
        (one["kind"], one["coach_id"], one["credit_before"], one["credit_after"]) for one in plan["shares"]
    ] == [
        ("weekend", "coach-01", -0.666666, -1.041666),
        ("weekend", "coach-02", 0.333333, 1.083333),
        ("weekend", "coach-03", 0.333333, -0.041667),
    ]
    assert table_digests(kinds) == before
    made = adjust(kind="weekend")
    assert (made["bookings"], made["kind"], made["coach_id"]) == (0.75, "weekend", "coach-02")
    assert owed()["weekend"]["coach-02"] == 1.083333
    other = adjust(bookings=-0.000001)
    first = body_of(ask("GET", ADJUSTMENTS, query={"limit": 1}))
    second = body_of(ask("GET", ADJUSTMENTS, query={"cursor": first["next_cursor"]}))
    assert first["data"] + second["data"] == [made, other]
    assert second["next_cursor"] is None
    check_invariants(kinds)
    check_replay(kinds)


def test_a_key_adjusts_once(team: Connection) -> None:
    """A retry has the first answer."""
    body = {"coach_id": "coach-02", "bookings": 1, "reason": "r"}
    first, second = (ask("POST", ADJUSTMENTS, body, headers={"X-Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status, first.json) == (second.status, second.json)
    assert owed()["normal"]["coach-02"] == 1.0


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        ({"coach_id": "nobody"}, 404, None),
        ({"kind": "weekend"}, 422, "body.kind"),
        ({"bookings": 0}, 422, "body.bookings"),
        ({"bookings": 0.0000001}, 422, "body.bookings"),
        ({"bookings": 1001}, 422, "body.bookings"),
        ({"bookings": "NaN"}, 422, "body.bookings"),
        ({"reason": ""}, 422, "body.reason"),
        ({"more": 1}, 422, "body.more"),
    ],
)
def test_what_cannot_be_adjusted_is_refused(
    team: Connection, body: dict[str, Any], status: int, place: str | None
) -> None:
    """With the place; nothing changes."""
    before = table_digests(team)
    given = {"coach_id": "coach-02", "bookings": 1, "reason": "r", **body}
    answer = ask("POST", ADJUSTMENTS, given)
    check_problem(answer, status, "NOT_FOUND" if status == 404 else "VALIDATION_ERROR")
    assert place is None or place in {one["loc"] for one in answer.json["details"]}
    assert table_digests(team) == before


@pytest.mark.parametrize("ledger", [None, "keep", "settle"])
def test_an_absence_says_what_becomes_of_the_credits(kinds: Connection, ledger: str | None) -> None:
    """By default nothing; settled, the coach begins at 0, on record as an adjustment with the reason."""
    for start in (NINE + HOUR, SATURDAY):
        booked(start)
    before = owed()
    body = {"start": (NINE + 20 * DAY).isoformat(), "end": (NINE + 60 * DAY).isoformat(), "reason": "leave"}
    given = body | ({} if ledger is None else {"ledger": ledger})
    plan = body_of(ask("POST", "/api/coaches/coach-01/absences", given, query={"dry_run": "true"}))
    made = body_of(ask("POST", "/api/coaches/coach-01/absences", given), 201)
    assert made["ledger"] == ledger or (made["ledger"], ledger) == ("keep", None)
    assert body_of(ask("GET", "/api/coaches/coach-01/absences"))["data"] == [made]
    listed = body_of(ask("GET", ADJUSTMENTS))["data"]
    if ledger != "settle":
        assert (owed(), listed, plan["shares"]) == (before, [], [])
        return
    assert {one["kind"] for one in plan["shares"]} == {"normal", "weekend"}
    assert owed()["weekend"] == {"coach-01": 0, "coach-02": 0, "coach-03": 0}
    assert [(one["kind"], one["bookings"], one["reason"], one["absence_id"]) for one in listed] == [
        ("normal", 0.666666, "leave", made["absence_id"]),
        ("weekend", 0.666666, "leave", made["absence_id"]),
    ]
    check_invariants(kinds)
    check_replay(kinds)


def test_the_record_replays_from_its_pages(kinds: Connection) -> None:
    """Every kind of step, in pages of any size; the last page has the credits that they lead to."""
    assert record() == ([], record()[1])
    made = [booked(SATURDAY + n * HALF) for n in range(3)] + [booked(NINE + HOUR)]
    ask("POST", f"/api/appointments/{made[0]['appointment_id']}/cancel")
    move = {"start_time": (SATURDAY + 4 * HOUR).isoformat(), "coach": "any"}
    body_of(ask("POST", f"/api/appointments/{made[3]['appointment_id']}/reschedule", move))
    adjust(kind="weekend")
    left = ask("DELETE", f"{CALENDAR}/coaches/coach-03", query={"appointments": "keep"})
    assert left.status == 204
    body_of(ask("PATCH", CALENDAR, {"hour_kinds": KINDS[1:]}))
    for limit in (1, 3, 500):
        steps, balance = record(limit)
        assert {one.step for one in steps} == {"assigned", "reversed", "adjusted", "left", "removed"}
        books, count = replay(steps)
        compare(books, balance)
        assert count == len(steps)
    check_problem(ask("GET", f"{CALENDAR}/record", query={"cursor": "WyJ4Il0="}), 400, "VALIDATION_ERROR")
