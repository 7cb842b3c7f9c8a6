"""Whatever is done in whatever order: the engine does what the model says, and every invariant holds.

FAIRSLOT_EXAMPLES sets how many histories are tried; the default is for every run of the suite.
"""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fairslot.booking import appointments, holds
from fairslot.booking.appointments import Canceller, Outcome
from fairslot.coach_time.days import extend_days
from fairslot.platform.db import Connection
from tests.integration.model_database import (
    BOTH,
    FIRST,
    QUARTERS,
    attributes_of,
    check_distribution,
    check_listing,
    check_rows,
    learn,
    read,
)
from tests.integration.model_ledger_rules import LedgerRules, calendars, coaches, places
from tests.integration.model_parts import QUARTER
from tests.support.clock import MINUTE
from tests.support.invariants import check_invariants, check_replay
from tests.support.team import set_attributes, set_calendar

starts = st.integers(0, QUARTERS - 1).map(lambda n: FIRST + n * QUARTER)
halves = st.integers(0, QUARTERS // 2 - 1).map(lambda n: FIRST + 2 * n * QUARTER)
requirements = st.sampled_from(
    [frozenset[str](), frozenset[str](), frozenset({"language:de"}), frozenset({"tier:2"}), BOTH]
)
has_bookings = precondition(lambda self: self.known)
has_holds = precondition(lambda self: any(one.state == "held" for one in self.known))


class Engine(LedgerRules):
    """The engine and the model, asked the same things."""

    @rule(name=calendars, start=starts, requires=requirements)
    def book(self, name: str, start: datetime, requires: frozenset[str]) -> None:
        """A customer books."""
        self._both(
            partial(self.model.book, self.model.calendars[name], start, requires),
            self._book(name, start, requires),
        )

    @rule(
        name=calendars,
        start=starts,
        client=st.sampled_from("xy"),
        minutes=st.sampled_from([1, 5, 15]),
        requires=requirements,
    )
    def hold(self, name: str, start: datetime, client: str, minutes: int, requires: frozenset[str]) -> None:
        """A customer has a time held."""
        self._both(
            partial(self.model.hold, self.model.calendars[name], start, client, minutes, requires),
            partial(
                holds.hold,
                client_id=client,
                calendar_id=name,
                start_time=start,
                minutes=minutes,
                requires=sorted(requires),
            ),
        )

    @rule(name=calendars, start=starts)
    def book_too(self, name: str, start: datetime) -> None:
        """As often as all the rest somebody books."""
        self.book(name, start, frozenset())

    @rule(chosen=st.tuples(halves, halves, halves))
    def let_go(self, chosen: tuple[datetime, datetime, datetime]) -> None:
        """A customer lets as many holds expire as a day takes, and before a sweep another one books."""
        *held, start = chosen
        for one in held:
            self.hold("wide", one, "z", 1, frozenset())
        self.model.now += MINUTE
        self.book("wide", start, frozenset())

    @has_holds
    @rule(place=places, shift=st.sampled_from([0, 0, 0, 15, 7]), requires=st.none() | requirements)
    def confirm(self, place: int, shift: int, requires: frozenset[str] | None) -> None:
        """A customer books what they hold, or hold no more, or something else."""
        held = self._pick(place, "held")
        start = held.start + timedelta(minutes=shift)
        asked = held.requires if requires is None else requires
        self._both(
            partial(self.model.confirm, held, held.calendar, start, asked),
            self._book(held.calendar.calendar_id, start, asked, hold_id=self.ids[held.number]),
        )

    @has_holds
    @rule(place=places)
    def release(self, place: int) -> None:
        """A customer gives back what they hold."""
        held = self._pick(place, "held")
        self._both(partial(self.model.release, held), partial(holds.release, hold_id=self.ids[held.number]))

    @has_bookings
    @rule(place=places, by=st.sampled_from(["customer", "coach", "system"]))
    def cancel(self, place: int, by: Canceller) -> None:
        """Somebody cancels."""
        booking = self._pick(place, "scheduled")
        self._both(
            partial(self.model.cancel, booking, by),
            partial(appointments.cancel, appointment_id=self.ids[booking.number], by=by, reason=None),
        )

    @has_bookings
    @rule(place=places, start=starts, any_coach=st.booleans())
    def reschedule(self, place: int, start: datetime, any_coach: bool) -> None:  # noqa: FBT001 - drawn
        """A customer moves."""
        booking = self._pick(place, "scheduled")
        self._both(
            partial(self.model.reschedule, booking, start, any_coach=any_coach),
            partial(
                appointments.reschedule,
                appointment_id=self.ids[booking.number],
                start_time=start,
                any_coach=any_coach,
            ),
        )

    @has_bookings
    @rule(place=places, coach_id=st.none() | coaches)
    def reassign(self, place: int, coach_id: str | None) -> None:
        """An appointment is handed over."""
        booking = self._pick(place, "scheduled")
        self._both(
            partial(self.model.reassign, booking, coach_id),
            partial(
                appointments.reassign,
                appointment_id=self.ids[booking.number],
                coach_id=coach_id,
                reason=None,
            ),
        )

    @has_bookings
    @rule(place=places, outcome=st.sampled_from(["completed", "no_show"]), later=st.booleans())
    def finish(self, place: int, outcome: Outcome, later: bool) -> None:  # noqa: FBT001 - drawn
        """An appointment has ended, or is said to have too early; scores and weights move."""
        booking = self._pick(place, "scheduled")
        if later:
            self.model.now = max(self.model.now, booking.start)
        self._both(
            partial(self.model.finish, booking, outcome),
            partial(appointments.report_outcome, appointment_id=self.ids[booking.number], outcome=outcome),
        )
        learn(self.connection, self.model)

    @precondition(lambda self: self.repeat_last)
    @rule()
    def repeat(self) -> None:
        """The last change is asked for again with its key: the same answer, and nothing happens."""
        assert self.repeat_last is not None
        self.repeat_last()

    @rule(name=calendars, coach_id=coaches)
    def leave(self, name: str, coach_id: str) -> None:
        """A coach leaves a team."""
        team = self.model.calendars[name].team
        if coach_id in team.members and len(team.members) > 1:
            team.leave(coach_id)
            self.connection.execute("SELECT engine.leave_team(%s, %s, %s)", (name, coach_id, self.model.now))
            learn(self.connection, self.model)

    @rule(name=calendars, coach_id=coaches)
    def join(self, name: str, coach_id: str) -> None:
        """A coach joins a team, or is in it already."""
        self.model.calendars[name].team.join(coach_id)
        self.connection.execute("SELECT engine.join_team(%s, %s, 1)", (name, coach_id))
        learn(self.connection, self.model)

    @rule(coach_id=coaches, attributes=requirements)
    def learn(self, coach_id: str, attributes: frozenset[str]) -> None:
        """A coach has other attributes."""
        self.model.coaches[coach_id].attributes = attributes
        set_attributes(self.connection, coach_id, **attributes_of(attributes))

    @rule(name=calendars, requires=requirements)
    def require(self, name: str, requires: frozenset[str]) -> None:
        """A calendar requires something else."""
        self.model.calendars[name].requires = requires
        set_calendar(self.connection, name, requires=sorted(requires))

    @rule(
        coach_id=st.sampled_from(["ben", "cy"]),
        start=starts,
        quarters=st.integers(0, 16),
        minutes=st.sampled_from([0, 0, 10]),
    )
    def sync(self, coach_id: str, start: datetime, quarters: int, minutes: int) -> None:
        """An external calendar was read some minutes ago."""
        at = self.model.now - timedelta(minutes=minutes)
        read(self.connection, self.model, coach_id, (start, start + quarters * QUARTER), at)

    @rule()
    def maintain(self) -> None:
        """Expired holds are given back; making the days ahead changes nothing for those that are there."""
        assert holds.expire(self.connection, now=self.model.now) == self.model.expire()
        extend_days(self.connection, now=self.model.now)

    @rule(minutes=st.sampled_from([1, 5, 30, 120, 300]))
    def wait(self, minutes: int) -> None:
        """Time passes."""
        self.model.now += timedelta(minutes=minutes)

    @rule(name=calendars, requires=requirements)
    def look(self, name: str, requires: frozenset[str]) -> None:
        """Somebody looks."""
        check_listing(self.connection, self.model, name, requires)

    @invariant()
    def same(self) -> None:
        """The database has what the model has, and is whole."""
        check_rows(self.connection, self.model, self.ids)
        check_invariants(self.connection)

    def teardown(self) -> None:
        """In the end the records replay, and the distribution is what the credits say."""
        check_replay(self.connection)
        check_distribution(self.connection, self.model)


def test_the_engine_is_the_model(connection: Connection, environment: Callable[..., None]) -> None:
    """Any history of changes: the engine accepts, chooses and refuses exactly as the model."""
    environment(HORIZON_DAYS="4", MAX_HOLDS_PER_CLIENT="2")
    run_state_machine_as_test(
        lambda: Engine(connection),  # type: ignore[arg-type]  # a function will do
        settings=settings(
            max_examples=int(os.environ.get("FAIRSLOT_EXAMPLES", "30")),
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )
