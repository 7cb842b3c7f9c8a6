"""Keys that may see some calendars only: to them the others are not there, on any route."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

import availability.app
import booking.app
from fairslot.http import api
from fairslot.http.routing import UndeclaredRouteError, declared, route
from fairslot.platform.db import Connection
from tests.support.api_fuzz import Operation, operations
from tests.support.clock import NINE
from tests.support.http import NOTHING, ask, body_of, book, booked, check_problem, request
from tests.support.lambda_context import context
from tests.support.tables import table_digests
from tests.support.team import add_calendar

START = {"start_time": NINE.isoformat()}


@dataclass(frozen=True, kw_only=True)
class Case:
    """How a route is asked about a calendar, or what is its; without any of these it lists."""

    query: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None
    lists: str = ""


# Every route that a key for some calendars may call; a route that is not here fails the test below.
CASES = {
    "list_availability": Case(query={"calendar_id": "{calendar_id}"}, lists="slots"),
    "list_soonest": Case(query={"calendars": "{calendar_id}"}, lists="slots"),
    "explain_availability": Case(query={"calendar_id": "{calendar_id}", **START}),
    "get_distribution": Case(query={"calendar_id": "{calendar_id}"}, lists="distribution"),
    "create_appointment": Case(
        body={
            "calendar_id": "{calendar_id}",
            "contact_email": "zoe@example.com",
            "contact_name": "Zoë",
            **START,
        }
    ),
    "list_appointments": Case(lists="data"),
    "get_appointment": Case(),
    "get_decision": Case(),
    "cancel_appointment": Case(body={}),
    "reschedule_appointment": Case(body=START),
    "reassign_appointment": Case(body={}),
    "report_outcome": Case(body={"outcome": "completed"}),
    "create_hold": Case(body={"calendar_id": "{calendar_id}", **START}),
    "delete_hold": Case(),
    "receive_calendar_event": Case(body={"event_type": "coach.calendar_changed", "coach_id": "coach-01"}),
}
KEYED = {"X-Idempotency-Key": "seen"}


def open_to_narrow_keys() -> list[Operation]:
    """Return every operation that needs another scope than `admin`."""
    return [
        one
        for one in operations()
        if re.search(r"Needs the scope `(read|write)`", one.described["description"])
    ]


def test_no_route_is_forgotten() -> None:
    """Each route that such a key may call is asked below, and says what it is about."""
    assert {one.name for one in open_to_narrow_keys()} == CASES.keys()
    for app in (availability.app.app, booking.app.app):
        for _, contract in declared(app):
            assert contract.calendars != "all" or contract.scope is None or contract.signed, contract.path


@pytest.fixture
def narrow(team: Connection) -> str:
    """A key for the calendar `mine`, which the coaches of `cal` hold too."""
    add_calendar(team, "mine", ["coach-01", "coach-02"])
    body = {"scopes": ["read", "write"], "calendars": ["mine"]}
    return str(body_of(ask("POST", "/api/keys", body), 201)["key"])


@pytest.fixture
def theirs(narrow: str) -> dict[str, str]:
    """What there is of the calendar `cal`."""
    hold = body_of(ask("POST", "/api/holds", {"calendar_id": "cal", **START}), 201)
    return {
        "calendar_id": "cal",
        "appointment_id": booked()["appointment_id"],
        "hold_id": hold["hold_id"],
    }


def filled(given: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """Return values with the ids in their places."""
    return {
        name: one.format(**ids) if isinstance(one, str) and one.startswith("{") else one
        for name, one in given.items()
    }


@pytest.mark.parametrize("operation", open_to_narrow_keys(), ids=lambda operation: operation.name)
def test_what_is_of_another_calendar_is_not_there(
    team: Connection, narrow: str, theirs: dict[str, str], operation: Operation
) -> None:
    """It is answered as what does not exist, and nothing changes."""
    case = CASES[operation.name]
    unknown = {"calendar_id": "nothing", "appointment_id": str(uuid4()), "hold_id": str(uuid4())}
    before = table_digests(team)
    answers = [
        ask(
            operation.method,
            operation.path.format(**ids),
            NOTHING if case.body is None else filled(case.body, ids),
            query=filled(case.query or {}, ids),
            key=narrow,
            headers=KEYED if operation.name == "receive_calendar_event" else (),
        )
        for ids in (theirs, unknown)
    ]
    if operation.name == "receive_calendar_event":
        check_problem(answers[0], 403, "FORBIDDEN")
    elif case.query is None and case.lists:
        assert answers[0].json[case.lists] == []
    else:
        check_problem(answers[0], 404, "NOT_FOUND")
        assert answers[0].json == answers[1].json
    assert table_digests(team) == before


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.lists])
def test_a_list_has_what_the_key_may_see(
    team: Connection, narrow: str, theirs: dict[str, str], name: str
) -> None:
    """And nothing else, without a filter and with one for another calendar."""
    booked(calendar_id="mine", start="2026-03-04T15:00:00Z")
    path = next(one.path for one in operations() if one.name == name)
    all_of_it, seen = (body_of(ask("GET", path, key=key)) for key in ("test-key-123", narrow))
    if name == "get_distribution":
        alone = body_of(ask("GET", path, query={"calendar_id": "mine"}))
        assert {**seen, "calendar_id": "mine", "start": "", "end": ""} == {**alone, "start": "", "end": ""}
        return
    assert {one["calendar_id"] for one in all_of_it[CASES[name].lists]} == {"cal", "mine"}
    assert {one["calendar_id"] for one in seen[CASES[name].lists]} == {"mine"}


def test_what_a_key_may_see_it_may_use(team: Connection, narrow: str) -> None:
    """Booking, reading, changing and holding work on its own calendar as for any key."""
    made = body_of(book(calendar_id="mine", key=narrow), 201)
    path = f"/api/appointments/{made['appointment_id']}"
    assert body_of(ask("GET", path, key=narrow))["calendar_id"] == "mine"
    assert ask("GET", f"{path}/decision", key=narrow).status == 200
    assert ask("POST", f"{path}/cancel", key=narrow).status == 200
    hold = body_of(ask("POST", "/api/holds", {"calendar_id": "mine", **START}, key=narrow), 201)
    released = {"X-Idempotency-Key": "k"}
    for _ in range(2):  # the second is a replay, when the hold is gone
        gone = ask("DELETE", f"/api/holds/{hold['hold_id']}", key=narrow, headers=released)
        assert gone.status == 204


def test_one_name_of_another_calendar_is_enough(team: Connection, narrow: str) -> None:
    """Of several calendars that are named, the key has to see each."""
    path = "/api/availability/soonest"
    assert body_of(ask("GET", path, query={"calendars": ["mine"]}, key=narrow))["slots"] != []
    for names in (["mine", "cal"], ["cal", "mine"]):
        check_problem(ask("GET", path, query={"calendars": names}, key=narrow), 404, "NOT_FOUND")


def test_a_calendar_that_is_gone_is_left_out(team: Connection) -> None:
    """A key that may see it still lists the others."""
    for name in ("gone", "mine"):
        add_calendar(team, name, ["coach-01", "coach-02"])
    body = {"scopes": ["read"], "calendars": ["gone", "mine"]}
    key = body_of(ask("POST", "/api/keys", body), 201)["key"]
    assert ask("DELETE", "/api/calendars/gone").status == 204
    for path in ("/api/availability", "/api/availability/soonest"):
        slots = body_of(ask("GET", path, key=key))["slots"]
        assert {one["calendar_id"] for one in slots} == {"mine"}


def test_a_hold_of_another_calendar_books_nothing(narrow: str, theirs: dict[str, str]) -> None:
    """Not even on the key's own calendar."""
    refused = book(calendar_id="mine", hold_id=theirs["hold_id"], key=narrow)
    check_problem(refused, 422, "VALIDATION_ERROR")


def test_the_answer_to_another_key_is_not_replayed(narrow: str) -> None:
    """The same request under the same idempotency key is judged before it is answered."""
    assert book(headers=KEYED).status == 201
    check_problem(book(headers=KEYED, key=narrow), 404, "NOT_FOUND")


def test_a_route_must_say_what_it_is_about() -> None:
    """One for keys that may be limited is not declared without."""
    app = api.resolver()
    with pytest.raises(UndeclaredRouteError, match="calendars"):
        route(app, "GET", "/late", scope="read")


def test_a_route_that_lists_too_much_is_not_answered(narrow: str) -> None:
    """If it never asks what its caller may see, the answer is withheld."""
    app = api.resolver()
    route(app, "GET", "/careless", scope="read", calendars="listed")(lambda: {"data": ["cal"]})
    handler = api.handler(app)
    assert handler(request("GET", "/careless"), context())["statusCode"] == 200
    answer = handler(request("GET", "/careless", key=narrow), context())
    assert answer["statusCode"] == 500
    assert '"cal"' not in answer["body"]
