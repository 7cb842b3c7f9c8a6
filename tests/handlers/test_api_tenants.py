"""Two tenants: what one makes, joins and repeats has nothing to do with the other."""

from typing import Any
from uuid import uuid4

import pytest

from fairslot.platform.db import Connection
from tests.support.api_fuzz import operations
from tests.support.clock import NINE
from tests.support.http import add_key, ask, body_of, book, check_problem
from tests.support.tables import table_digests
from tests.support.team import add_calendar
from tests.support.team_api import CALENDAR, COACH

PATH = "/api/appointments"
PROBLEM = ("type", "title", "status", "detail", "error", "message")
# What is made under an id of the caller's own.
CREATING = {"put_coach": COACH, "put_calendar": CALENDAR}


@pytest.fixture
def two(team: Connection) -> dict[str, str]:
    """The first tenant has a hold beside its team, the ids of which are returned; the other has a key."""
    add_key(team, "other-key", tenant_id="other")
    hold = body_of(ask("POST", "/api/holds", {"calendar_id": "cal", "start_time": NINE.isoformat()}), 201)
    return {"hold_id": hold["hold_id"], "coach_id": "coach-01", "calendar_id": "cal"}


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
