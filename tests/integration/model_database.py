"""The database of the model's team, and the comparison of the two."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg.types.json import Jsonb

from fairslot.booking.distribution import Distribution, KindShares, distribution
from fairslot.coach_time.days import extend_days, horizon_slots
from fairslot.domain.fair_share import MILLION
from fairslot.domain.slots import instant_of
from fairslot.platform.db import Connection
from tests.integration.model import Model
from tests.integration.model_kinds import Kind
from tests.integration.model_parts import QUARTER, Calendar, Coach, Span
from tests.integration.model_team import NORMAL, Member, Team
from tests.support.availability import list_page
from tests.support.readings import store_reading
from tests.support.team import ALWAYS, TENANT, add_calendar, add_coach, set_attributes

CLEAR = ["changes", "coach_appointments", "calendars", "coaches"]
NOW = datetime.fromisoformat("2026-03-07T22:00:00Z")
# The night in which New York skips an hour at 07:00Z; its midnight is 05:00Z, and Berlin works from 08:00Z.
FIRST = datetime.fromisoformat("2026-03-08T03:00:00Z")
QUARTERS = 40
ROUNDING = 1e-5
# Lists of kinds that part the night in different ways: midnight, three and the skipped hour among them.
KINDS: list[list[Kind]] = [
    [{"name": "early", "before": "04:00", "days": ["sun"]}, {"name": "weekend", "days": ["sat"]}],
    [{"name": "weekend", "days": ["sun"]}],
    [{"name": "night", "from": "23:00", "before": "01:00"}, {"name": "weekend", "from": "05:00"}],
    [{"name": "normal", "before": "03:00"}, {"name": "early", "before": "06:30"}],
    [],
]
NEW_YORK = ZoneInfo("America/New_York")
BOTH = frozenset({"language:de", "tier:2"})


def new_model() -> Model:
    """Return four coaches of three zones, two of them with external calendars, and what they offer."""
    team = {
        "ana": Coach(coach_id="ana", zone=NEW_YORK, most=4, attributes=BOTH),
        "ben": Coach(coach_id="ben", zone=NEW_YORK, most=2, external=True),
        "cy": Coach(coach_id="cy", zone=ZoneInfo("Europe/Berlin"), most=5, hours=(9, 17), external=True),
        "dee": Coach(
            coach_id="dee", zone=ZoneInfo("Pacific/Auckland"), most=3, attributes=frozenset({"language:de"})
        ),
    }
    offers = [
        Calendar(calendar_id="cal", team=Team(members={one: Member() for one in team}), zone=NEW_YORK),
        Calendar(
            calendar_id="wide",
            team=Team(members={one: Member() for one in ("ana", "ben", "cy")}),
            duration=45,
            interval=30,
            before=15,
            after=30,
            notice=60,
            horizon=1,
            most=2,
            zone=NEW_YORK,
        ),
        Calendar(
            calendar_id="best",
            team=Team(members={one: Member() for one in ("ben", "dee")}, policy="highest_score"),
            duration=15,
            zone=NEW_YORK,
        ),
    ]
    for calendar, kinds in zip(offers, (KINDS[0], [], KINDS[1]), strict=True):
        calendar.use_kinds(kinds)
    return Model(coaches=team, calendars={one.calendar_id: one for one in offers}, now=NOW)


def build(connection: Connection, model: Model) -> None:
    """Make a database of what the model has."""
    for table in CLEAR:
        connection.execute(f"DELETE FROM {table}".encode())
    for coach in model.coaches.values():
        hours = [[f"{coach.hours[0]:02}:00", f"{coach.hours[1]:02}:00"]]
        add_coach(
            connection,
            coach.coach_id,
            time_zone=coach.zone.key,
            max_per_day=coach.most,
            working_hours=dict.fromkeys(ALWAYS, hours),
            kind="calendar_api" if coach.external else "none",
        )
        set_attributes(connection, coach.coach_id, **attributes_of(coach.attributes))
    for calendar in model.calendars.values():
        add_calendar(
            connection,
            calendar.calendar_id,
            list(calendar.team.members),
            duration=calendar.duration,
            slot_interval=calendar.interval,
            buffer_before=calendar.before,
            buffer_after=calendar.after,
            min_notice_minutes=calendar.notice,
            horizon_days=calendar.horizon,
            max_per_day=calendar.most,
            time_zone=calendar.zone.key,
            policy=calendar.team.policy,
            hour_kinds=Jsonb(calendar.kinds),
        )
    extend_days(connection, now=NOW)


def attributes_of(attributes: frozenset[str]) -> dict[str, Any]:
    """Return attributes as a coach has them: languages are a list, the tier is a number."""
    found: dict[str, Any] = {"language": ["en"]}
    if "language:de" in attributes:
        found["language"] = ["en", "de"]
    if "tier:2" in attributes:
        found["tier"] = 2
    return found


def read(connection: Connection, model: Model, coach_id: str, busy: Span, at: datetime) -> None:
    """Let both read a coach's external calendar, busy once at most; the reading began at an instant."""
    zone = model.coaches[coach_id].zone
    store_reading(connection, at, busy, coach_id=coach_id, zone=zone, now=model.now)
    first, end = horizon_slots(zone, model.now)
    spans = [busy] if busy[0] < busy[1] else []
    model.coaches[coach_id].read(spans, at, (instant_of(first), instant_of(end)))


def learn(connection: Connection, model: Model) -> None:
    """Tell the model the scores, and the weights that follow from them: they are given, not claimed."""
    for row in connection.execute("SELECT * FROM coach_credits"):
        member = model.calendars[row["calendar_id"]].team.members[row["coach_id"]]
        member.weight, member.score = row["weight"], row["score"]


def check_listing(connection: Connection, model: Model, name: str, requires: frozenset[str]) -> None:
    """Assert that a calendar lists the starts that the model would give, each with as many coaches."""
    model.expire()
    end = FIRST + QUARTERS * QUARTER
    days = (end - FIRST) / timedelta(days=1)
    page = list_page(connection, name, start=FIRST, days=days, now=model.now, requires=sorted(requires))
    listed = {instant_of(one.slot): one.available_coaches for one in page.starts}
    assert listed == model.starts(model.calendars[name], (FIRST, end), requires)


def check_rows(connection: Connection, model: Model, ids: dict[int, UUID]) -> None:
    """Assert that the database has what the model has: bookings, credits, turns and numbers of decisions."""
    rows = connection.execute("SELECT * FROM coach_appointments").fetchall()
    found: dict[UUID, Any] = {
        row["appointment_id"]: (row["coach_id"], row["start_time"], row["status"], row["expires_at"])
        for row in rows
    }
    assert found == {
        ids[one.number]: (one.coach_id, one.start, one.state, one.expires) for one in model.bookings
    }
    members = connection.execute("SELECT * FROM coach_credits").fetchall()
    assert {
        (row["calendar_id"], row["kind"], row["coach_id"]): (row["credit"], row["last_assigned_seq"])
        for row in members
    } == {
        (calendar.calendar_id, *name): standing
        for calendar in model.calendars.values()
        for name, standing in calendar.team.standings().items()
    }
    numbers = connection.execute(
        "SELECT calendar_id, coalesce(max(seq), 0) AS seq, count(seq) AS n"
        " FROM calendars LEFT JOIN distribution_log USING (calendar_id) GROUP BY calendar_id"
    ).fetchall()
    assert all(row["seq"] == row["n"] for row in numbers)
    assert {row["calendar_id"]: row["seq"] for row in numbers} == {
        calendar.calendar_id: calendar.team.seq for calendar in model.calendars.values()
    }


def check_distribution(connection: Connection, model: Model) -> None:
    """Assert that over the whole record each coach is off by minus the credit, and within the bound.

    In all and within each kind of hour.
    """
    start, end = NOW - timedelta(days=9), NOW + timedelta(days=9)
    for calendar in model.calendars.values():
        found = distribution(
            connection, tenant_id=TENANT, calendar_id=calendar.calendar_id, start=start, end=end
        )
        assert (found.bound is None) == (calendar.team.policy != "fair_share")
        assert abs(sum(one.assigned - one.entitled for one in found.distribution)) < ROUNDING
        standings = calendar.team.standings()
        if found.bound is not None:
            credit = {one: 0.0 for _, one in standings}
            for (_, coach_id), (owed, _) in standings.items():
                credit[coach_id] += owed / MILLION
            check_shares(found, credit)
            assert {one.kind for one in found.kinds} == {NORMAL, *calendar.team.kinds}
            assert found.bound <= sum(one.bound or 0 for one in found.kinds) + ROUNDING
            for one in found.kinds:
                own = {
                    who: owed / MILLION for (kind, who), (owed, _) in standings.items() if kind == one.kind
                }
                check_shares(one, own)


def check_shares(found: Distribution | KindShares, credit: dict[str, float]) -> None:
    """Assert that deviations are minus the credits, sum to 0 and stay within the bound."""
    off = {one.coach_id: one.assigned - one.entitled for one in found.distribution}
    assert all(abs(one + credit.get(name, 0)) < ROUNDING for name, one in off.items())
    assert abs(sum(off.values())) < ROUNDING
    assert max(map(abs, credit.values())) <= found.max_deviation + ROUNDING
    assert found.bound is not None
    assert found.max_deviation <= found.bound + ROUNDING
