"""What calendars and customers require of coaches: who is in, who is out, and what is on record of it."""

from functools import partial
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from fairslot.booking import decisions
from fairslot.coach_time.days import extend_days
from fairslot.domain.errors import SlotUnavailableError, ValidationError
from fairslot.domain.idempotency import ChangeResult
from fairslot.domain.requirements import Requirement
from fairslot.platform.db import Connection
from tests.support.availability import explain, list_page, reasons
from tests.support.bookings import (
    appointment_now,
    appointment_of,
    book,
    cancel,
    hold,
    reassign,
    reschedule,
)
from tests.support.clock import HALF, HOUR, NINE, NOW
from tests.support.invariants import check_invariants, check_replay, credits_of
from tests.support.race import refused
from tests.support.readings import begin_absence
from tests.support.tables import count, one_row
from tests.support.team import TENANT, add_calendar, add_coach, set_attributes, set_calendar, set_coach

GERMAN = ("language:de",)
SENIOR = ("tier:3",)


@pytest.fixture
def team(connection: Connection) -> Connection:
    """Two who speak German, one of them a senior, and one who does not."""
    for coach_id, attributes in (
        ("ana", {"language": ["de", "en"], "tier": 3}),
        ("ben", {"language": ["de"], "tier": 2}),
        ("cy", {"language": "en", "tier": 3}),
    ):
        add_coach(connection, coach_id)
        set_attributes(connection, coach_id, **attributes)
    add_calendar(connection, "cal", ["ana", "ben", "cy"])
    extend_days(connection, now=NOW)
    return connection


def coach_of(connection: Connection, change: ChangeResult) -> str:
    """Return who has an appointment."""
    return appointment_now(connection, change).coach_id


def decision_of(connection: Connection, change: ChangeResult) -> decisions.Decision:
    """Return why what was booked went to its coach."""
    appointment_id = appointment_of(change).appointment_id
    return decisions.decision(connection, tenant_id=TENANT, appointment_id=appointment_id)


def excluded(decision: decisions.Decision) -> dict[str, str | None]:
    """Return why each coach was not eligible."""
    return {one.coach_id: one.excluded_reason for one in decision.candidates}


@pytest.mark.parametrize(
    ("attribute", "value", "is_met"),
    [
        ("de", "de", True),
        ("de", "d", False),
        ("de", "DE", False),
        (["en", "de"], "de", True),
        (["en", "de"], '["en", "de"]', False),
        ([], "de", False),
        ("a:b", "a:b", True),
        ("a:b", "a", False),
        (2, "2", True),
        (2, "02", False),
        (-2, "-2", True),
        (True, "true", True),
        (False, "false", True),
        (False, "true", False),
        ("true", "true", True),
        ("", "", True),
    ],
)
def test_what_meets_a_requirement(connection: Connection, attribute: Any, value: str, is_met: bool) -> None:  # noqa: FBT001 - a case
    """The value as text, or a list that has it."""
    row = one_row(
        connection,
        "SELECT engine.meets(%s, %s) AS met, engine.meets('{}', %s) AS without",
        (Jsonb({"x": attribute}), f"x:{value}", f"x:{value}"),
    )
    assert row == {"met": is_met, "without": False}


def test_who_does_not_meet_the_calendar_is_out(team: Connection) -> None:
    """Neither listed nor booked, and not passed over: the others share the bookings as if they were alone."""
    set_calendar(team, "cal", requires=[*GERMAN])
    assert reasons(team) == {"ana": None, "ben": None, "cy": "missing_attribute"}
    assert {one.coach_ids for one in list_page(team, with_coaches=True).starts} == {("ana", "ben")}
    made = [book(team, NINE + number * HOUR) for number in range(4)]
    assert [coach_of(team, one) for one in made] == ["ana", "ben", "ana", "ben"]
    assert credits_of(team) == {"ana": 0, "ben": 0, "cy": 0}
    assert excluded(decision_of(team, made[0])) == {"ana": None, "ben": None, "cy": "missing_attribute"}
    check_invariants(team)
    check_replay(team)


def test_who_does_not_meet_a_request_is_not_free_for_it(team: Connection) -> None:
    """Customers who ask for something get nobody else, and who is kept out neither gains nor loses."""
    made = [book(team, NINE + number * HOUR, requires=GERMAN) for number in range(4)]
    assert {coach_of(team, one) for one in made} == {"ana", "ben"}
    assert credits_of(team)["cy"] == 0
    shares = {one.coach_id: one.share for one in decision_of(team, made[0]).candidates}
    assert shares == {"ana": 0.5, "ben": 0.5, "cy": None}
    assert coach_of(team, book(team, requires=["language:en", "tier:3"])) == "cy"
    assert coach_of(team, book(team, requires=GERMAN)) == "ben"
    assert isinstance(refused(lambda: book(team, requires=GERMAN)), SlotUnavailableError)
    check_invariants(team)
    check_replay(team)


def test_what_nobody_meets_is_not_a_matter_of_the_start(team: Connection) -> None:
    """Whoever asks for it is told so; what the calendar itself requires is no fault of the request."""
    french = ["language:fr"]
    for ask in (partial(book, team, requires=french), partial(hold, team, requires=french)):
        error = refused(ask)
        assert isinstance(error, ValidationError)
        assert error.details == (("body.requires", "nobody_meets"),)
    set_attributes(team, "cy", language=["en", "fr"])
    assert coach_of(team, book(team, requires=french)) == "cy"
    assert isinstance(refused(lambda: book(team, requires=french)), SlotUnavailableError)
    set_calendar(team, "cal", requires=[*GERMAN])
    assert isinstance(refused(lambda: book(team, requires=french)), ValidationError)
    set_calendar(team, "cal", requires=["tier:9"])
    assert isinstance(refused(lambda: book(team, requires=french)), SlotUnavailableError)


def test_both_have_to_be_met(team: Connection) -> None:
    """A request asks for more than the calendar requires, never for less."""
    set_calendar(team, "cal", requires=[*GERMAN])
    assert reasons(team, requires=SENIOR) == {
        "ana": None,
        "ben": "missing_attribute",
        "cy": "missing_attribute",
    }
    assert coach_of(team, book(team, requires=SENIOR)) == "ana"
    assert isinstance(refused(lambda: book(team, requires=SENIOR)), SlotUnavailableError)
    assert coach_of(team, book(team)) == "ben"
    assert isinstance(refused(lambda: book(team)), SlotUnavailableError)


def test_the_trace_is_on_record(team: Connection) -> None:
    """Which rule let whom in and which kept whom out, however the coaches' attributes change afterwards."""
    german = Requirement(rule="calendar", attribute="language:de")
    senior = Requirement(rule="request", attribute="tier:3")
    remote = Requirement(rule="request", attribute="remote:true")
    set_attributes(team, "ana", language="de", tier=3, remote=True)
    set_calendar(team, "cal", requires=[*GERMAN])
    asked = ("remote:true", *SENIOR)
    traces = {
        "ana": ([german, remote, senior], []),
        "ben": ([german], [remote, senior]),
        "cy": ([senior], [german, remote]),
    }
    assert {one.coach_id: (one.met, one.missing) for one in explain(team, requires=asked)} == traces
    made = book(team, requires=asked)
    before = decision_of(team, made)
    assert before.requires == [german, remote, senior]
    assert {one.coach_id: (one.met, one.missing) for one in before.candidates} == traces
    assert before.reason.endswith(" 2 coaches did not meet language:de, remote:true, tier:3.")
    for coach_id in ("ana", "ben", "cy"):
        set_attributes(team, coach_id, language="fr")
    set_calendar(team, "cal", requires=[])
    assert decision_of(team, made) == before
    check_replay(team)


def test_without_requirements_there_is_no_trace(team: Connection) -> None:
    """Nothing is asked, so nothing is met or missing, and nothing is stored of it."""
    made = decision_of(team, book(team))
    assert made.requires == []
    assert all((one.met, one.missing) == ([], []) for one in made.candidates)
    assert count(team, "changes", "unmet IS NOT NULL OR (after).requires IS NOT NULL") == 0


def test_what_was_asked_for_stays(team: Connection) -> None:
    """Whoever an appointment goes to later meets it, too, also where nobody else is left."""
    made = book(team, requires=GERMAN)
    assert appointment_now(team, made).requires == ["language:de"]
    assert coach_of(team, made) == "ana"
    reassign(team, made)
    assert coach_of(team, made) == "ben"
    assert excluded(decision_of(team, made)) == {"ana": "replaced", "ben": None, "cy": "missing_attribute"}
    assert isinstance(refused(lambda: reassign(team, made, "cy")), SlotUnavailableError)
    begin_absence(team, "ana", NINE, NINE + 8 * HOUR)
    assert isinstance(refused(lambda: reassign(team, made)), SlotUnavailableError)
    reschedule(team, made, NINE + HALF, any_coach=True)
    assert coach_of(team, made) == "ben"
    begin_absence(team, "ben", NINE + 2 * HOUR, NINE + 8 * HOUR)
    moved = refused(lambda: reschedule(team, made, NINE + 3 * HOUR, any_coach=True))
    assert isinstance(moved, SlotUnavailableError)
    check_invariants(team)
    check_replay(team)


def test_who_moves_goes_to_who_meets_it(team: Connection) -> None:
    """Also where somebody else is owed more, and where the coach so far no longer meets it."""
    made = book(team, requires=GERMAN)
    begin_absence(team, "ana", NINE + HOUR, NINE + 8 * HOUR)
    assert coach_of(team, book(team, NINE + 2 * HOUR)) == "ben"
    assert credits_of(team)["ben"] < credits_of(team)["cy"]
    reschedule(team, made, NINE + HOUR, any_coach=True)
    assert coach_of(team, made) == "ben"
    set_attributes(team, "ben", language="en")
    later = NINE + 5 * HOUR
    moved = refused(lambda: reschedule(team, made, later))
    assert isinstance(moved, SlotUnavailableError)
    moved = refused(lambda: reschedule(team, made, later, any_coach=True))
    assert isinstance(moved, SlotUnavailableError)
    check_replay(team)


def test_a_hold_keeps_what_was_asked_for(team: Connection) -> None:
    """Booking what is held asks for the same or for nothing; anything else is refused."""
    held = hold(team, requires=GERMAN)
    assert held.answer["coach_id"] == "ana"
    error = refused(lambda: book(team, held=held, requires=SENIOR))
    assert isinstance(error, ValidationError)
    assert error.details == (("body.requires", "not_as_held"),)
    made = book(team, held=held)
    assert appointment_now(team, made).requires == ["language:de"]
    reassign(team, made)
    assert coach_of(team, made) == "ben"
    again = hold(team, start=NINE + HOUR, requires=GERMAN)
    book(team, NINE + HOUR, held=again, requires=GERMAN)
    plain = hold(team, start=NINE + 2 * HOUR)
    assert isinstance(
        refused(lambda: book(team, NINE + 2 * HOUR, held=plain, requires=GERMAN)), ValidationError
    )


@pytest.mark.parametrize("booked", [False, True], ids=["unused", "used"])
def test_the_roster_follows(team: Connection, booked: bool) -> None:  # noqa: FBT001 - a case
    """Other attributes and other requirements make another team, whoever changes them."""
    if booked:
        book(team)

    def absent() -> dict[str, str | None]:
        return {row["coach_id"]: row["absent"] for row in team.execute("SELECT * FROM coach_credits")}

    set_calendar(team, "cal", requires=[*GERMAN])
    assert absent() == {"ana": None, "ben": None, "cy": "missing_attribute"}
    set_attributes(team, "cy", language="de")
    assert absent() == {"ana": None, "ben": None, "cy": None}
    set_attributes(team, "ana")
    set_coach(team, "ana", active=False)
    assert absent() == {"ana": "inactive", "ben": None, "cy": None}
    set_coach(team, "ana", active=True, calendar_kind="calendar_api")
    assert absent() == {"ana": "missing_attribute", "ben": None, "cy": None}
    set_calendar(team, "cal", requires=[])
    assert absent() == {"ana": "not_synced", "ben": None, "cy": None}
    check_replay(team)


def test_a_leaving_coach_leaves_the_rest_as_they_are(team: Connection) -> None:
    """Also in a team in which somebody does not meet what is required."""
    set_calendar(team, "cal", requires=[*GERMAN])
    first = book(team)
    team.execute("SELECT engine.leave_team('cal', 'ana', %s)", (NOW,))
    assert reasons(team, NINE + HOUR) == {"ben": None, "cy": "missing_attribute"}
    book(team, NINE + HOUR)
    cancel(team, first)
    check_invariants(team)
    check_replay(team)


def test_an_appointment_stays_with_who_lost_the_attribute(team: Connection) -> None:
    """It fits as it did: only what is booked, moved or handed over afterwards is judged again."""
    made = book(team, requires=GERMAN)
    set_attributes(team, "ana")
    set_calendar(team, "cal", requires=["tier:2"])
    misfits = "SELECT * FROM engine.misfits(%s, '{ana}', '{cal}', %s)"
    assert team.execute(misfits, (TENANT, NOW)).fetchall() == []
    assert coach_of(team, made) == "ana"
    reassign(team, made)
    assert coach_of(team, made) == "ben"
