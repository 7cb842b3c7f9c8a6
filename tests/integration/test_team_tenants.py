"""Statements about teams see one tenant, also where nothing before them has looked."""

from datetime import timedelta
from uuid import uuid4

import pytest

from fairslot.coach_time.absences import begin_absence
from fairslot.domain.errors import NotFoundError
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.team import members
from fairslot.team.absences import Absence
from fairslot.team.members import Member
from tests.support.bookings import book
from tests.support.clock import DAY, NINE, NOW
from tests.support.tables import table_digests
from tests.support.team import add_calendar, add_coach, add_team

OTHER = "other"


@pytest.fixture
def two(connection: Connection) -> Connection:
    """A team of the first tenant with an appointment; the other has a coach and a calendar."""
    add_team(connection, 2)
    book(connection)
    add_coach(connection, "zed", tenant_id=OTHER)
    add_calendar(connection, "theirs", ["zed"], tenant_id=OTHER)
    return connection


@pytest.mark.parametrize(("calendar_id", "coach_id"), [("cal", "zed"), ("theirs", "coach-01")])
def test_nobody_joins_across_tenants(two: Connection, calendar_id: str, coach_id: str) -> None:
    """Neither a coach of one's own another's calendar, nor the other way round."""
    before = table_digests(two)
    place = Member(calendar_id, coach_id)
    settings = {"weight": 1, "buffers": {"before": 0, "after": 0}, "notice": 0}
    (step,) = place.put_steps(two, tenant_id=OTHER, known=None, settings=settings, now=NOW)
    with pytest.raises(NotFoundError):
        step.make(two, [step])
    assert table_digests(two) == before


def test_nobody_leaves_another_tenants_team(two: Connection) -> None:
    """The statement finds no calendar, so nothing happens."""
    before = table_digests(two)
    (step,) = Member("cal", "coach-01").delete_steps(two, tenant_id=OTHER, now=NOW)
    step.make(two, [step])
    assert table_digests(two) == before


def test_teams_are_listed_of_one_tenant(two: Connection) -> None:
    """All of its calendars, and no other."""
    found = members.list_page(two, tenant_id=OTHER, calendar_id=None)
    assert [(one["calendar_id"], one["coach_id"]) for one in found] == [("theirs", "zed")]
    assert members.list_page(two, tenant_id=OTHER, calendar_id="cal") == []


def test_an_absence_of_another_is_neither_read_nor_deleted(two: Connection) -> None:
    """Whatever its id."""
    event_id = uuid4()
    begin_absence(two, coach_id="coach-02", start=NINE, end=NINE + DAY, event_id=event_id)
    with pytest.raises(NotFoundError):
        Absence("coach-02", event_id).get(two, tenant_id=OTHER)
    before = table_digests(two)
    values = {"tenant": OTHER, "coach": "coach-02", "event": event_id}
    assert two.execute(queries("absences")["delete"], values).fetchall() == []
    assert table_digests(two) == before


def test_absences_are_listed_of_one_tenant(two: Connection) -> None:
    """The statement itself leaves out another's."""
    begin_absence(two, coach_id="coach-02", start=NINE, end=NINE + DAY, event_id=uuid4())
    values = dict.fromkeys(("start", "end", "after_start", "after_id"), None)
    sql = queries("absences")["list_page"]
    for tenant, number in (("default", 1), (OTHER, 0)):
        named = {"tenant": tenant, "coach": "coach-02", "limit": 9}
        assert len(two.execute(sql, values | named).fetchall()) == number


@pytest.mark.parametrize("statement", ["misfits", "shares"])
def test_a_plan_sees_one_tenant(two: Connection, statement: str) -> None:
    """Neither appointments nor shares of another's calendars."""
    two.execute("UPDATE coaches SET active = false")
    names = {"coaches": ["coach-01", "coach-02"], "calendars": ["cal"], "closing": ["cal"]}
    values = {"tenant": "default", "now": NOW - timedelta(days=1), **names}
    sql = queries("team_changes")[statement]
    assert two.execute(sql, values).fetchall()
    assert two.execute(sql, values | {"tenant": OTHER}).fetchall() == []


def test_appointments_of_another_are_not_settled(two: Connection) -> None:
    """Though they are named."""
    row = two.execute("SELECT array_agg(appointment_id) AS ids FROM coach_appointments").fetchone()
    assert row is not None
    values = {"ids": row["ids"], "reasons": ["inactive"], "action": "cancel", "reason": None, "now": NOW}
    before = table_digests(two)
    sql = queries("team_changes")["settle"]
    assert two.execute(sql, {"tenant": OTHER, **values}).fetchall() == []
    assert table_digests(two) == before


@pytest.mark.parametrize("statement", ["delete", "forget_calendar", "calendars_of"])
def test_a_coach_of_another_is_left_alone(two: Connection, statement: str) -> None:
    """By each statement of its own."""
    deleted = statement == "forget_calendar"
    two.execute("UPDATE coaches SET active = false, deleted_at = now() WHERE %s", (deleted,))
    two.execute("INSERT INTO coach_syncs (coach_id, synced_at) VALUES ('coach-01', now())")
    before = table_digests(two)
    sql = queries("coaches")[statement]
    coach = "coach-01" if statement == "calendars_of" else ["coach-01"]
    cursor = two.execute(sql, {"tenant": OTHER, "coach": coach, "now": NOW})
    # A function without a result answers with a row that has none.
    assert [row for row in cursor if [*row.values()] != [None]] == []
    assert table_digests(two) == before


@pytest.mark.parametrize("statement", ["delete", "release_slug"])
def test_a_calendar_of_another_is_left_alone(two: Connection, statement: str) -> None:
    """By each statement of its own."""
    two.execute("UPDATE calendars SET slug = calendar_id")
    before = table_digests(two)
    sql = queries("calendars")[statement]
    two.execute(sql, {"tenant": OTHER, "calendar": "cal", "now": NOW})
    assert table_digests(two) == before
