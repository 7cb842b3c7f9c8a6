"""The external calendars of a coach as an operator adds, sees, changes and deletes them."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fairslot.coach_time import recheck
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import FreeSlots, Reading
from fairslot.platform import signing_secrets
from fairslot.platform.db import Connection
from tests.support.clock import HOUR, NINE, NOW
from tests.support.fetching import fetching
from tests.support.fixtures import Clock, Environment
from tests.support.http import ask, body_of, booked, booking_body, check_problem
from tests.support.queues import Queues
from tests.support.readings import reading_of, store_message, store_reading
from tests.support.sources import failed, source_row
from tests.support.tables import count, table_digests
from tests.support.team_api import free, starts

PATH = "/api/coaches/coach-01/sources"
FEED = {"kind": "icalendar", "url": "https://feeds.example.com/private/ann.ics"}
CALENDAR_API = {"kind": "calendar_api", "writes": True}
CALDAV = {
    "kind": "caldav",
    "url": "https://dav.example.com/",
    "username": "ann",
    "password": "app pass word",
    "writes": True,
}
SECRETS = ("app pass word", "another pass")


@pytest.fixture
def team(team: Connection, queues: Queues, kms: None, environment: Environment) -> Connection:
    """The small team, whose secrets can be stored; nobody waits for a first reading."""
    environment(FIRST_SYNC_WAIT_SECONDS="0")
    return team


def add(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Add a source to coach-01."""
    return body_of(ask("POST", PATH, body, **more), 201)


def listed() -> list[dict[str, Any]]:
    """Return the sources of coach-01."""
    data: list[dict[str, Any]] = body_of(ask("GET", PATH))["data"]
    return data


def read(connection: Connection, source: dict[str, Any], *busy: Any, **more: Any) -> None:
    """Store a reading of a source of coach-01."""
    at = {"source_id": source["source_id"], "generation": 1, **more}
    store_reading(connection, NOW, *busy, coach_id="coach-01", **at)


def test_a_source_is_read_at_once_and_nobody_books_before(team: Connection, queues: Queues) -> None:
    """Its coach is not free until it was read, and then where it is."""
    made = add(FEED)
    assert made == {
        "source_id": made["source_id"],
        "coach_id": "coach-01",
        "kind": "icalendar",
        "url": FEED["url"],
        "calendar_ref": None,
        "username": None,
        "reads": True,
        "writes": False,
        "state": "new",
        "synced_at": None,
        "failed_at": None,
        "next_read_at": "2026-03-02T12:00:00Z",
        "error": None,
        "error_code": None,
        "unreadable_events": 0,
        "reconnect": None,
    }
    assert [one["source_id"] for one in queues.take("FETCHES")] == [made["source_id"]]
    assert "coach-01" not in free(NINE)
    read(team, made, (NINE, NINE + HOUR))
    assert "coach-01" not in free(NINE)
    assert "coach-01" in free(NINE + HOUR)
    [known] = listed()
    assert (known["state"], known["synced_at"]) == ("ok", "2026-03-02T12:00:00Z")
    assert ask("DELETE", f"{PATH}/{made['source_id']}").status == 204
    assert "coach-01" in free(NINE)
    assert listed() == []


def test_a_password_goes_in_and_never_comes_out(team: Connection, queues: Queues) -> None:
    """It is ciphertext for this source alone, in the table and on the queue; nothing else has it."""
    made = add(CALDAV, headers={"X-Idempotency-Key": "k"})
    changed = ask("PATCH", f"{PATH}/{made['source_id']}", {"username": "ann", "password": "another pass"})
    body_of(changed)
    row = source_row(team, UUID(made["source_id"]))
    opened = signing_secrets.decrypt(row["credentials"], signing_secrets.for_calendar(row["source_id"]))
    assert json.loads(opened) == {"username": "ann", "password": "another pass"}
    said = [ask("GET", one).body.decode() for one in (PATH, f"{PATH}/{made['source_id']}", "/api/export")]
    said += [json.dumps(made), changed.body.decode(), ask("GET", "/api/audit").body.decode()]
    said += [json.dumps(one) for one in queues.take("FETCHES")]
    tables = team.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    for table in tables:
        rows = team.execute(f"SELECT t::text AS text FROM {table['relname']} AS t".encode()).fetchall()
        said += [one["text"] for one in rows]
    assert not [text for text in said for secret in SECRETS if secret in text]


def test_the_audit_says_who_did_what(team: Connection) -> None:
    """With the host of an address alone, and that a password was set."""
    made = add(FEED)
    path = f"{PATH}/{made['source_id']}"
    body_of(ask("PATCH", path, {"url": "https://feeds.example.com/secret"}))
    assert ask("DELETE", path).status == 204
    entries = body_of(ask("GET", "/api/audit", query={"resource": "source"}))["data"]
    assert [one["action"] for one in entries] == ["deleted", "updated", "created"]
    assert {one["resource_id"] for one in entries} == {f"coach-01/{made['source_id']}"}
    assert entries[2]["after"]["url"] == "https://feeds.example.com/…"
    assert "secret" not in json.dumps(entries)


def test_another_address_was_never_read(team: Connection, queues: Queues) -> None:
    """The coach waits for it; another password is tried at once, and what was read stands."""
    made = add(CALDAV)
    path = f"{PATH}/{made['source_id']}"
    read(team, made)
    store_message(
        team,
        failed(made["source_id"], NOW + HOUR, "unauthorized", coach_id="coach-01", ended="disconnected"),
    )
    [known] = listed()
    assert (known["state"], known["next_read_at"], known["error_code"]) == (
        "disconnected",
        None,
        "unauthorized",
    )
    assert "password" in known["error"]
    queues.take("FETCHES")
    answer = body_of(ask("PATCH", path, {"username": "ann", "password": "another pass"}))
    assert (answer["state"], answer["error"]) == ("ok", None)
    assert [one["generation"] for one in queues.take("FETCHES")] == [2]
    assert "coach-01" in free(NINE)
    answer = body_of(ask("PATCH", path, {"url": "https://other.example.com/"}))
    assert (answer["state"], answer["synced_at"]) == ("new", None)
    assert "coach-01" not in free(NINE)
    read(team, made, generation=2)
    assert "coach-01" not in free(NINE), "a reading of the old address"
    read(team, made, generation=3)
    assert "coach-01" in free(NINE)


def test_conditions_are_of_what_is_set(team: Connection) -> None:
    """How it goes changes by itself, and so no entity tag."""
    made = ask("POST", PATH, FEED)
    path, tag = f"{PATH}/{made.json['source_id']}", made.headers["etag"]
    read(team, made.json)
    found = ask("GET", path)
    assert found.json["state"] == "ok"
    assert found.headers["etag"] == tag
    stale = ask("PATCH", path, {"url": "https://b.example.com/"}, headers={"If-Match": '"x"'})
    check_problem(stale, 412, "PRECONDITION_FAILED")
    changed = ask("PATCH", path, {"url": "https://b.example.com/"}, headers={"If-Match": tag})
    assert changed.status == 200
    assert changed.headers["etag"] != tag
    check_problem(ask("DELETE", path, headers={"If-Match": tag}), 412, "PRECONDITION_FAILED")


def test_a_dry_run_changes_nothing(team: Connection, queues: Queues) -> None:
    """It answers the plan, and asks nobody."""
    before = table_digests(team)
    plan = body_of(ask("POST", PATH, CALDAV, query={"dry_run": "true"}))
    [change] = plan["changes"]
    assert (change["resource"], change["action"]) == ("source", "create")
    assert "password" in change["members"]
    assert table_digests(team) == before
    made = add(FEED)
    queues.take("FETCHES")
    before = table_digests(team)
    path, dry = f"{PATH}/{made['source_id']}", {"dry_run": "true"}
    plan = body_of(ask("PATCH", path, {"url": "https://b.example.com/"}, query=dry))
    assert [(one["action"], one["members"]) for one in plan["changes"]] == [("update", ["url"])]
    assert body_of(ask("DELETE", path, query=dry))["changes"][0]["action"] == "delete"
    assert table_digests(team) == before
    assert queues.take("FETCHES") == []


def test_the_same_again_is_no_change(team: Connection) -> None:
    """The address is known in whatever form it comes, and it is not read again for that."""
    made = add(FEED | {"url": "webcal://FEEDS.example.com:443/a"})
    assert made["url"] == "https://feeds.example.com/a"
    read(team, made)
    same = body_of(ask("PATCH", f"{PATH}/{made['source_id']}", {"url": "webcal://feeds.example.com/a"}))
    assert same["state"] == "ok"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"kind": "icalendar"}, "body"),
        ({"kind": "fax"}, "body.kind"),
        ({"kind": "google", "url": "https://a.example.com/"}, "body"),
        (FEED | {"writes": True}, "body"),
        (FEED | {"reads": False}, "body"),
        (FEED | {"username": "ann", "password": "p"}, "body"),
        ({"kind": "calendar_api", "reads": False, "writes": True}, "body"),
        (CALDAV | {"password": None}, "body"),
        (CALDAV | {"username": None}, "body"),
        (CALDAV | {"url": "http://dav.example.com/"}, "body.url"),
        (FEED | {"url": "https://169.254.169.254/"}, "body.url"),
        (FEED | {"url": "https://ann:secret@example.com/"}, "body.url"),
        (FEED | {"calendar_ref": ""}, "body.calendar_ref"),
        (FEED | {"secret": "x"}, "body.secret"),
    ],
)
def test_what_cannot_be_a_source_is_refused(team: Connection, body: dict[str, Any], place: str) -> None:
    """By its place, and nothing is changed."""
    before = table_digests(team)
    problem = check_problem(ask("POST", PATH, body), 422, "VALIDATION_ERROR")
    assert place in [one["loc"] for one in problem["details"]]
    assert table_digests(team) == before


def test_there_are_as_many_as_can_be_read(team: Connection) -> None:
    """One at the calendar API, twenty in all; and none of a coach that there is not."""
    add(CALENDAR_API)
    check_problem(ask("POST", PATH, {"kind": "calendar_api"}), 409, "CONFLICT")
    for number in range(19):
        add(FEED | {"url": f"https://feeds.example.com/{number}"})
    check_problem(ask("POST", PATH, FEED), 409, "CONFLICT")
    assert len(listed()) == 20
    check_problem(ask("POST", "/api/coaches/nobody/sources", FEED), 404, "NOT_FOUND")
    check_problem(ask("GET", "/api/coaches/nobody/sources"), 404, "NOT_FOUND")
    other = f"/api/coaches/coach-02/sources/{listed()[0]['source_id']}"
    for method in ("GET", "DELETE"):
        check_problem(ask(method, other), 404, "NOT_FOUND")


def test_a_key_adds_one_once(team: Connection) -> None:
    """A retry has the first answer."""
    headers = {"X-Idempotency-Key": "k"}
    first, second = (ask("POST", PATH, CALDAV, headers=headers) for _ in range(2))
    assert (first.status, first.json) == (second.status, second.json)
    assert len(listed()) == 1


def test_a_deleted_coach_has_none(team: Connection) -> None:
    """Nor has one who has the id afterwards."""
    add(FEED)
    add({"kind": "google", "reads": False, "writes": True})
    assert ask("DELETE", "/api/coaches/coach-01").status == 204
    assert count(team, "calendar_sources") == 0


def test_a_document_has_sources_without_their_passwords(team: Connection, clock: Clock) -> None:
    """Exported and applied it changes nothing, and what is not in it goes; without a list they stay."""
    made = add(CALDAV)
    clock(NOW + timedelta(seconds=1))
    add(FEED)
    exported = body_of(ask("GET", "/api/export"))
    coach = exported["coaches"]["coach-01"]
    assert [one["kind"] for one in coach["sources"]] == ["caldav", "icalendar"]
    assert coach["sources"][0] == {
        "kind": "caldav",
        "url": "https://dav.example.com/",
        "calendar_ref": None,
        "username": "ann",
        "reads": True,
        "writes": True,
    }
    assert body_of(ask("POST", "/api/apply", exported))["changes"] == []
    left = {name: one for name, one in coach.items() if name != "sources"}
    assert body_of(ask("POST", "/api/apply", {"coaches": {"coach-01": left}}))["changes"] == []
    google = {"kind": "google", "calendar_ref": "ann@example.com"}
    wanted = left | {"sources": [coach["sources"][0] | {"writes": False}, google]}
    plan = body_of(ask("POST", "/api/apply", {"coaches": {"coach-01": wanted}}))
    assert sorted((one["action"], one["resource"]) for one in plan["changes"]) == [
        ("create", "source"),
        ("delete", "source"),
        ("update", "source"),
    ]
    assert [one["kind"] for one in listed()] == ["caldav", "google"]
    several = {"coach-02": exported["coaches"]["coach-02"] | {"sources": [google, FEED, CALENDAR_API]}}
    body_of(ask("POST", "/api/apply", {"coaches": several}))
    again = body_of(ask("GET", "/api/export"))["coaches"]["coach-02"]["sources"]
    assert [one["kind"] for one in again] == ["google", "icalendar", "calendar_api"]
    assert source_row(team, UUID(made["source_id"]))["credentials"] is not None
    new = exported["coaches"]["coach-02"] | {"sources": [FEED]}
    plan = body_of(ask("POST", "/api/apply", {"coaches": {"zed": new}}))
    assert [one["resource"] for one in plan["changes"]] == ["coach", "source"]


def test_an_explanation_says_how_fresh_each_calendar_is(team: Connection, clock: Clock) -> None:
    """When the oldest of a coach's was read, and whether that is long ago or the last one failed."""
    made = add(FEED)
    read(team, made)

    def said() -> dict[str, tuple[str | None, bool]]:
        query = {"calendar_id": "cal", "start_time": NINE.isoformat()}
        found = body_of(ask("GET", "/api/availability/explain", query=query))["coaches"]
        return {one["coach_id"]: (one["synced_at"], one["stale"]) for one in found}

    at = "2026-03-02T12:00:00Z"
    assert said() == {"coach-01": (at, False), "coach-02": (None, False), "coach-03": (None, False)}
    clock(NOW + timedelta(minutes=16))
    assert said()["coach-01"] == (at, True)


def test_a_page_names_who_is_verified_when_it_is_asked_for(team: Connection, clock: Clock) -> None:
    """As many as before, and not the same: what was written for the page of before is not shown again."""
    body_of(ask("PATCH", "/api/calendars/cal", {"on_unverified": "block"}))
    first = add(FEED)
    second = body_of(ask("POST", "/api/coaches/coach-02/sources", FEED), 201)

    def read_at(source: dict[str, Any], minutes: int) -> None:
        known = {"source_id": source["source_id"], "generation": 1, "coach_id": source["coach_id"]}
        store_reading(team, NOW + timedelta(minutes=minutes), **known)

    def names() -> set[tuple[str, ...]]:
        period = {"start": NINE.isoformat(), "end": (NINE + HOUR).isoformat()}
        return {tuple(one) for one in starts(**period).values()}

    read_at(first, -14)
    read_at(second, -16)
    assert names() == {("coach-01", "coach-03")}
    read_at(second, 0)
    clock(NOW + timedelta(minutes=2))
    assert names() == {("coach-02", "coach-03")}


def test_a_booking_asks_the_chosen_coach_s_calendar(team: Connection, environment: Environment) -> None:
    """Who is busy by now is not booked, the next one is; where nobody can be asked nobody is."""
    body_of(ask("PATCH", "/api/calendars/cal", {"on_unverified": "recheck"}))
    for coach_id in ("coach-01", "coach-02", "coach-03"):
        made = body_of(ask("POST", f"/api/coaches/{coach_id}/sources", FEED), 201)
        known = {"source_id": made["source_id"], "generation": 1}
        store_message(team, whole_reading(coach_id, NOW - timedelta(minutes=1), **known))
    with fetching() as function:
        environment(**function.environment)
        recheck.clear_cache()
        function.answer = lambda request: (
            answered(request, 0) if request.coach_id == "coach-01" else answered(request, 3)
        )
        assert booked(NINE)["coach_id"] == "coach-02"
        assert [one.coach_id for one in function.asked] == ["coach-01", "coach-02"]
        function.answer = lambda _: None
        body = booking_body(NINE + HOUR)
        check_problem(ask("POST", "/api/appointments", body), 409, "SLOT_UNAVAILABLE")
        held = ask("POST", "/api/holds", {"calendar_id": "cal", "start_time": body["start_time"]})
        check_problem(held, 409, "SLOT_UNAVAILABLE")
    recheck.clear_cache()


def answered(request: FetchRequest, bits: int) -> str:
    """Return the reading of a request."""
    free_slots = FreeSlots(window=request.window, bits=bits)
    return Reading.of(request, fetched_at=NOW, free=free_slots).to_json()


def whole_reading(coach_id: str, at: datetime, **more: Any) -> dict[str, Any]:
    """Return the message of a reading in which everything is free."""
    return {**json.loads(reading_of(at, coach_id=coach_id)), **more}
