"""Coaches, calendars and teams as an operator sets them: read, replaced, patched and deleted."""

from typing import Any, LiteralString

import pytest

from fairslot.platform.db import Connection
from tests.support.clock import DAY, HOUR, NINE, NOW
from tests.support.http import ask, body_of, check_problem
from tests.support.tables import one_row, table_digests
from tests.support.team import EVERY_DAY, add_calendar, close_days, set_coach
from tests.support.team_api import CALENDAR, COACH, RESOURCES, free, put, starts

_EVIDENCE: LiteralString = """
    SELECT coach.alpha, mate.weight FROM coaches AS coach JOIN coach_credits AS mate USING (coach_id)
     WHERE coach.coach_id = 'coach-01'"""


@pytest.fixture
def world(team: Connection) -> Connection:
    """The small team, and a calendar that nobody holds."""
    add_calendar(team, "empty", [])
    return team


@pytest.mark.parametrize("kind", RESOURCES)
def test_what_is_put_is_there(world: Connection, kind: str) -> None:
    """It is created once, read as it was answered, and the same again is no change."""
    path, body = RESOURCES[kind]
    made = ask("PUT", path, body)
    assert made.status == 201
    assert made.json.items() >= body.items()
    found = ask("GET", path)
    assert (found.status, found.json) == (200, made.json)
    assert found.headers["etag"] == made.headers["etag"]
    before = table_digests(world)
    again = ask("PUT", path, body)
    assert (again.status, again.json) == (200, made.json)
    assert table_digests(world) == before


@pytest.mark.parametrize("kind", RESOURCES)
def test_a_list_has_it_until_it_is_deleted(world: Connection, kind: str) -> None:
    """Deleted, it is in no list, cannot be read and cannot be deleted again."""
    path, body = RESOURCES[kind]
    made = put(path, body, status=201)
    listing = path.rpartition("/")[0]
    assert made in body_of(ask("GET", listing))["data"]
    assert ask("DELETE", path).status == 204
    assert made not in body_of(ask("GET", listing))["data"]
    for method in ("GET", "DELETE"):
        check_problem(ask(method, path), 404, "NOT_FOUND")
    assert ask("PUT", path, body).status == 201


@pytest.mark.parametrize("kind", RESOURCES)
def test_a_dry_run_changes_nothing(world: Connection, kind: str) -> None:
    """It answers the plan, of making and of deleting, whatever key comes with it."""
    path, body = RESOURCES[kind]
    headers = {"X-Idempotency-Key": "k"}
    before = table_digests(world)
    plan = put(path, body, query={"dry_run": "true"}, headers=headers)
    assert [one["action"] for one in plan["changes"]] == ["create"]
    assert table_digests(world) == before
    put(path, body, status=201, headers=headers)
    before = table_digests(world)
    plan = body_of(ask("DELETE", path, query={"dry_run": "true"}))
    assert {one["action"] for one in plan["changes"]} == {"delete"}
    assert table_digests(world) == before


@pytest.mark.parametrize("kind", RESOURCES)
def test_preconditions_are_checked(world: Connection, kind: str) -> None:
    """`If-None-Match: *` only creates, `If-Match` only changes what is as it was read."""
    path, body = RESOURCES[kind]
    check_problem(ask("PUT", path, body, headers={"If-Match": "*"}), 412, "PRECONDITION_FAILED")
    made = ask("PUT", path, body, headers={"If-None-Match": "*"})
    assert made.status == 201
    check_problem(ask("PUT", path, body, headers={"If-None-Match": "*"}), 412, "PRECONDITION_FAILED")
    for method in ("PUT", "DELETE"):
        stale = ask(method, path, body, headers={"If-Match": '"stale"'})
        check_problem(stale, 412, "PRECONDITION_FAILED")
    assert ask("PUT", path, body, headers={"If-Match": f'"x", {made.headers["etag"]}'}).status == 200
    assert ask("DELETE", path, headers={"If-Match": made.headers["etag"]}).status == 204


@pytest.mark.parametrize("headers", [{"If-Match": "stale"}, {"If-None-Match": '"tag"'}])
def test_a_precondition_that_is_none_is_refused(world: Connection, headers: dict[str, str]) -> None:
    """Without quotes it is no entity tag, and only `*` can be created anew."""
    check_problem(ask("PUT", "/api/coaches/zed", COACH, headers=headers), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("kind", RESOURCES)
def test_the_same_key_is_one_change(world: Connection, kind: str) -> None:
    """A replay has the first answer; with another choice in the query it is another request."""
    path, body = RESOURCES[kind]
    headers = {"X-Idempotency-Key": "k"}
    first, second = (ask("PUT", path, body, headers=headers) for _ in range(2))
    assert (first.status, first.json) == (second.status, second.json) == (201, first.json)
    assert second.headers["idempotent-replayed"] == "true"
    assert ask("DELETE", path, headers={"X-Idempotency-Key": "d"}).status == 204
    assert ask("DELETE", path, headers={"X-Idempotency-Key": "d"}).status == 204
    if kind == "coach":
        other = ask("DELETE", path, headers={"X-Idempotency-Key": "d"}, query={"appointments": "keep"})
        check_problem(other, 422, "IDEMPOTENCY_KEY_REUSED")


def test_a_patch_changes_what_it_names(world: Connection) -> None:
    """Objects are merged, null removes, and everything else stays (RFC 7396)."""
    limits = {"per_day": 3, "per_week": 9, "per_month": 30, "minutes_per_week": 300}
    full = COACH | {"email": "zed@example.com", "limits": limits, "buffers": {"before": 15}, "score": 0.9}
    made = put("/api/coaches/zed", full, status=201)
    patch = {
        "name": "Zoe",
        "email": None,
        "limits": {"per_day": None, "per_week": None, "per_month": 20},
        "buffers": {"after": 30},
        "notice": 60,
        "working_hours": {"mon": None},
    }
    changed = body_of(ask("PATCH", "/api/coaches/zed", patch))
    week = {day: hours for day, hours in EVERY_DAY.items() if day != "mon"}
    assert changed == made | {
        "name": "Zoe",
        "email": None,
        "limits": {"per_day": 10, "per_week": None, "per_month": 20, "minutes_per_week": 300},
        "buffers": {"before": 15, "after": 30},
        "notice": 60,
        "working_hours": week,
    }
    made = put("/api/calendars/intro", CALENDAR | {"fairness": {"gamma": 2}}, status=201)
    other = {"fairness": {"low": 0.8}, "buffers": {"after": 15}, "slug": "intro"}
    changed = body_of(ask("PATCH", "/api/calendars/intro", other))
    fairness = made["fairness"] | {"low": 0.8}
    assert changed == made | {"fairness": fairness, "buffers": {"before": 0, "after": 15}, "slug": "intro"}
    path = "/api/calendars/intro/coaches/coach-01"
    made = put(path, {"weight": 2, "buffers": {"before": 15}, "notice": 60}, status=201)
    changed = body_of(ask("PATCH", path, {"weight": None, "buffers": {"after": 30}}))
    assert changed == made | {"weight": 1, "buffers": {"before": 15, "after": 30}}


@pytest.mark.parametrize(("path", "patch", "place"), [
    ("/api/coaches/coach-01", {"name": None}, "body.name"),
    ("/api/calendars/cal", {"slot_duration": None}, "body.slot_duration"),
    ("/api/calendars/cal", {"fairness": {"low": 5}}, "body.fairness"),
    ("/api/calendars/cal/coaches/coach-01", {"weight": 0}, "body.weight"),
])  # fmt: skip
def test_a_patch_cannot_make_what_may_not_be_put(
    world: Connection, path: str, patch: dict[str, Any], place: str
) -> None:
    """What results is validated as a whole, and the place is named."""
    before = table_digests(world)
    problem = check_problem(ask("PATCH", path, patch), 422, "VALIDATION_ERROR")
    assert [one["loc"] for one in problem["details"]] == [place]
    assert table_digests(world) == before


def test_what_is_not_there_cannot_be_patched(world: Connection) -> None:
    """Nor can a coach join what is not there."""
    for method, path in (
        ("PATCH", "/api/coaches/nobody"),
        ("PATCH", "/api/calendars/nowhere"),
        ("PATCH", "/api/calendars/empty/coaches/coach-01"),
        ("PATCH", "/api/coaches/coach-01/absences/01a2243d-356f-783f-b2f6-41b7f262b110"),
        ("PUT", "/api/calendars/nowhere/coaches/coach-01"),
        ("PUT", "/api/calendars/cal/coaches/nobody"),
        ("GET", "/api/calendars/nowhere/coaches"),
        ("GET", "/api/coaches/nobody/absences"),
    ):
        check_problem(ask(method, path, {} if method != "GET" else b""), 404, "NOT_FOUND")


def test_lists_have_pages_and_filters(world: Connection) -> None:
    """Each coach is on one page, in order; a filter leaves out the others."""
    put("/api/coaches/zed", COACH | {"active": False}, status=201)
    first = body_of(ask("GET", "/api/coaches", query={"limit": 3}))
    second = body_of(ask("GET", "/api/coaches", query={"limit": 3, "cursor": first["next_cursor"]}))
    assert second["next_cursor"] is None
    seen = [one["coach_id"] for one in first["data"] + second["data"]]
    assert seen == ["coach-01", "coach-02", "coach-03", "zed"]

    def ids(path: str, name: str, **query: Any) -> list[str]:
        return [one[name] for one in body_of(ask("GET", path, query=query))["data"]]

    assert ids("/api/coaches", "coach_id", active="false") == ["zed"]
    assert ids("/api/coaches", "coach_id", calendar_id="cal") == seen[:3]
    assert ids("/api/calendars", "calendar_id") == ["cal", "empty"]
    assert ids("/api/calendars", "calendar_id", coach_id="coach-01") == ["cal"]
    assert ids("/api/calendars", "calendar_id", active="false") == []
    assert ids("/api/calendars/cal/coaches", "coach_id", limit=2) == seen[:2]


def test_a_new_coach_can_be_booked_at_once(world: Connection) -> None:
    """With their days up to the horizon, in their zone, by their hours."""
    put("/api/calendars/intro", CALENDAR, status=201)
    body = COACH | {"time_zone": "Europe/Berlin", "working_hours": {"tue": [["09:00", "10:00"]]}}
    put("/api/coaches/zed", body, status=201)
    put("/api/calendars/intro/coaches/zed", {}, status=201)
    assert [*starts("intro", days=7)] == [f"2026-03-03T08:{minute}:00Z" for minute in ("00", "15", "30")]
    assert max(starts("intro", days=60)) > "2026-04-25"


def test_changes_of_hours_take_effect_at_once(world: Connection) -> None:
    """Of hours, of single dates, of the zone, of the maximum, and of who is active."""
    assert free() == ["coach-01", "coach-02", "coach-03"]
    change = [
        ("coach-01", {"working_hours": {"tue": [["12:00", "17:00"]]}}),
        ("coach-02", {"overrides": [{"date": "2026-03-03"}]}),
        ("coach-03", {"time_zone": "America/Los_Angeles"}),
    ]
    for number, (coach_id, patch) in enumerate(change, 1):
        body_of(ask("PATCH", f"/api/coaches/{coach_id}", patch))
        assert free() == ["coach-01", "coach-02", "coach-03"][number:]
    assert free(NINE + 3 * HOUR) == ["coach-01", "coach-03"]
    assert free(NINE + DAY) == ["coach-01", "coach-02"]
    body_of(ask("PATCH", "/api/coaches/coach-01", {"limits": {"per_day": 0}}))
    assert free(NINE + DAY) == ["coach-02"]
    body_of(ask("PATCH", "/api/coaches/coach-02", {"active": False}))
    assert free(NINE + DAY) == []
    body_of(ask("PATCH", "/api/coaches/coach-02", {"active": True, "overrides": []}))
    assert free(NINE) == ["coach-02"]


def test_a_coach_who_comes_back_has_days_again(world: Connection, clock: Any) -> None:
    """Up to the horizon of now, though nobody made any while the coach was inactive."""
    body_of(ask("PATCH", "/api/coaches/coach-01", {"active": False}))
    clock(NOW + 30 * DAY)
    body_of(ask("PATCH", "/api/coaches/coach-01", {"active": True}))
    row = one_row(world, "SELECT max(local_date)::text AS last FROM coach_slots WHERE coach_id = 'coach-01'")
    assert row["last"] == str((NOW + 90 * DAY).date())


def test_a_deleted_id_starts_again(world: Connection) -> None:
    """Nothing of the calendar, the absences or the score of who had it before is left."""
    set_coach(world, "coach-01", calendar_kind="calendar_api", alpha=3, beta=1)
    close_days(world, coach_id="coach-01")
    absence = {"start": "2026-03-03T00:00:00Z", "end": "2026-03-04T00:00:00Z"}
    assert ask("POST", "/api/coaches/coach-01/absences", absence).status == 201
    assert ask("DELETE", "/api/coaches/coach-01").status == 204
    made = put("/api/coaches/coach-01", COACH, status=201)
    assert made["score"] == 0.5
    put("/api/calendars/cal/coaches/coach-01", {}, status=201)
    assert "coach-01" in free()
    assert body_of(ask("GET", "/api/coaches/coach-01/absences"))["data"] == []


def test_a_score_that_is_set_is_a_new_belief(world: Connection) -> None:
    """It moves the weights; without one, or with the same, the evidence stays."""
    set_coach(world, "coach-01", score=0.75, alpha=12, beta=4)
    put("/api/coaches/coach-01", COACH)
    put("/api/coaches/coach-01", COACH | {"score": 0.75, "name": "Ann"})
    assert one_row(world, _EVIDENCE)["alpha"] == 12
    plan = put("/api/coaches/coach-01", COACH | {"score": 0.9}, query={"dry_run": "true"})
    assert {one["coach_id"] for one in plan["shares"]} == {"coach-01", "coach-02", "coach-03"}
    put("/api/coaches/coach-01", COACH | {"score": 0.9})
    assert one_row(world, _EVIDENCE)["alpha"] is None
    assert one_row(world, _EVIDENCE)["weight"] > 1_000_000


def test_a_changed_rule_is_a_new_version(world: Connection) -> None:
    """What decides who is chosen; another name is none."""
    for patch, version in (
        ({"name": "X"}, 1),
        ({"fairness": {"gamma": 1}}, 2),
        ({"policy": "highest_score"}, 3),
    ):
        body_of(ask("PATCH", "/api/calendars/cal", patch))
        row = one_row(world, "SELECT policy_version FROM calendars WHERE calendar_id = 'cal'")
        assert row["policy_version"] == version


def test_a_slug_is_of_one_calendar(world: Connection) -> None:
    """Another one cannot have it until the first is deleted."""
    put("/api/calendars/intro", CALENDAR | {"slug": "talk"}, status=201)
    before = table_digests(world)
    problem = check_problem(
        ask("PUT", "/api/calendars/other", CALENDAR | {"slug": "talk"}), 409, "SLUG_TAKEN"
    )
    assert problem["details"] == [{"loc": "body.slug", "type": "taken"}]
    assert table_digests(world) == before
    assert ask("DELETE", "/api/calendars/intro").status == 204
    put("/api/calendars/other", CALENDAR | {"slug": "talk"}, status=201)


def test_leaving_and_joining_go_through_the_ledger(world: Connection) -> None:
    """Who leaves is recorded with the credit that the others got."""
    assert ask("DELETE", "/api/calendars/cal/coaches/coach-01").status == 204
    row = one_row(world, "SELECT step, chosen FROM distribution_log")
    assert (row["step"], row["chosen"]) == ("left", "coach-01")
