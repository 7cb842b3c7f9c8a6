"""Everything at once on shared coaches: 32 clients book, hold, move and cancel over one another's times."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest

from fairslot.booking import holds
from fairslot.booking.appointments import Canceller, Outcome
from fairslot.coach_time.days import extend_days
from fairslot.domain.errors import (
    HoldExpiredError,
    IllegalTransitionError,
    NotFoundError,
    SlotUnavailableError,
)
from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from tests.support import race
from tests.support.bookings import (
    appointment_of,
    book,
    cancel,
    hold,
    reassign,
    release_hold,
    report_outcome,
    reschedule,
)
from tests.support.clock import NOW
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants, check_replay
from tests.support.race import at_once, booked, check_answers, patiently
from tests.support.team import ALWAYS, add_calendar, add_coach, set_coach, set_member

CLIENTS = 32
CHANGES = 12  # of each client
EVENING = datetime.fromisoformat("2026-03-04T22:00:00-05:00")
MORNING = EVENING + timedelta(hours=6)
QUARTERS = 16  # of the night: half before, half after the coaches' midnight
CALENDARS = ("cal", "long", "short", "wide")
COACHES = [f"coach-{number}" for number in range(6)]
CANCELLERS: tuple[Canceller, ...] = ("customer", "coach", "system")
OUTCOMES: tuple[Outcome, ...] = ("completed", "no_show")
REFUSALS = (SlotUnavailableError, IllegalTransitionError, HoldExpiredError, NotFoundError)


@pytest.fixture
def night(connection: Connection) -> Connection:
    """Six coaches awake at midnight, and four calendars of other lengths that share them."""
    for coach_id in COACHES:
        add_coach(connection, coach_id, working_hours=ALWAYS)
    add_calendar(connection, "cal", COACHES)
    add_calendar(connection, "long", COACHES[:4], duration=60)
    add_calendar(connection, "short", COACHES[2:], duration=15, policy="highest_score")
    add_calendar(connection, "wide", COACHES[1:5], buffer_before=15, buffer_after=30)
    extend_days(connection, now=NOW)
    return connection


@dataclass
class Shared:
    """What all clients know of: appointments and holds that were answered."""

    appointments: list[UUID] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)  # the answers to moves


class Customer:
    """One client with a clock and a mind of its own."""

    def __init__(self, connection: Connection, shared: Shared, seed: int, weeks: int = 1) -> None:
        self.connection = connection
        self.weeks = weeks
        self.shared = shared
        self.random = Random(seed)  # noqa: S311 - a test's choices
        self.name = f"client-{seed % 5}"
        self.now = NOW

    def live(self) -> list[race.Outcome]:
        """Make changes one after another and return what came of each."""
        outcomes = []
        for _ in range(CHANGES):
            self.now += timedelta(seconds=20)
            outcomes.append(patiently(self._clearing(self._change())))
        return outcomes

    def _change(self) -> Callable[[], ChangeResult]:
        """Choose what to do: half of it takes time, the rest is done to anybody's time."""
        whose = self.shared.appointments
        held = self.shared.held
        pick = self.random.random()
        if pick < 0.35 or not whose:
            return self._book
        if pick < 0.5 or not held:
            return self._hold
        if pick < 0.65:
            return partial(self._end_hold, self.random.choice(held))
        return partial(
            self.random.choice([self._cancel, self._reschedule, self._reassign, self._finish]),
            self.random.choice(whose),
        )

    def _clearing(self, work: Callable[[], ChangeResult]) -> Callable[[], ChangeResult]:
        """Do as `db.run`: where expired holds are in the way, clear them and ask again."""

        def until_clear() -> ChangeResult:
            while True:
                try:
                    return work()
                except psycopg.Error as error:
                    if error.sqlstate != "FS426":
                        raise
                    holds.expire(self.connection, now=self.now)

        return until_clear

    def _start(self) -> datetime:
        week = timedelta(days=7 * self.random.randrange(self.weeks))
        return EVENING + week + timedelta(minutes=15 * self.random.randrange(QUARTERS))

    def _book(self) -> ChangeResult:
        calendar_id = self.random.choice(CALENDARS)
        done = book(self.connection, self._start(), calendar_id=calendar_id, now=self.now)
        self.shared.appointments.append(appointment_of(done).appointment_id)
        return done

    def _hold(self) -> ChangeResult:
        done = hold(
            self.connection,
            calendar_id=self.random.choice(CALENDARS),
            start=self._start(),
            minutes=1,
            client=self.name,
            now=self.now,
        )
        self.shared.held.append(done.answer)
        return done

    def _end_hold(self, held: dict[str, Any]) -> ChangeResult:
        hold_id = UUID(held["hold_id"])
        if self.random.random() < 0.4:
            return release_hold(self.connection, hold_id, now=self.now)
        start, calendar_id = datetime.fromisoformat(held["start_time"]), held["calendar_id"]
        done = book(self.connection, start, calendar_id=calendar_id, held=hold_id, now=self.now)
        self.shared.appointments.append(hold_id)
        return done

    def _cancel(self, appointment_id: UUID) -> ChangeResult:
        return cancel(self.connection, appointment_id, by=self.random.choice(CANCELLERS), now=self.now)

    def _reschedule(self, appointment_id: UUID) -> ChangeResult:
        start, any_coach = self._start(), self.random.random() < 0.5
        done = reschedule(self.connection, appointment_id, start, any_coach=any_coach, now=self.now)
        self.shared.moved.append(done.answer)
        return done

    def _reassign(self, appointment_id: UUID) -> ChangeResult:
        return reassign(self.connection, appointment_id, now=self.now)

    def _finish(self, appointment_id: UUID) -> ChangeResult:
        return report_outcome(self.connection, appointment_id, self.random.choice(OUTCOMES), now=MORNING)


@pytest.mark.parametrize("weeks", [1, 4])
@pytest.mark.parametrize("seed", [1, 2])
def test_everything_at_once(night: Connection, connect: Connect, seed: int, weeks: int) -> None:
    """No time is given twice, every answer is true, nothing deadlocks, and the credits follow the records.

    Over several weeks coaches have limits on weeks and months, most of which are reached, and own buffers.
    """
    if weeks > 1:
        for number, coach_id in enumerate(COACHES[1:]):
            set_coach(night, coach_id, max_per_week=2 + number, max_per_month=7, max_minutes_per_week=150)
        set_coach(night, COACHES[2], buffer_before=30, min_notice_minutes=60)
        set_member(night, "cal", COACHES[3], buffer_after=45)
    shared = Shared()
    customers = [Customer(connect(), shared, 100 * seed + n, weeks) for n in range(CLIENTS)]
    outcomes = [one for life in at_once([customer.live for customer in customers]) for one in life]
    done = booked(outcomes)
    assert len(done) > CLIENTS
    assert {type(one) for one in outcomes if one not in done} <= set(REFUSALS)
    moved = shared.moved
    others = [one.answer for one in done if not any(one.answer is move for move in moved)]
    check_answers(night, [one for one in others if "appointment_id" in one], moved=moved)
    check_invariants(night)
    check_replay(night)
