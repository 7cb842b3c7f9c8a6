"""Absences that an operator sets."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fairslot.platform.db import Connection
from tests.support.clock import DAY, HALF, HOUR, NINE
from tests.support.http import ask, body_of, booked, check_problem
from tests.support.inbound_events import process_event, receive_event
from tests.support.invariants import check_invariants, check_replay
from tests.support.queues import Queues
from tests.support.readings import connect_calendars
from tests.support.tables import count, table_digests
from tests.support.team import set_coach
from tests.support.team_api import free, touched

PATH = "/api/coaches/coach-01/absences"


def absence(start: Any = NINE, end: Any = NINE + HOUR, **more: Any) -> dict[str, Any]:
    """Add an absence of coach-01."""
    body = {"start": start.isoformat(), "end": end.isoformat(), **more}
    return body_of(ask("POST", PATH, body), 201)


def at(instant: datetime) -> str:
    """Return an instant as the API shows it."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def test_it_closes_the_time_until_it_is_deleted(team: Connection) -> None:
    """Whoever is away is not free, and is free again where no other absence is."""
    long, short = absence(NINE, NINE + 2 * HOUR, reason="ill"), absence()
    assert (long["reason"], short["reason"]) == ("ill", None)
    assert "coach-01" not in free(NINE)
    assert "coach-01" in free(NINE + 2 * HOUR)
    assert ask("DELETE", f"{PATH}/{long['absence_id']}").status == 204
    assert "coach-01" not in free(NINE)
    assert "coach-01" in free(NINE + HOUR)
    assert ask("DELETE", f"{PATH}/{short['absence_id']}").status == 204
    assert "coach-01" in free(NINE)


def test_it_ends_sooner_or_later(team: Connection) -> None:
    """What it no longer closes is free, what it closes now is not; the rest of it stays as it was."""
    made = absence(NINE, NINE + 2 * HOUR, reason="ill")
    path = f"{PATH}/{made['absence_id']}"
    dry = body_of(ask("PATCH", path, {"end": at(NINE + HOUR)}, query={"dry_run": "true"}))
    assert (dry["changes"][0]["action"], dry["changes"][0]["members"]) == ("update", ["end"])
    assert "coach-01" not in free(NINE + HOUR)
    changed = ask("PATCH", path, {"end": at(NINE + HOUR)})
    assert changed.json == made | {"end": at(NINE + HOUR)}
    assert ask("GET", path).json == changed.json
    assert "coach-01" not in free(NINE)
    assert "coach-01" in free(NINE + HOUR)
    later = {"start": at(NINE + 3 * HOUR), "end": at(NINE + 4 * HOUR)}
    assert body_of(ask("PUT", path, later)) == made | later | {"reason": None}
    assert "coach-01" in free(NINE)
    assert "coach-01" not in free(NINE + 3 * HOUR)
    before = table_digests(team)
    assert ask("PATCH", path, later).status == 200
    assert ask("PATCH", path, {"start": at(NINE + 4 * HOUR)}).status == 422
    assert table_digests(team) == before


def test_one_that_is_longer_touches_appointments(team: Connection) -> None:
    """As a new one does: the plan first."""
    path = f"{PATH}/{absence()['absence_id']}"
    for _ in range(3):
        booked(NINE + 2 * HOUR)
    change: dict[str, Any] = {"end": at(NINE + 3 * HOUR)}
    (one,) = touched(ask("PATCH", path, change))
    assert (one["reason"], one["coach_id"], one["outcome"]) == ("absent", "coach-01", "nobody_free")
    assert ask("PATCH", path, change, query={"appointments": "cancel"}).status == 200
    assert count(team, "coach_appointments", "status = 'cancelled' AND coach_id = 'coach-01'") == 1
    check_invariants(team)
    check_replay(team)


def test_what_has_settled_stays_settled(team: Connection) -> None:
    """An absence can settle later, once; to take that back is an adjustment."""
    booked()
    path = f"{PATH}/{absence(NINE + DAY, NINE + 2 * DAY)['absence_id']}"
    for _ in range(2):
        assert body_of(ask("PATCH", path, {"ledger": "settle"}))["ledger"] == "settle"
    assert count(team, "changes", "type = 'credit.settled'") == 1
    for number in range(1, 5):
        booked(NINE + number * HOUR)
    assert body_of(ask("PATCH", path, {"reason": "ill"}))["ledger"] == "settle"
    assert count(team, "changes", "type = 'credit.settled'") == 1
    before = table_digests(team)
    problem = check_problem(ask("PATCH", path, {"ledger": "keep"}), 409, "CONFLICT")
    assert "adjustment" in problem["message"]
    assert table_digests(team) == before
    check_replay(team)


def test_a_key_adds_it_once(team: Connection) -> None:
    """A retry has the first answer."""
    body = {"start": NINE.isoformat(), "end": (NINE + DAY).isoformat()}
    headers = {"X-Idempotency-Key": "k"}
    first, second = (ask("POST", PATH, body, headers=headers) for _ in range(2))
    assert (first.status, first.json) == (second.status, second.json)
    assert len(body_of(ask("GET", PATH))["data"]) == 1


def test_they_are_listed_by_start_and_period(team: Connection) -> None:
    """A page at a time; one that touches the period is in it."""
    made = [absence(NINE + day * DAY, NINE + day * DAY + HOUR) for day in (2, 0, 1)]
    made.sort(key=lambda one: one["start"])
    first = body_of(ask("GET", PATH, query={"limit": 2}))
    second = body_of(ask("GET", PATH, query={"limit": 2, "cursor": first["next_cursor"]}))
    assert first["data"] + second["data"] == made
    period = {"start": (NINE + HOUR).isoformat(), "end": (NINE + DAY + HOUR).isoformat()}
    assert body_of(ask("GET", PATH, query=period))["data"] == made[1:2]
    found = ask("GET", f"{PATH}/{made[0]['absence_id']}")
    assert found.json == made[0]
    stale = ask("DELETE", f"{PATH}/{made[0]['absence_id']}", headers={"If-Match": '"x"'})
    check_problem(stale, 412, "PRECONDITION_FAILED")
    ended = ask("DELETE", f"{PATH}/{made[0]['absence_id']}", headers={"If-Match": found.headers["etag"]})
    assert ended.status == 204


def test_a_part_that_a_partner_ends_leaves_the_rest(team: Connection) -> None:
    """It is one absence still, with its reason."""
    made = absence(NINE, NINE + 3 * HOUR, reason="ill")
    event: dict[str, Any] = {
        "start_time": (NINE + HOUR).isoformat(),
        "end_time": (NINE + 2 * HOUR).isoformat(),
    }
    process_event(team, receive_event(team, "coach.available", coach_id="coach-01", **event))
    assert body_of(ask("GET", PATH))["data"] == [made]
    assert "coach-01" in free(NINE + HOUR)
    body_of(ask("PATCH", f"{PATH}/{made['absence_id']}", {"reason": "well again for an hour"}))
    assert "coach-01" in free(NINE + HOUR)
    body_of(ask("PATCH", f"{PATH}/{made['absence_id']}", {"end": at(NINE + 4 * HOUR)}))
    assert "coach-01" not in free(NINE + HOUR)
    assert ask("DELETE", f"{PATH}/{made['absence_id']}").status == 204
    assert "coach-01" in free(NINE)


@pytest.mark.parametrize(("method", "action"), [("DELETE", "delete"), ("PUT", "update"), ("PATCH", "update")])
def test_with_an_external_calendar_that_is_read_again(
    team: Connection, queues: Queues, method: str, action: str
) -> None:
    """The calendar says what is free where an absence no longer is; a dry run requests nothing."""
    connect_calendars(team)
    set_coach(team, "coach-01", calendar_kind="calendar_api")
    made = absence()
    path = f"{PATH}/{made['absence_id']}"
    shorter = {"start": made["start"], "end": at(NINE + HALF)}
    dry = ask(method, path, shorter, query={"dry_run": "true"})
    assert body_of(dry)["changes"][0]["action"] == action
    assert queues.take("FETCHES") == []
    assert ask(method, path, shorter).status in {200, 204}
    assert "coach-01" not in free(NINE + HALF)
    assert [one["coach_id"] for one in queues.take("FETCHES")] == ["coach-01"]


@pytest.mark.parametrize(
    ("start", "end", "place", "kind"),
    [
        (NINE, NINE, "body", "end_not_after_start"),
        (NINE + HOUR, NINE, "body", "end_not_after_start"),
        (NINE, None, "body.end", "missing"),
        ("soon", NINE, "body.start", "instant"),
    ],
)
def test_one_without_a_length_is_refused(
    team: Connection, start: Any, end: Any, place: str, kind: str
) -> None:
    """Nothing is changed."""
    before = table_digests(team)
    given = {"start": start, "end": end}
    body = {name: one if isinstance(one, str) else one.isoformat() for name, one in given.items() if one}
    check_problem(ask("POST", PATH, body), 422, "VALIDATION_ERROR", place=(place, kind))
    assert table_digests(team) == before
