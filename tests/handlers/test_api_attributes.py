"""Attributes over HTTP: set on coaches, required by calendars, asked for by customers."""

from typing import Any

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from tests.support.clock import NINE
from tests.support.http import (
    Answer,
    add_key,
    ask,
    body_of,
    book,
    booked,
    check_problem,
    get_appointment,
)
from tests.support.tables import one_row, table_digests
from tests.support.team import add_calendar
from tests.support.team_api import CALENDAR, COACH, put, starts

GERMAN = {"requires": "language:de"}
HOLDS = "/api/holds"
PAGE = "/api/availability"
SOONEST = f"{PAGE}/soonest"
ATTRIBUTES = {"language": ["de", "en"], "tier": 2, "remote": True, "city": "Berlin"}


def patch(path: str, body: Any, **more: Any) -> dict[str, Any]:
    """Change members of a resource."""
    return body_of(ask("PATCH", path, body, **more))


@pytest.fixture
def german(team: Connection) -> Connection:
    """The first two of the three coaches speak German."""
    for coach_id in ("coach-01", "coach-02"):
        patch(f"/api/coaches/{coach_id}", {"attributes": ATTRIBUTES})
    return team


def test_attributes_are_set_and_kept(team: Connection) -> None:
    """As they were given; a patch merges them, and a name that is null goes."""
    path = "/api/coaches/zed"
    made = put(path, {**COACH, "attributes": ATTRIBUTES}, status=201)
    assert made["attributes"] == ATTRIBUTES
    changed = patch(path, {"attributes": {"tier": None, "remote": False, "language": ["fr"]}})
    assert changed["attributes"] == {"language": ["fr"], "remote": False, "city": "Berlin"}
    assert patch(path, {"attributes": None})["attributes"] == {}
    assert put(path, COACH)["attributes"] == {}


def test_what_a_calendar_requires_is_set_in_one_order(team: Connection) -> None:
    """Each once, so that the same again changes nothing."""
    made = put("/api/calendars/intro", {**CALENDAR, "requires": ["tier:2", "a:b", "tier:2"]}, status=201)
    assert made["requires"] == ["a:b", "tier:2"]
    plan = patch("/api/calendars/intro", {"requires": ["tier:2", "a:b"]}, query={"dry_run": "true"})
    assert plan["changes"] == []
    assert patch("/api/calendars/intro", {"requires": None})["requires"] == []


@pytest.mark.parametrize(
    ("attributes", "place"),
    [
        ({"tier": 2.5}, "tier"),
        ({"tier": 10**9 + 1}, "tier"),
        ({"tier": None}, "tier"),
        ({"tier": {}}, "tier"),
        ({"tier": ""}, "tier"),
        ({"tier": "a,b"}, "tier"),
        ({"tier": "x" * 101}, "tier"),
        ({"tier": "a\nb"}, "tier"),
        ({"tier": [2]}, "tier"),
        ({"tier": ["a"] * 51}, "tier"),
        ({"2nd": "a"}, "2nd"),
        ({"a b": "a"}, "a b"),
        ({"x" * 51: "a"}, "x" * 51),
        ({f"a{number}": 1 for number in range(51)}, ""),
        ([], ""),
    ],
)
def test_bad_attributes_are_refused_with_their_place(team: Connection, attributes: Any, place: str) -> None:
    """One error for each, and nothing changed."""
    before = table_digests(team)
    for method, path, body, prefix in (
        ("PUT", "/api/coaches/zed", {**COACH, "attributes": attributes}, "body.attributes"),
        (
            "POST",
            "/api/apply",
            {"coaches": {"zed": {**COACH, "attributes": attributes}}},
            "body.coaches.zed.attributes",
        ),
    ):
        problem = check_problem(ask(method, path, body), 422, "VALIDATION_ERROR")
        (detail,) = problem["details"]
        assert detail["loc"].removesuffix(".[key]") == f"{prefix}.{place}".removesuffix(".")
    assert table_digests(team) == before


@pytest.mark.parametrize("bad", ["language", ":de", "language:", "2:de", "a b:de", f"a:{'x' * 101}", "a:b\n"])
def test_bad_requirements_are_refused_with_their_place(team: Connection, bad: str) -> None:
    """On every route that takes them."""
    start = {"calendar_id": "cal", "start_time": NINE.isoformat()}
    before = table_digests(team)
    for answer, status, place in (
        (ask("PATCH", "/api/calendars/cal", {"requires": ["a:b", bad]}), 422, "body.requires.1"),
        (ask("POST", HOLDS, {**start, "requires": [bad]}), 422, "body.requires.0"),
        (book(requires=[bad]), 422, "body.requires.0"),
        (ask("GET", PAGE, query={"calendar_id": "cal", "requires": bad}), 400, "query.requires.0"),
        (ask("GET", f"{PAGE}/explain", query={**start, "requires": bad}), 400, "query.requires.0"),
        (ask("GET", SOONEST, query={"requires": bad}), 400, "query.requires.0"),
    ):
        problem = check_problem(answer, status, "VALIDATION_ERROR")
        assert [one["loc"] for one in problem["details"]] == [place]
    many = [f"a:{number}" for number in range(11)]
    check_problem(book(requires=many), 422, "VALIDATION_ERROR")
    check_problem(ask("GET", SOONEST, query={"requires": many}), 400, "VALIDATION_ERROR")
    assert table_digests(team) == before


def test_a_request_asks_for_more(german: Connection, cache: Redis) -> None:
    """The page, `explain`, holds and bookings know it alike; a repeated parameter asks for all."""
    patch("/api/coaches/coach-03", {"attributes": {"language": "fr"}})
    first = f"{NINE:%Y-%m-%dT%H:%M:%SZ}"
    assert starts(**GERMAN)[first] == ["coach-01", "coach-02"]
    assert starts()[first] == ["coach-01", "coach-02", "coach-03"]
    assert starts(requires=["language:de", "language:fr"]) == {}
    start = {"calendar_id": "cal", "start_time": NINE.isoformat()}
    explained = body_of(ask("GET", f"{PAGE}/explain", query={**start, **GERMAN}))
    german_rule = {"rule": "request", "attribute": "language:de"}
    assert [(one["reason"], one["met"], one["missing"]) for one in explained["coaches"]] == [
        (None, [german_rule], []),
        (None, [german_rule], []),
        ("missing_attribute", [], [german_rule]),
    ]
    held = body_of(ask("POST", HOLDS, {**start, "requires": ["language:de"]}), 201)
    made = booked(requires=["language:de"])
    assert {held["coach_id"], made["coach_id"]} == {"coach-01", "coach-02"}
    assert get_appointment(made)["requires"] == ["language:de"]
    check_problem(book(requires=["language:de"]), 409, "SLOT_UNAVAILABLE")
    nobody = ("body.requires", "nobody_meets")
    check_problem(book(requires=["language:es"]), 422, "VALIDATION_ERROR", place=nobody)
    assert starts()[first] == ["coach-03"]
    assert first not in starts(**GERMAN)
    decision = body_of(ask("GET", f"/api/appointments/{made['appointment_id']}/decision"))
    assert decision["requires"] == [german_rule]
    assert [one["missing"] for one in decision["candidates"]] == [[], [], [german_rule]]
    assert decision["reason"].endswith(" 1 coach did not meet language:de.")


def test_each_set_of_requirements_has_its_own_page(german: Connection, cache: Redis) -> None:
    """However often they are asked for in turns, and with an ETag each."""
    tags: dict[str, str] = {}
    for _ in range(2):
        for query in ({}, GERMAN, {"requires": "language:fr"}):
            answer = ask("GET", PAGE, query={"calendar_id": "cal", **query})
            coaches = {one["available_coaches"] for one in body_of(answer)["slots"]}
            assert coaches == {"": {3}, "language:de": {2}}.get(query.get("requires", ""), set())
            tags[query.get("requires", "")] = answer.headers["etag"]
            again = {"if-none-match": answer.headers["etag"]}
            asked = ask("GET", PAGE, query={"calendar_id": "cal", **query}, headers=again)
            assert asked.status == 304
    assert len({*tags.values()}) == 3
    patch("/api/coaches/coach-03", {"attributes": {"language": "de"}})
    answer = ask("GET", PAGE, query={"calendar_id": "cal", **GERMAN})
    assert {one["available_coaches"] for one in body_of(answer)["slots"]} == {3}
    assert answer.headers["etag"] != tags["language:de"]


def test_every_calendar_knows_what_is_asked_for(german: Connection) -> None:
    """A page without a calendar, too."""
    add_calendar(german, "other", ["coach-02", "coach-03"])
    found = body_of(ask("GET", PAGE, query={"days": 1, **GERMAN}))["slots"]
    counts = {(one["calendar_id"], one["available_coaches"]) for one in found}
    assert counts == {("cal", 2), ("other", 1)}


def test_what_is_asked_for_is_part_of_the_request(german: Connection, cache: Redis) -> None:
    """The same key with other requirements is another request; their order does not matter."""
    headers = {"X-Idempotency-Key": "k"}
    first = book(headers=headers, requires=["tier:2", "language:de"])
    assert first.status == 201
    again = book(headers=headers, requires=["language:de", "tier:2", "tier:2"])
    assert (again.status, again.json) == (201, first.json)
    assert again.headers["idempotent-replayed"] == "true"
    for requires in ([], ["language:de"]):
        refused = book(headers=headers, requires=requires)
        check_problem(refused, 422, "IDEMPOTENCY_KEY_REUSED")


def test_what_is_held_is_booked_as_it_was_asked_for(german: Connection) -> None:
    """With the same or without; anything else names the member."""
    start = {"calendar_id": "cal", "start_time": NINE.isoformat()}
    held = body_of(ask("POST", HOLDS, {**start, "requires": ["language:de"]}), 201)
    problem = check_problem(book(hold_id=held["hold_id"], requires=["tier:2"]), 422, "VALIDATION_ERROR")
    assert problem["details"] == [{"loc": "body.requires", "type": "not_as_held"}]
    made = booked(hold_id=held["hold_id"])
    assert get_appointment(made)["requires"] == ["language:de"]


def test_a_change_of_attributes_touches_no_appointment(german: Connection) -> None:
    """It holds for new bookings only, and the plan says who is out by a share of 0."""
    made = booked(requires=["language:de"])
    patch("/api/calendars/cal", {"requires": ["language:de"]})
    path = f"/api/coaches/{made['coach_id']}"
    plan = patch(path, {"attributes": None}, query={"dry_run": "true"})
    assert plan["appointments"] == []
    after = {one["coach_id"]: one["share_after"] for one in plan["shares"]}
    assert after == {"coach-01": 0, "coach-02": 1, "coach-03": 0}
    patch(path, {"attributes": None})
    assert get_appointment(made)["coach_id"] == made["coach_id"]
    assert starts() == starts(requires=["language:de"])


def test_a_document_has_attributes_and_requirements(german: Connection) -> None:
    """They are exported, applied to nothing they make the same, and again they change nothing."""
    patch("/api/calendars/cal", {"requires": ["language:de"]})
    exported = ask("GET", "/api/export").json
    assert exported["coaches"]["coach-01"]["attributes"] == ATTRIBUTES
    assert exported["calendars"]["cal"]["requires"] == ["language:de"]
    assert body_of(ask("POST", "/api/apply", exported))["changes"] == []
    assert body_of(ask("POST", "/api/apply", {}, query={"prune": "true"}))["changes"]
    body_of(ask("POST", "/api/apply", exported))
    assert ask("GET", "/api/export").json == exported
    assert one_row(german, "SELECT absent FROM coach_credits WHERE coach_id = 'coach-03'") == {
        "absent": "missing_attribute"
    }


def soon(**query: Any) -> Answer:
    """Ask for the earliest starts."""
    return ask("GET", SOONEST, query=query)


def test_the_soonest_starts(german: Connection) -> None:
    """In order over the calendars, each with who could take it and the rules that they meet."""
    patch("/api/calendars/cal", {"requires": ["tier:2"]})
    add_calendar(german, "early", ["coach-02", "coach-03"], slot_interval=60)
    found = body_of(soon(limit=3, timezone="Europe/Berlin", include="coaches", **GERMAN))
    asked = {"rule": "request", "attribute": "language:de"}
    first = {
        "start_time": "2026-03-02T14:00:00Z",
        "end_time": "2026-03-02T14:30:00Z",
        "local_start_time": "2026-03-02T15:00:00+01:00",
    }
    cal = {
        "available_coaches": 2,
        "calendar_id": "cal",
        "coach_ids": ["coach-01", "coach-02"],
        "met": [{"rule": "calendar", "attribute": "tier:2"}, asked],
    }
    assert found["slots"][:2] == [
        first | cal,
        first | {"available_coaches": 1, "calendar_id": "early", "coach_ids": ["coach-02"], "met": [asked]},
    ]
    assert found["slots"][2]["start_time"] == "2026-03-02T14:15:00Z"
    assert (found["stale"], found["synced_at"], len(found["slots"])) == (False, None, 3)
    assert len(body_of(soon())["slots"]) == 5
    named = body_of(soon(calendars="early,cal,early", limit=100))["slots"]
    assert named == body_of(soon(limit=100))["slots"]
    assert {one["calendar_id"] for one in body_of(soon(calendars="early"))["slots"]} == {"early"}
    assert "coach_ids" not in named[0]


def test_the_soonest_are_as_new_as_the_last_booking(german: Connection, cache: Redis) -> None:
    """And unchanged they are not sent again."""
    first = soon(calendars="cal", limit=1)
    assert (
        ask(
            "GET",
            SOONEST,
            query={"calendars": "cal", "limit": 1},
            headers={"if-none-match": first.headers["etag"]},
        ).status
        == 304
    )
    start = first.json["slots"][0]["start_time"]
    for left in (2, 1):
        booked(start)
        assert soon(calendars="cal", limit=1).json["slots"][0]["available_coaches"] == left
    booked(start)
    assert soon(calendars="cal", limit=1).json["slots"][0]["start_time"] > start


def test_soonest_of_what_is_not_there(german: Connection) -> None:
    """A calendar of nobody, and one of another tenant."""
    add_key(german, "theirs", tenant_id="other")
    check_problem(soon(calendars="cal,nowhere"), 404, "NOT_FOUND")
    check_problem(ask("GET", SOONEST, query={"calendars": "cal"}, key="theirs"), 404, "NOT_FOUND")
    assert ask("GET", SOONEST, key="theirs").json["slots"] == []
    for query in ({"limit": 0}, {"limit": 101}, {"calendars": ",".join(["cal"] * 21)}):
        check_problem(soon(**query), 400, "VALIDATION_ERROR")
    assert body_of(soon(requires="language:fr"))["slots"] == []
