"""The database's carpool and its pure twin are one rule; the distribution says what it did."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairslot.booking import holds
from fairslot.booking.distribution import Distribution, distribution
from fairslot.coach_time.days import extend_days
from fairslot.domain.fair_share import Candidate, assign
from fairslot.platform.db import Connection
from tests.support.bookings import appointment_of, book, cancel, hold
from tests.support.clock import DAY, HALF, NINE, NOW, QUARTER
from tests.support.invariants import check_invariants
from tests.support.tables import clear_tables, one_row
from tests.support.team import TENANT, add_calendar, add_coach, add_team, set_coach


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
    clear_tables(connection)
    coaches = add_team(connection, 5)
    for n, coach_id in enumerate(coaches):
        set_coach(connection, coach_id, score=0.5 + n / 10)
    add_calendar(connection, "half", coaches[2:])
    for quarter, calendar_id in plan:
        start = NINE + quarter * QUARTER
        row = connection.execute(
            "SELECT count(*) AS n FROM engine.candidates(%s, engine.slot_of(%s), 2, 0, 0)"
            " WHERE excluded IS NULL",
            (calendar_id, start),
        ).fetchone()
        if row and row["n"]:
            book(connection, start, calendar_id=calendar_id)
    for row in connection.execute("SELECT * FROM distribution_log ORDER BY calendar_id, seq"):
        assert decided(row) == redecided(row)
    check_invariants(connection)


def test_better_scores_get_more_within_bounds(connection: Connection) -> None:
    """Weights follow the scores, and nobody falls under a quarter of the best."""
    for coach_id, score in (("ana", 0.95), ("ben", 0.62), ("cy", 0.1)):
        add_coach(connection, coach_id, score=score)
    add_calendar(connection, "cal", ["ana", "ben", "cy"])
    weights = {row["coach_id"]: row["weight"] for row in connection.execute("SELECT * FROM coach_credits")}
    assert weights["ana"] == 2_000_000
    assert weights["cy"] == 500_000
    assert 1_000_000 < weights["ben"] < 2_000_000


def test_why_not_is_recorded(connection: Connection) -> None:
    """A decision keeps the reason for which each of the others was not in question."""
    coaches = add_team(connection, 3)
    set_coach(connection, coaches[0], active=False)
    first = appointment_of(book(connection)).coach_id
    book(connection)
    row = one_row(connection, "SELECT candidates FROM distribution_log ORDER BY seq DESC")
    excluded = {one["coach_id"]: one.get("excluded") for one in row["candidates"]}
    assert excluded[coaches[0]] == "inactive"
    assert excluded[first] == "booked"


def shared(connection: Connection, **period: Any) -> Distribution:
    """Return the distribution of the calendar, of all that was ever decided if no period is given."""
    whole = {"start": NOW - 30 * DAY, "end": NOW + 30 * DAY}
    return distribution(connection, tenant_id=TENANT, calendar_id="cal", **(whole | period))


def check_ledger(found: Distribution) -> None:
    """Assert that deviations are minus the credits, sum to 0 and stay within the bound."""
    for share in found.distribution:
        assert share.deviation == pytest.approx(-share.credit, abs=1e-6)
        assert share.assigned - share.entitled == pytest.approx(share.deviation, abs=1e-6)
    assert sum(share.deviation for share in found.distribution) == pytest.approx(0, abs=1e-5)
    assert found.bound is not None
    assert found.max_deviation == max(abs(share.credit) for share in found.distribution) <= found.bound
    assert found.bound == max(found.bound_owed or 0, found.bound_ahead or 0)
    assert [one.kind for one in found.kinds] == ["normal"]
    within = found.kinds[0]
    assert (within.max_deviation, within.bound) == (found.max_deviation, found.bound)


def test_the_distribution_adds_up(connection: Connection) -> None:
    """Entitled and assigned bookings have one sum, deviations are minus the credits, the bound is named."""
    add_team(connection, 4)
    made = [book(connection, NINE + n // 3 * HALF) for n in range(9)]
    cancel(connection, made[2])
    found = shared(connection)
    assert sum(share.appointments_count for share in found.distribution) == 8
    assert sum(share.entitled for share in found.distribution) == pytest.approx(8)
    check_ledger(found)
    assert found.bound == 1.5
    assert 0.9 < found.jain_index <= 1
    assert found.fairness_score <= 1


def test_what_a_coach_cancels_stays_theirs(connection: Connection) -> None:
    """It is not an appointment any more, and they had it: no deviation grows by cancelling."""
    add_team(connection, 3)
    for _ in range(12):
        cancel(connection, book(connection), by="coach")
    found = shared(connection)
    check_ledger(found)
    assert sum(share.appointments_count for share in found.distribution) == 0
    assert [share.assigned for share in found.distribution] == [4, 4, 4]
    assert found.bound == 1.0


def test_refunds_widen_the_bound_for_as_long_as_they_count(connection: Connection) -> None:
    """When all customers of one coach cancel that coach is owed, and the bound says how much at most.

    Once later bookings have made up for it, it is what it was before.
    """
    coaches = add_team(connection, 3)
    made = [book(connection, NINE + n * HALF) for n in range(15)]
    cancelled = [cancel(connection, one) for one in made if appointment_of(one).coach_id == coaches[0]]
    found = shared(connection)
    check_ledger(found)
    owed = len(cancelled) * 2 / 3
    assert owed > 3
    assert found.max_deviation == pytest.approx(owed, abs=1e-4)
    # (n - 1)/2 and g: the largest credit is over by owed - 1, the two largest together by owed/2 - 1.
    assert found.bound_owed == pytest.approx(owed, abs=1e-4)
    assert found.bound_ahead == pytest.approx(1 + (owed - 1) / 2, abs=1e-4)
    for n in range(6):
        book(connection, NINE + DAY + n * HALF)
    check_ledger(shared(connection))
    assert shared(connection).bound == 1.0


def test_a_leaver_and_holds_are_in_the_distribution(connection: Connection) -> None:
    """Who left is there with what they got; holds, live and gone, and leavers leave the sums right."""
    coaches = add_team(connection, 4)
    made = [book(connection, NINE + n * HALF) for n in range(6)]
    held = hold(connection)
    connection.execute("SELECT engine.leave_team('cal', %s, %s)", (held.answer["coach_id"], NOW))
    check_ledger(shared(connection))
    holds.expire(connection, now=NOW + timedelta(minutes=5))
    for one in made[:3]:
        cancel(connection, one)
    found = shared(connection)
    check_ledger(found)
    assert [share.coach_id for share in found.distribution] == coaches
    gone = next(share for share in found.distribution if share.coach_id == held.answer["coach_id"])
    assert (gone.weight, gone.credit) == (0, 0)
    assert found.bound is not None
    assert found.bound < 2


def test_a_period_is_of_the_appointments_that_start_in_it(connection: Connection) -> None:
    """Its deviations sum to 0; what is bounded is the whole record, whatever the period."""
    add_team(connection, 3)
    for n in range(7):
        book(connection, NINE + n * HALF)
    found = shared(connection, end=NINE + timedelta(minutes=60))
    assert sum(share.assigned for share in found.distribution) == 2
    assert sum(share.deviation for share in found.distribution) == pytest.approx(0, abs=1e-5)
    assert found.max_deviation == shared(connection).max_deviation


def test_the_highest_score_has_no_bound(connection: Connection) -> None:
    """It does not share: what it owed and gave is told, the bound is not."""
    for coach_id, score in (("ana", 0.9), ("ben", 0.6)):
        add_coach(connection, coach_id, score=score)
    add_calendar(connection, "cal", ["ana", "ben"], policy="highest_score")
    extend_days(connection, now=NOW)
    made = [book(connection, NINE + n * HALF) for n in range(6)]
    connection.execute("SELECT engine.leave_team('cal', 'ben', %s)", (NOW,))
    cancel(connection, made[0])
    found = shared(connection)
    weights = {"ana": 2_000_000, "ben": 500_000}
    share = weights["ana"] / sum(weights.values())
    assert found.bound is None
    assert [one.assigned for one in found.distribution] == [5, 0]
    off = [one.deviation for one in found.distribution]
    assert off == pytest.approx([5 * (1 - share), -5 * (1 - share)], abs=1e-5)
    assert found.max_deviation == pytest.approx(max(off))
