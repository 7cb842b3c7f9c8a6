"""Teams, policies, rules of a calendar, and why a coach was chosen or not."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from fairslot.booking import decisions
from fairslot.coach_time.days import extend_days
from fairslot.domain.errors import NotFoundError, SlotUnavailableError
from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from tests.support.availability import reasons
from tests.support.bookings import appointment_of, book, cancel, hold, reassign, reschedule
from tests.support.clock import DAY, NINE, NOW, QUARTER
from tests.support.invariants import check_invariants, credits_of
from tests.support.race import refused
from tests.support.readings import begin_absence
from tests.support.team import TENANT, add_calendar, add_coach, add_team, set_coach, set_days


def test_leaving_spreads_the_credit(connection: Connection) -> None:
    """After a coach has left, credits still sum to 0, and a later refund of their decisions is spread too."""
    coaches = add_team(connection, 3)
    made = [book(connection, NINE + n * 2 * QUARTER) for n in range(4)]
    connection.execute("SELECT engine.leave_team('cal', %s, %s)", (coaches[0], NOW))
    check_invariants(connection)
    for one in made:
        cancel(connection, one)
        check_invariants(connection)
    connection.execute("SELECT engine.join_team('cal', %s, 1)", (coaches[0],))
    assert credits_of(connection)[coaches[0]] == 0
    book(connection)
    check_invariants(connection)


def test_highest_score_takes_the_best_who_is_free(connection: Connection) -> None:
    """The score alone decides, and no credits move."""
    for coach_id, score in (("ana", 0.6), ("ben", 0.9), ("cy", 0.8)):
        add_coach(connection, coach_id, score=score)
    add_calendar(connection, "cal", ["ana", "ben", "cy"], policy="highest_score")
    extend_days(connection, now=NOW)
    assert [appointment_of(book(connection)).coach_id for _ in range(3)] == ["ben", "cy", "ana"]
    assert set(credits_of(connection).values()) == {0}
    check_invariants(connection)


def test_a_calendars_own_maximum_and_blocked_dates(connection: Connection) -> None:
    """They are counted in the calendar's zone, for booking, moving and explaining alike."""
    add_team(
        connection,
        3,
        max_per_day=2,
        time_zone="America/New_York",
        blocked_dates=[(NINE + DAY).date()],
    )
    first = book(connection)
    second = book(connection)
    assert isinstance(refused(lambda: book(connection, NINE + 8 * QUARTER)), SlotUnavailableError)
    assert isinstance(refused(lambda: book(connection, NINE + DAY)), SlotUnavailableError)
    reschedule(connection, second, NINE + 8 * QUARTER)
    cancel(connection, first)
    book(connection)
    assert set(reasons(connection, NINE + DAY).values()) == {"outside_working_hours"}
    check_invariants(connection)


def test_a_decision_is_told_to_people(connection: Connection) -> None:
    """The sentence names who was free, what the chosen one was owed, and the next best."""
    add_team(connection, 3)
    first = book(connection)
    found = decision_of(connection, first)
    assert found.chosen == appointment_of(first).coach_id
    assert found.reason.startswith(
        "3 coaches were free. Coach-01 was owed 0.00 bookings and this one added 0.33"
    )
    assert sum(one.share or 0 for one in found.candidates) == pytest.approx(1)
    with pytest.raises(NotFoundError):
        decisions.decision(connection, tenant_id="other", appointment_id=appointment_of(first).appointment_id)


def decision_of(connection: Connection, change: ChangeResult) -> decisions.Decision:
    """Return why what was booked went to its coach."""
    appointment_id = appointment_of(change).appointment_id
    return decisions.decision(connection, tenant_id=TENANT, appointment_id=appointment_id)


@pytest.mark.parametrize("by_name", [True, False])
def test_who_was_replaced_and_who_was_not_named(
    connection: Connection,
    by_name: bool,  # noqa: FBT001 - a case, no switch
) -> None:
    """Handing over by name passes the others over because of the name; the coach so far is replaced."""
    coaches = add_team(connection, 3)
    done = book(connection)
    old = appointment_of(done).coach_id
    others = [one for one in coaches if one != old]
    reassign(connection, done, others[1] if by_name else None)
    why = {one.coach_id: one.excluded_reason for one in decision_of(connection, done).candidates}
    assert why == {old: "replaced", others[0]: "not_named" if by_name else None, others[1]: None}
    check_invariants(connection)


def test_a_decision_that_was_undone_says_so(connection: Connection) -> None:
    """A customer's cancellation undoes it, a coach's does not."""
    add_team(connection, 2)
    first, second = book(connection), book(connection)
    assert not decision_of(connection, first).reversed
    cancel(connection, first)
    cancel(connection, second, by="coach")
    assert decision_of(connection, first).reversed
    assert decision_of(connection, first).reason.endswith(" It was undone since.")
    assert not decision_of(connection, second).reversed


def test_every_reason_has_its_case(connection: Connection) -> None:
    """What explain says is what stands in the way."""
    coaches = add_team(connection, 7, buffer_after=30)
    add_calendar(connection, "other", [coaches[3]], duration=30)
    set_coach(connection, coaches[0], active=False)
    set_coach(connection, coaches[1], calendar_kind="calendar_api")
    begin_absence(connection, coaches[2], NINE, NINE + QUARTER)
    book(connection, NINE + 2 * QUARTER, calendar_id="other")
    set_days(connection, coaches[4], max_per_day=0)
    hold(connection)
    assert reasons(connection) == {
        coaches[0]: "inactive",
        coaches[1]: "not_synced",
        coaches[2]: "busy_external",
        coaches[3]: "buffer",
        coaches[4]: "daily_maximum",
        coaches[5]: "held",
        coaches[6]: None,
    }


@pytest.mark.parametrize("state", ["booked", "held"])
def test_a_buffer_is_told_from_what_it_surrounds(connection: Connection, state: str) -> None:
    """A start in another appointment's buffer is not in the appointment, be it booked or held."""
    add_team(connection, 1, buffer_before=15, buffer_after=30)
    add_calendar(connection, "bare", ["coach-01"], duration=15)
    if state == "held":
        hold(connection)
    else:
        book(connection)
    why = {n: reasons(connection, NINE + n * QUARTER, calendar_id="bare")["coach-01"] for n in range(-2, 5)}
    # Before nine nobody works.
    closed = "outside_working_hours"
    assert why == {-2: closed, -1: closed, 0: state, 1: state, 2: "buffer", 3: "buffer", 4: None}


def test_beyond_the_days_that_are_kept_is_beyond_the_horizon(
    connection: Connection, environment: Callable[..., None]
) -> None:
    """A calendar that opens further ahead than days are kept is not read too late; it is asked too early."""
    environment(HORIZON_DAYS="3")
    add_team(connection, 2, horizon_days=200)
    set_coach(connection, "coach-02", calendar_kind="calendar_api")

    def why(days: int) -> list[str | None]:
        return list(reasons(connection, NINE + days * DAY).values())

    assert why(2) == [None, "not_synced"]
    assert why(10) == ["beyond_horizon", "beyond_horizon"]
    assert isinstance(refused(lambda: book(connection, NINE + timedelta(days=10))), SlotUnavailableError)
    connection.execute("DELETE FROM coach_slots WHERE coach_id = 'coach-01'")
    assert why(2) == ["not_synced", "not_synced"]
