"""Booking, reading, listing and cancelling over HTTP."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from fairslot.platform.db import Connection
from tests.support.clock import NINE, NOW, QUARTER
from tests.support.http import ask, book, booked, check_problem
from tests.support.invariants import check_invariants
from tests.support.tables import count, table_digests
from tests.support.team import add_calendar

PATH = "/api/appointments"
APPOINTMENT = {
    "requires",
    "appointment_id",
    "calendar_id",
    "coach_id",
    "contact_name",
    "contact_email",
    "start_time",
    "end_time",
    "timezone",
    "status",
    "version",
    "notes",
    "metadata",
    "crm_contact_id",
    "external_calendar_id",
    "external_block",
    "conflict",
    "created_at",
    "updated_at",
    "cancelled_at",
}


def listed(**query: Any) -> list[str]:
    """Return the ids of a page of appointments."""
    answer = ask("GET", PATH, query=query)
    assert answer.status == 200, answer
    assert set(answer.json) == {"data", "next_cursor"}
    return [one["appointment_id"] for one in answer.json["data"]]


def test_the_answer_to_a_booking(team: Connection) -> None:
    """A booking is answered 201 with exactly what the contract says."""
    answer = book()
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    assert "idempotent-replayed" not in answer.headers
    made = answer.json
    assert UUID(made.pop("appointment_id")).version == 7
    assert made.pop("coach_id") in {"coach-01", "coach-02", "coach-03"}
    assert made == {
        "calendar_id": "cal",
        "start_time": "2026-03-03T14:00:00Z",
        "end_time": "2026-03-03T14:30:00Z",
        "status": "scheduled",
        "version": 1,
    }
    check_invariants(team)


@pytest.mark.parametrize(
    "start", ["2026-03-03T14:00:00Z", "2026-03-03T09:00:00-05:00", "2026-03-03T19:45:00.000+05:45"]
)
def test_a_start_may_have_any_offset(team: Connection, start: str) -> None:
    """The same instant is the same start, however it is written."""
    assert booked(start)["start_time"] == "2026-03-03T14:00:00Z"


def test_an_appointment_is_shown_as_it_was_asked_for(team: Connection) -> None:
    """Reading an appointment gives every member of the contract and what the customer sent."""
    metadata = {"source": "web", "tags": ["a", 1, None, 1.5, True], "deep": {"ö": "✓"}}
    made = booked(notes="Is there\na lift?", timezone="Europe/Paris", metadata=metadata)
    shown = ask("GET", f"{PATH}/{made['appointment_id']}")
    assert shown.status == 200
    assert set(shown.json) == APPOINTMENT | {"calendar_events"}
    assert shown.json | made == shown.json
    assert shown.json["contact_name"] == "Zoë Secret"
    assert shown.json["contact_email"] == "zoe@example.com"
    assert shown.json["notes"] == "Is there\na lift?"
    assert shown.json["timezone"] == "Europe/Paris"
    assert shown.json["metadata"] == metadata
    assert shown.json["conflict"] is False
    for name in ("crm_contact_id", "external_calendar_id", "cancelled_at"):
        assert shown.json[name] is None
    for name in ("start_time", "end_time", "created_at", "updated_at"):
        assert datetime.fromisoformat(shown.json[name]).tzinfo == UTC
        assert shown.json[name].endswith("Z")


def test_what_was_left_out_is_null(team: Connection) -> None:
    """Optional members are there without a value."""
    shown = ask("GET", f"{PATH}/{booked()['appointment_id']}").json
    assert (shown["notes"], shown["timezone"], shown["metadata"]) == (None, None, {})


def test_a_full_time_is_refused(team: Connection) -> None:
    """When every coach is taken the answer is 409, and nothing has changed."""
    coaches = {booked()["coach_id"] for _ in range(3)}
    assert len(coaches) == 3
    before = table_digests(team)
    for start in (NINE, NINE + QUARTER, NINE - QUARTER):
        problem = check_problem(book(start, headers={"X-Idempotency-Key": "k"}), 409, "SLOT_UNAVAILABLE")
        assert problem["details"] == [{"loc": "start_time", "type": "no_coach_free"}]
    assert table_digests(team) == before
    check_invariants(team)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("min_notice_minutes = 2880", "minimum_notice"),
        ("horizon_days = 1", "beyond_horizon"),
        ("max_per_day = 0", "daily_maximum"),
        ("blocked_dates = '{2026-03-03}'", "outside_working_hours"),
        ("active = false", "inactive"),
    ],
)
def test_a_refusal_of_the_calendar_says_why(team: Connection, change: str, reason: str) -> None:
    """The reason is for machines as explaining has it, and for people in words; holding says the same."""
    team.execute(f"UPDATE calendars SET {change}".encode())
    problem = check_problem(book(), 409, "SLOT_UNAVAILABLE")
    assert problem["details"] == [{"loc": "start_time", "type": reason}]
    assert "calendar" in problem["detail"]
    held = ask("POST", "/api/holds", {"calendar_id": "cal", "start_time": NINE.isoformat()})
    assert held.json["details"] == problem["details"]


@pytest.mark.parametrize(
    ("start", "about"),
    [
        ("2026-03-03T13:45:00Z", "before the working hours"),
        ("2026-03-03T21:45:00Z", "half of it after them"),
        ("2026-05-03T14:00:00Z", "beyond the horizon"),
        ("8000-01-01T00:00:00Z", "in another age"),
    ],
)
def test_a_time_that_nobody_offers_is_refused(team: Connection, start: str, about: str) -> None:
    """What availability does not list cannot be booked."""
    before = table_digests(team)
    check_problem(book(start), 409, "SLOT_UNAVAILABLE")
    assert table_digests(team) == before


def test_two_requests_without_a_key_are_two_bookings(team: Connection) -> None:
    """Without a key nothing is taken for a repetition, however alike."""
    one, other = booked(), booked()
    assert one["appointment_id"] != other["appointment_id"]
    assert one["coach_id"] != other["coach_id"]
    assert count(team, "changes", "key IS NOT NULL") == 0


def test_cancelling_gives_the_time_back(team: Connection) -> None:
    """A cancelled appointment is answered whole, one version on, and its time can be booked again."""
    made = [booked() for _ in range(3)]
    answer = ask("POST", f"{PATH}/{made[0]['appointment_id']}/cancel", {"by": "coach", "reason": "ill"})
    assert answer.status == 200
    assert set(answer.json) == APPOINTMENT
    assert (answer.json["status"], answer.json["version"]) == ("cancelled", 2)
    assert answer.json["cancelled_at"] is not None
    assert answer.json["updated_at"] == answer.json["cancelled_at"]
    assert ask("GET", f"{PATH}/{made[0]['appointment_id']}").json == answer.json | {"calendar_events": []}
    assert booked()["coach_id"] == made[0]["coach_id"]
    row = team.execute(
        "SELECT cancelled_by, cancel_reason FROM coach_appointments WHERE version = 2"
    ).fetchone()
    assert row == {"cancelled_by": "coach", "cancel_reason": "ill"}
    check_invariants(team)


def test_what_is_cancelled_cannot_be_cancelled(team: Connection) -> None:
    """The second cancellation is 409 with the state that it is in, and changes nothing."""
    path = f"{PATH}/{booked()['appointment_id']}/cancel"
    assert ask("POST", path).status == 200
    before = table_digests(team)
    problem = check_problem(ask("POST", path), 409, "ILLEGAL_TRANSITION")
    assert "cancelled" in problem["message"]
    assert table_digests(team) == before


def test_the_list_is_in_order_of_the_starts(team: Connection) -> None:
    """Appointments come by their start, whatever the order they were booked in."""
    starts = [NINE + step * QUARTER for step in (8, 2, 0, 4, 6)]
    ids = {start: booked(start)["appointment_id"] for start in starts}
    assert listed() == [ids[start] for start in sorted(starts)]


@pytest.mark.parametrize("limit", [1, 2, 5, 200])
def test_pages_of_the_list_joined_are_the_whole(team: Connection, limit: int) -> None:
    """Following the cursor gives every appointment once, those of one start too."""
    for _ in range(3):
        booked(NINE)
        booked(NINE + 2 * QUARTER)
    whole = listed()
    assert len(set(whole)) == 6
    joined: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = ask("GET", PATH, query=query).json
        assert len(page["data"]) <= limit
        joined += [one["appointment_id"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert joined == whole


def test_a_page_that_is_just_full_has_no_next(team: Connection) -> None:
    """The cursor is only given when there is more."""
    booked()
    booked()
    assert ask("GET", PATH, query={"limit": 2}).json["next_cursor"] is None
    assert ask("GET", PATH, query={"limit": 1}).json["next_cursor"] is not None


def test_the_list_can_be_narrowed(team: Connection) -> None:
    """Each filter leaves out what does not match, and together they all count."""
    add_calendar(team, "other", ["coach-01"], duration=60)
    early, late = booked(NINE), booked(NINE + 8 * QUARTER)
    other = booked(NINE + 16 * QUARTER, calendar_id="other")
    gone = booked(NINE + 24 * QUARTER)
    ask("POST", f"{PATH}/{gone['appointment_id']}/cancel")

    def names(*made: dict[str, Any]) -> list[str]:
        return [one["appointment_id"] for one in made]

    assert listed(calendar_id="other") == names(other)
    assert listed(calendar_id="cal") == names(early, late, gone)
    assert listed(status="scheduled") == names(early, late, other)
    assert listed(status="cancelled") == names(gone)
    assert listed(status="no_show") == []
    assert listed(start="2026-03-03T16:00:00Z") == names(late, other, gone)
    assert listed(end="2026-03-03T16:00:00Z") == names(early)
    assert listed(start="2026-03-03T11:00:00-05:00", end="2026-03-03T16:15:00Z") == names(late)
    for one in (early, late, other, gone):
        assert one["appointment_id"] in listed(coach_id=one["coach_id"])
    assert listed(coach_id="nobody") == listed(calendar_id="nowhere") == []
    assert listed(calendar_id="cal", status="cancelled", start=NOW.isoformat()) == names(gone)
