"""A whole team as one document: applied, again, pruned, and exported."""

import json
from datetime import date, timedelta
from typing import Any

import pytest

from fairslot.platform.db import Connection
from fairslot.team import changes
from tests.support.clock import HALF, NINE
from tests.support.http import add_key, ask, body_of, booked, check_problem
from tests.support.invariants import check_invariants, check_replay
from tests.support.tables import count, table_digests
from tests.support.team import EVERY_DAY, add_calendar, add_coach
from tests.support.team_api import free, starts, touched

ANN = {"name": "Ann", "time_zone": "Europe/Berlin", "working_hours": EVERY_DAY, "email": "ann@example.com"}
BEN = {
    "name": "Ben",
    "time_zone": "America/New_York",
    "working_hours": {"mon": [["22:00", "02:00"]]},
    "overrides": [{"date": "2026-12-24", "hours": [["09:00", "12:00"]]}, {"date": "2026-12-25"}],
    "limits": {"per_day": 3, "per_week": 12, "per_month": 40, "minutes_per_week": 600},
    "buffers": {"before": 15, "after": 30},
    "notice": 120,
    "score": 0.731,
}
INTRO = {
    "name": "Intro",
    "slot_duration": 30,
    "slug": "intro",
    "buffers": {"after": 15},
    "blocked_dates": ["2026-12-31"],
    "fairness": {"gamma": 2.5},
    "hour_kinds": [{"name": "weekend", "days": ["sat", "sun"]}, {"name": "late", "from": "17:00"}],
    "team": {"ann": {}, "ben": {"weight": 1.5, "buffers": {"after": 60}, "notice": 1440}},
}
DOCUMENT: dict[str, Any] = {
    "coaches": {"ann": ANN, "ben": BEN},
    "calendars": {"intro": INTRO, "talk": {"name": "Talk", "slot_duration": 45, "team": {"ann": {}}}},
}


@pytest.fixture
def empty(connection: Connection, environment: object, clock: object) -> Connection:
    """A key, and nothing else."""
    add_key(connection)
    return connection


def working(hours: dict[str, Any]) -> dict[str, Any]:
    """Return a change of a document in which Ann works these hours."""
    return {"coaches": {"ann": ANN | {"working_hours": hours}}}


def apply(document: dict[str, Any], **query: Any) -> dict[str, Any]:
    """Apply a document and return what was changed."""
    return body_of(ask("POST", "/api/apply", document, query=query))


def test_an_empty_database_is_bookable_with_one_document(empty: Connection) -> None:
    """After the plan, which changes nothing; the same document again changes nothing."""
    before = table_digests(empty)
    plan = apply(DOCUMENT, dry_run="true")
    assert [one["action"] for one in plan["changes"]] == ["create"] * 7
    assert table_digests(empty) == before
    assert apply(DOCUMENT)["changes"] == plan["changes"]
    assert starts("intro", days=7)
    before = table_digests(empty)
    again = apply(DOCUMENT)
    assert (again["changes"], again["shares"]) == ([], [])
    assert table_digests(empty) == before


def test_what_is_exported_makes_the_same_where_there_is_nothing(empty: Connection) -> None:
    """Export, apply elsewhere, export: equal, byte by byte; and applied where it is from it is no change."""
    apply(DOCUMENT)
    exported = ask("GET", "/api/export")
    assert apply(exported.json)["changes"] == []
    # Ids are unique in a database, so elsewhere is the same one, emptied.
    empty.execute("TRUNCATE coaches, calendars CASCADE")
    apply(exported.json)
    assert ask("GET", "/api/export").body == exported.body
    assert exported.json["coaches"]["ben"]["score"] == 0.731
    assert exported.json["calendars"]["intro"]["team"] == {
        "ann": {"weight": 1, "buffers": {"before": 0, "after": 0}, "notice": 0},
        "ben": {"weight": 1.5, "buffers": {"before": 0, "after": 60}, "notice": 1440},
    }
    assert (
        exported.json["coaches"]["ben"].items() >= {name: BEN[name] for name in ("limits", "notice")}.items()
    )


def test_a_change_is_told_by_its_members(empty: Connection) -> None:
    """What is not in the document stays; a team that is left out, too."""
    apply(DOCUMENT)
    change = {
        "calendars": {"intro": INTRO | {"name": "Hello", "team": None}},
        "coaches": {"ann": ANN | {"active": False}},
    }
    plan = apply(change)
    assert [(one["id"], one["action"], one["members"]) for one in plan["changes"]] == [
        ("ann", "update", ["active"]),
        ("intro", "update", ["name"]),
    ]
    assert {"ann", "ben"} <= {one["coach_id"] for one in plan["shares"]}
    exported = body_of(ask("GET", "/api/export"))
    assert exported["coaches"].keys() == {"ann", "ben"}
    assert exported["calendars"]["intro"]["team"].keys() == {"ann", "ben"}


def test_a_team_is_its_whole_team(empty: Connection) -> None:
    """Who is not named leaves it, through the ledger."""
    apply(DOCUMENT)
    change = {"calendars": {"intro": INTRO | {"team": {"ben": {"weight": 2}}}}}
    plan = apply(change)
    assert {(one["id"], one["action"]) for one in plan["changes"]} == {
        ("intro/ann", "delete"),
        ("intro/ben", "update"),
    }
    assert count(empty, "distribution_log", "step = 'left'") == 3  # each kind of hour is a ledger


def test_pruning_deletes_what_is_not_named(team: Connection) -> None:
    """By plan: appointments refuse it until it is said what becomes of them."""
    for step in range(3):
        booked(NINE + step * HALF)
    before = table_digests(team)
    answer = ask("POST", "/api/apply", DOCUMENT, query={"prune": "true"})
    assert {one["outcome"] for one in touched(answer)} == {"nobody_free"}
    assert table_digests(team) == before
    plan = apply(DOCUMENT, prune="true", appointments="cancel")
    assert {one["outcome"] for one in plan["appointments"]} == {"cancelled"}
    exported = body_of(ask("GET", "/api/export"))
    assert exported["coaches"].keys() == {"ann", "ben"}
    assert exported["calendars"].keys() == {"intro", "talk"}
    assert apply(DOCUMENT, prune="true")["changes"] == []
    check_invariants(team)
    check_replay(team)


def test_pruning_tells_a_coach_from_a_calendar_of_the_same_id(empty: Connection) -> None:
    """Both go, and the coach's place in the team once."""
    apply({"coaches": {"ann": ANN}, "calendars": {"ann": INTRO | {"team": {"ann": {}}}}})
    plan = apply({}, prune="true")
    assert [(one["resource"], one["id"], one["action"]) for one in plan["changes"]] == [
        ("member", "ann/ann", "delete"),
        ("calendar", "ann", "delete"),
        ("coach", "ann", "delete"),
    ]
    assert body_of(ask("GET", "/api/export")) == {"coaches": {}, "calendars": {}}


def test_one_document_moves_appointments_to_whom_it_adds(team: Connection) -> None:
    """A coach who goes and one who comes are one transaction: the new one takes over."""
    for step in range(3):
        booked(NINE + step * HALF)
    zed = {"name": "Zed", "time_zone": "America/New_York", "working_hours": EVERY_DAY, "score": 0.7}
    members: dict[str, Any] = {"coach-02": {}, "coach-03": {}, "zed": {}}
    change = {
        "coaches": {"zed": zed},
        "calendars": {"cal": {"name": "Cal", "slot_duration": 30, "team": members}},
    }
    plan = apply(change, appointments="reassign")
    assert [one["new_coach_id"] for one in plan["appointments"]] == ["zed"]
    assert "coach-01" not in free(NINE)
    check_replay(team)


@pytest.mark.parametrize(("change", "place"), [
    ({"coachs": {}}, "body.coachs"),
    ({"coaches": {"ann": ANN | {"nmae": "Ann"}}}, "body.coaches.ann.nmae"),
    ({"coaches": {"a b": ANN}}, "body.coaches.a b.[key]"),
    ({"coaches": {"distribution": ANN}}, "body.coaches.distribution.[key]"),
    ({"coaches": {"ann": ANN | {"time_zone": "Mars/Olympus"}}}, "body.coaches.ann.time_zone"),
    (working({"mon": [["09:00", "12:00"], ["11:00", "13:00"]]}), "body.coaches.ann.working_hours.mon"),
    (working({"sun": [["22:00", "02:00"]], "mon": [["01:00", "05:00"]]}), "body.coaches.ann.working_hours"),
    (working({"mon": [["09:10", "12:00"]]}), "body.coaches.ann.working_hours.mon.0.0"),
    ({"calendars": {"intro": INTRO | {"slug": "In Tro"}}}, "body.calendars.intro.slug"),
    ({"calendars": {"intro": INTRO | {"slot_duration": 20}}}, "body.calendars.intro.slot_duration"),
    ({"calendars": {"intro": INTRO | {"team": {"ann": {"w": 1}}}}}, "body.calendars.intro.team.ann.w"),
])  # fmt: skip
def test_a_wrong_document_is_refused_by_its_place(
    empty: Connection, change: dict[str, Any], place: str
) -> None:
    """As deep as it is; nothing of it is applied."""
    before = table_digests(empty)
    problem = check_problem(ask("POST", "/api/apply", DOCUMENT | change), 422, "VALIDATION_ERROR")
    assert place in [one["loc"] for one in problem["details"]]
    assert table_digests(empty) == before


@pytest.mark.parametrize(("change", "status", "code", "place"), [
    (
        {"calendars": {"intro": INTRO | {"team": {"nobody": {}}}}},
        404, "NOT_FOUND", ("body.calendars.intro.team.nobody", "not_found"),
    ),
    ({"coaches": {"ann": ANN, "theirs": ANN}}, 404, "NOT_FOUND", ("body.coaches.theirs", "not_found")),
    ({"calendars": {"theirs": INTRO}}, 404, "NOT_FOUND", ("body.calendars.theirs", "not_found")),
    (
        {"calendars": {"intro": INTRO | {"team": {"ann": {}, "theirs": {}}}}},
        404, "NOT_FOUND", ("body.calendars.intro.team.theirs", "not_found"),
    ),
    (
        {"calendars": {"intro": INTRO, "talk": INTRO}},
        409, "SLUG_TAKEN", ("body.calendars.talk.slug", "taken"),
    ),
    (
        {"calendars": {"talk": INTRO | {"slug": "there"}}},
        409, "SLUG_TAKEN", ("body.calendars.talk.slug", "taken"),
    ),
])  # fmt: skip
def test_nothing_is_applied_if_a_part_cannot_be(
    empty: Connection, change: dict[str, Any], status: int, code: str, place: tuple[str, str]
) -> None:
    """What is not there, is another tenant's, or is taken is named by its place, and undoes all of it."""
    add_coach(empty, "theirs", tenant_id="other")
    add_calendar(empty, "theirs", ["theirs"], tenant_id="other")
    apply({"calendars": {"before": {"name": "Before", "slot_duration": 30, "slug": "there"}}})
    before = table_digests(empty)
    for query in ({}, {"dry_run": "true"}):
        answer = ask("POST", "/api/apply", DOCUMENT | change, query=query)
        check_problem(answer, status, code, place=place)
    assert table_digests(empty) == before


def test_the_slug_of_a_pruned_calendar_is_free(empty: Connection) -> None:
    """For one that comes with the same document."""
    apply({"calendars": {"old": {"name": "Old", "slot_duration": 30, "slug": "intro"}}})
    apply(DOCUMENT, prune="true")
    assert body_of(ask("GET", "/api/calendars/intro"))["slug"] == "intro"


def test_slugs_can_be_exchanged(empty: Connection) -> None:
    """The document counts as a whole, not by the order of its calendars."""
    one, other = ({"name": name, "slot_duration": 30, "slug": name} for name in ("one", "other"))
    apply({"calendars": {"a": one, "b": other}})
    plan = apply({"calendars": {"a": other, "b": one}})
    assert {member for change in plan["changes"] for member in change["members"]} == {"name", "slug"}


def test_a_key_applies_it_once(empty: Connection) -> None:
    """A retry has the first answer; a dry run with the key has none stored."""
    headers = {"X-Idempotency-Key": "k"}
    ask("POST", "/api/apply", DOCUMENT, headers=headers, query={"dry_run": "true"})
    first, second = (ask("POST", "/api/apply", DOCUMENT, headers=headers) for _ in range(2))
    assert (first.status, first.json) == (second.status, second.json) == (200, first.json)
    assert len(second.json["changes"]) == 7


def large_document(size: int) -> bytes:
    """Return a document of so many bytes, with lists of free days and texts as long as they may be."""
    dates = [str(date(2027, 1, 1) + timedelta(days=day)) for day in range(400)]
    ann = ANN | {"overrides": [{"date": one} for one in dates]}
    talk = {"name": "Talk", "slot_duration": 30, "description": "x" * 4000, "team": {"coach-0": {}}}
    coaches = {f"coach-{number}": ann for number in range(25)}
    calendars = {f"cal-{number}": talk for number in range(160)}
    body = json.dumps({"coaches": coaches, "calendars": calendars}).encode()
    assert size * 0.8 < len(body) < size
    return body + b" " * (size - len(body))


def test_a_document_of_a_megabyte_is_applied(empty: Connection) -> None:
    """A byte more is refused before it is read, by a sentence that says the limit."""
    before = table_digests(empty)
    body = large_document(1024 * 1024)
    problem = check_problem(ask("POST", "/api/apply", body + b" "), 413, "PAYLOAD_TOO_LARGE")
    assert "1024 KiB" in problem["message"]
    assert table_digests(empty) == before
    plan = body_of(ask("POST", "/api/apply", body))
    assert len(plan["changes"]) == 25 + 160 + 160


def test_other_bodies_stay_small(empty: Connection) -> None:
    """Only a document is large."""
    body = json.dumps(ANN).encode() + b" " * 64 * 1024
    problem = check_problem(ask("PUT", "/api/coaches/ann", body), 413, "PAYLOAD_TOO_LARGE")
    assert "64 KiB" in problem["message"]


@pytest.mark.parametrize(("limit", "change"), [
    ("MOST_CHANGES", {"coaches": {"ann": ANN | {"name": "A"}, "ben": BEN | {"name": "B"}}}),
    ("MOST_LEAVING", {"calendars": {"intro": INTRO | {"team": {}}}}),
])  # fmt: skip
def test_more_than_can_be_changed_in_time_is_refused(
    empty: Connection, monkeypatch: pytest.MonkeyPatch, limit: str, change: dict[str, Any]
) -> None:
    """By a sentence that says how many are possible, and before anything is done; a dry run, too."""
    apply(DOCUMENT)
    monkeypatch.setattr(changes, limit, 1)
    before = table_digests(empty)
    for query in ({}, {"dry_run": "true"}):
        problem = check_problem(ask("POST", "/api/apply", change, query=query), 409, "CONFLICT")
        assert "1 are possible at once; make it in parts." in problem["message"]
    assert table_digests(empty) == before
    monkeypatch.setattr(changes, limit, 2)
    assert apply(change)["changes"]
