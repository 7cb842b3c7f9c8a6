"""The database's carpool and its pure twin are one rule; the distribution says what it did."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairslot.assignment import Candidate, assign
from fairslot.db import Connection
from fairslot.distribution import distribution
from fairslot.errors import NotFoundError
from tests.world import NINE, NOW, TENANT, Coach, add_calendar, add_coach, add_team, book, cancel, check

DAY = timedelta(days=1)


def decided(row: dict[str, Any]) -> tuple[str, dict[str, int], dict[str, int]]:
    """Return what a decision record says was chosen, shared and moved."""
    eligible = [one for one in row["candidates"] if "share" in one]
    return (
        row["chosen"],
        {one["coach_id"]: one["share"] for one in eligible},
        {one["coach_id"]: one["delta"] for one in eligible},
    )


def redecided(row: dict[str, Any]) -> tuple[str, dict[str, int], dict[str, int]]:
    """Return what the pure rule makes of the same candidates."""
    done = assign(
        [
            Candidate(
                coach_id=one["coach_id"], weight=one["weight"], credit=one["credit"], last_seq=one["last"]
            )
            for one in row["candidates"]
            if "share" in one
        ]
    )
    return done.chosen, done.shares, done.deltas


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["cal", "half"])), min_size=1, max_size=40)
)
def test_the_database_decides_as_the_rule(connection: Connection, plan: list[tuple[int, str]]) -> None:
    """Every decision record, replayed through the pure rule, gives the same choice, shares and credits."""
    connection.execute(
        "TRUNCATE coaches, calendars, coach_appointments, distribution_log, webhook_events CASCADE"
    )
    coaches = add_team(connection, 5)
    for n, coach_id in enumerate(coaches):
        connection.execute("UPDATE coaches SET score = %s WHERE coach_id = %s", (0.5 + n / 10, coach_id))
    add_calendar(connection, "half", coaches[2:])
    connection.execute("SELECT refresh_weights('cal')")
    for quarter, calendar_id in plan:
        start = NINE + quarter * timedelta(minutes=15)
        row = connection.execute(
            "SELECT count(*) AS n FROM candidates(%s, slot_of(%s), 2, 0, 0) WHERE excluded IS NULL",
            (calendar_id, start),
        ).fetchone()
        if row and row["n"]:
            book(connection, start, calendar_id=calendar_id)
    for row in connection.execute("SELECT * FROM distribution_log ORDER BY calendar_id, seq"):
        assert decided(row) == redecided(row)
    check(connection)


def test_better_scores_get_more_within_bounds(connection: Connection) -> None:
    """Weights follow the scores, and nobody falls under a quarter of the best."""
    for coach_id, score in (("ana", 0.95), ("ben", 0.62), ("cy", 0.1)):
        add_coach(connection, Coach(coach_id=coach_id, score=score))
    add_calendar(connection, "cal", ["ana", "ben", "cy"])
    weights = {row["coach_id"]: row["weight"] for row in connection.execute("SELECT * FROM coach_calendars")}
    assert weights["ana"] == 2_000_000
    assert weights["cy"] == 500_000
    assert 1_000_000 < weights["ben"] < 2_000_000


def test_why_not_is_recorded(connection: Connection) -> None:
    """A decision keeps the reason for which each of the others was not in question."""
    coaches = add_team(connection, 3)
    connection.execute("UPDATE coaches SET active = false WHERE coach_id = %s", (coaches[0],))
    first = book(connection).appointment.coach_id
    book(connection)
    row = connection.execute("SELECT candidates FROM distribution_log ORDER BY seq DESC").fetchone()
    assert row is not None
    excluded = {one["coach_id"]: one.get("excluded") for one in row["candidates"]}
    assert excluded[coaches[0]] == "inactive"
    assert excluded[first] == "booked"


def test_the_distribution_adds_up(connection: Connection) -> None:
    """Entitled and assigned bookings have one sum, deviations are minus the credits, the bound is named."""
    add_team(connection, 4)
    made = [book(connection, NINE + n // 3 * timedelta(minutes=30)) for n in range(9)]
    cancel(connection, made[2])
    found = distribution(
        connection, tenant_id=TENANT, calendar_id="cal", start=NOW - 30 * DAY, end=NOW + 30 * DAY
    )
    assert sum(share.appointments_count for share in found.distribution) == 8
    assert sum(share.entitled for share in found.distribution) == pytest.approx(8)
    for share in found.distribution:
        assert share.deviation == pytest.approx(-share.credit, abs=1e-6)
    assert found.max_deviation <= found.bound == 1.5
    assert 0.9 < found.jain_index <= 1
    assert found.fairness_score <= 1


def test_the_distribution_of_an_unknown_calendar(connection: Connection) -> None:
    """Another tenant's calendar is not there."""
    add_team(connection, 1)
    with pytest.raises(NotFoundError):
        distribution(connection, tenant_id="other", calendar_id="cal", start=NOW - DAY, end=NOW)
