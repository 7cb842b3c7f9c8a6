"""Two tenants: to each of them the other is not there, on any route."""

from typing import Any
from uuid import uuid4

import pytest

from fairslot.platform.db import Connection
from tests.support.api_fuzz import Operation, operations
from tests.support.clock import NINE
from tests.support.endpoints import URL, subscribe, subscribed
from tests.support.http import NOTHING, add_key, ask, book, booked, check_problem
from tests.support.tables import one_row, table_digests
from tests.support.team import add_calendar
from tests.support.team_api import CALENDAR, COACH

PATH = "/api/appointments"
ABSENCE = {"start": "2026-04-03T00:00:00Z", "end": "2026-04-04T00:00:00Z"}
PROBLEM = ("type", "title", "status", "detail", "error", "message")
# What creates under an id of the caller's own is another test's.
CREATING = {"put_coach": COACH, "put_calendar": CALENDAR}
# Nor is forgetting an address that nobody has, which is done already: test_api_forgetting.py.
NAMED = [
    operation
    for operation in operations()
    if "{" in operation.path and operation.name not in {*CREATING, "forget_contact"}
]
# What a call has to say besides the id for its id to matter.
BODIES: dict[str, dict[str, Any]] = {
    "reschedule_appointment": {"start_time": NINE.isoformat()},
    "report_outcome": {"outcome": "completed"},
    "update_endpoint": {"enabled": False},
    "recover_endpoint": {"since": "2026-03-01T00:00:00Z"},
    "create_absence": ABSENCE,
    "create_adjustment": {"coach_id": "coach-01", "bookings": 1, "reason": "why"},
}


@pytest.fixture
def two(team: Connection, kms: None) -> dict[str, str]:
    """The first tenant has something of each kind, the ids of which are returned; the other has a key."""
    add_key(team, "other-key", tenant_id="other")
    endpoint = subscribed(url=URL)["endpoint_id"]
    made = booked()["appointment_id"]
    hold = ask("POST", "/api/holds", {"calendar_id": "cal", "start_time": NINE.isoformat()}).json["hold_id"]
    row = one_row(team, "SELECT delivery_id FROM webhook_deliveries")
    return {
        "appointment_id": made,
        "hold_id": hold,
        "endpoint_id": endpoint,
        "delivery_id": str(row["delivery_id"]),
        "coach_id": "coach-01",
        "calendar_id": "cal",
        "key_id": ask("GET", "/api/keys").json["data"][0]["key_id"],
        "absence_id": ask("POST", "/api/coaches/coach-01/absences", ABSENCE).json["absence_id"],
    }


@pytest.mark.parametrize("operation", NAMED, ids=lambda operation: operation.name)
def test_what_another_owns_is_not_there(team: Connection, two: dict[str, str], operation: Operation) -> None:
    """An id of another tenant is answered as one that does not exist, and nothing changes."""
    path = operation.path.format(**two)
    body = NOTHING if operation.method in {"GET", "DELETE"} else BODIES.get(operation.name, {})
    before = table_digests(team)
    foreign = ask(operation.method, path, body, key="other-key")
    check_problem(foreign, 404, "NOT_FOUND")
    unknown = ask(operation.method, operation.path.format(**dict.fromkeys(two, uuid4())), body)
    assert foreign.json == unknown.json
    assert table_digests(team) == before


@pytest.mark.parametrize("name", CREATING)
def test_an_id_that_another_has_cannot_be_put(team: Connection, two: dict[str, str], name: str) -> None:
    """It is neither changed nor made, dry run or not."""
    path = next(one.path for one in operations() if one.name == name).format(**two)
    before = table_digests(team)
    for query in ({}, {"dry_run": "true"}):
        check_problem(ask("PUT", path, CREATING[name], key="other-key", query=query), 404, "NOT_FOUND")
    assert table_digests(team) == before


def test_a_coach_of_another_cannot_join(team: Connection, two: dict[str, str]) -> None:
    """Nor is the coach named in a team or a list of the tenant's own."""
    assert ask("PUT", "/api/calendars/theirs", CALENDAR, key="other-key").status == 201
    before = table_digests(team)
    joined = ask("PUT", "/api/calendars/theirs/coaches/coach-01", {}, key="other-key")
    check_problem(joined, 404, "NOT_FOUND")
    check_problem(ask("PUT", "/api/calendars/cal/coaches/coach-01", {}, key="other-key"), 404, "NOT_FOUND")
    assert ask("GET", "/api/calendars/theirs/coaches", key="other-key").json["data"] == []
    assert ask("GET", "/api/calendars", key="other-key", query={"coach_id": "coach-01"}).json["data"] == []
    assert table_digests(team) == before


def test_a_calendar_of_another_cannot_be_joined(team: Connection, two: dict[str, str]) -> None:
    """Nor by a coach of the tenant's own."""
    assert ask("PUT", "/api/coaches/zed", COACH, key="other-key").status == 201
    before = table_digests(team)
    check_problem(ask("PUT", "/api/calendars/cal/coaches/zed", {}, key="other-key"), 404, "NOT_FOUND")
    assert table_digests(team) == before


def test_a_document_has_nothing_of_another(team: Connection, two: dict[str, str]) -> None:
    """It is exported without, refused by its place alone, and not pruned by another's document."""
    assert ask("PUT", "/api/calendars/theirs", CALENDAR, key="other-key").status == 201
    exported = ask("GET", "/api/export", key="other-key").json
    assert (exported["coaches"], [*exported["calendars"]]) == ({}, ["theirs"])
    assert exported["calendars"]["theirs"]["team"] == {}
    own = ask("GET", "/api/export").body
    named: dict[str, dict[str, Any]] = {
        "coaches.coach-01": {"coaches": {"coach-01": COACH}},
        "calendars.cal": {"calendars": {"cal": CALENDAR}},
        "calendars.theirs.team.coach-01": {"calendars": {"theirs": {**CALENDAR, "team": {"coach-01": {}}}}},
    }
    for path, taken in named.items():
        place = (f"body.{path}", "not_found")
        refused = check_problem(
            ask("POST", "/api/apply", taken, key="other-key"), 404, "NOT_FOUND", place=place
        )
        # The place is from the caller's own document; there is nothing beside it.
        assert refused.keys() == {*PROBLEM, "details"}
        assert refused["details"] == [{"loc": place[0], "type": place[1]}]
    assert ask("POST", "/api/apply", {}, key="other-key", query={"prune": "true"}).status == 200
    assert ask("GET", "/api/export").body == own


def test_lists_and_reports_have_nothing_of_another(team: Connection, two: dict[str, str]) -> None:
    """Every list is empty and every report without anybody, filtered or not."""
    for query in ({}, {"coach_id": "coach-01"}, {"calendar_id": "cal"}):
        assert ask("GET", PATH, key="other-key", query=query).json == {"data": [], "next_cursor": None}
    assert ask("GET", "/api/availability", key="other-key").json["slots"] == []
    assert ask("GET", "/api/coaches/distribution", key="other-key").json["distribution"] == []
    for path in ("/api/webhook-endpoints", "/api/deliveries", "/api/coaches", "/api/calendars"):
        assert ask("GET", path, key="other-key").json["data"] == []
    assert two["key_id"] not in ask("GET", "/api/keys", key="other-key").body.decode()


def test_an_address_of_another_can_be_subscribed(team: Connection, two: dict[str, str]) -> None:
    """Each tenant has its own endpoints."""
    assert subscribe(url=URL, key="other-key").status == 201


def test_a_calendar_of_another_is_not_there(team: Connection, two: dict[str, str]) -> None:
    """It can be neither seen nor booked nor held."""
    before = table_digests(team)
    start = {"start_time": NINE.isoformat()}
    asked = [
        ask("GET", "/api/availability", query={"calendar_id": "cal"}, key="other-key"),
        ask("GET", "/api/availability/explain", query={"calendar_id": "cal", **start}, key="other-key"),
        ask("GET", "/api/coaches/distribution", query={"calendar_id": "cal"}, key="other-key"),
        ask("POST", "/api/holds", {"calendar_id": "cal", **start}, key="other-key"),
        book(key="other-key"),
    ]
    for answer in asked:
        check_problem(answer, 404, "NOT_FOUND")
    assert table_digests(team) == before


def test_a_hold_of_another_is_worth_nothing(team: Connection, two: dict[str, str]) -> None:
    """A tenant cannot book what another holds, not even on a calendar of its own."""
    add_calendar(team, "theirs", ["coach-01"], tenant_id="other")
    before = table_digests(team)
    check_problem(book(key="other-key", calendar_id="theirs", hold_id=two["hold_id"]), 410, "HOLD_EXPIRED")
    assert table_digests(team) == before


def test_the_same_idempotency_key_of_two_tenants_is_two_keys(team: Connection) -> None:
    """What one tenant did under a key is nothing to another."""
    add_key(team, "other-key", tenant_id="other")
    add_calendar(team, "theirs", [], tenant_id="other")
    headers = {"X-Idempotency-Key": "shared"}
    assert book(headers=headers).status == 201
    check_problem(book(headers=headers, key="other-key", calendar_id="theirs"), 409, "SLOT_UNAVAILABLE")
    check_problem(ask("POST", f"{PATH}/{uuid4()}/cancel", headers=headers, key="other-key"), 404, "NOT_FOUND")
