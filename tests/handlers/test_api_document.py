"""A whole team as one document: applied, again, pruned, and exported."""

import json
from typing import Any

import pytest

from fairslot.platform.db import Connection
from tests.support.clock import HALF, NINE
from tests.support.http import add_key, ask, body_of, booked, check_problem
from tests.support.invariants import check_invariants, check_replay
from tests.support.tables import count, table_digests
from tests.support.team import EVERY_DAY
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
    assert count(empty, "distribution_log", "kind = 'left'") == 1


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


def test_nothing_is_applied_if_a_part_cannot_be(empty: Connection) -> None:
    """An unknown coach in a team, or a slug that two calendars want, undoes all of it."""
    before = table_digests(empty)
    stranger = DOCUMENT | {"calendars": {"intro": INTRO | {"team": {"nobody": {}}}}}
    check_problem(ask("POST", "/api/apply", stranger), 404, "NOT_FOUND")
    twice = DOCUMENT | {"calendars": {"intro": INTRO, "talk": INTRO}}
    check_problem(ask("POST", "/api/apply", twice), 409, "SLUG_TAKEN")
    assert table_digests(empty) == before


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


def test_a_document_of_a_megabyte_is_refused(empty: Connection) -> None:
    """Before it is read; one just within the limit is applied."""
    body = json.dumps(DOCUMENT | {"coaches": {"ann": ANN | {"name": "x" * 1024 * 1024}}}).encode()
    check_problem(ask("POST", "/api/apply", body), 413, "PAYLOAD_TOO_LARGE")
    many = {f"coach-{number}": ANN for number in range(180)}
    assert len(json.dumps(many)) > 48 * 1024
    assert len(apply({"coaches": many})["changes"]) == 180
