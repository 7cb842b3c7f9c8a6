"""A team that is run and booked at once: whatever is set in whatever order, what is promised holds.

FAIRSLOT_EXAMPLES sets how many histories are tried; the default is for every run of the suite.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import pytest

from fairslot.booking import appointments, holds
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.domain.errors import FairslotError
from fairslot.domain.idempotency import NO_KEY, ChangeResult
from fairslot.domain.slots import instant_of
from fairslot.platform.db import Connection
from fairslot.team.changes import ChangeRequest, Options
from tests.integration.history import Done, History
from tests.integration.history_settings import CALENDARS, RULES, Settings
from tests.support.availability import explain, list_page
from tests.support.fixtures import Connect, Environment
from tests.support.invariants import check_invariants, check_replay
from tests.support.team import TENANT

SEEDS = range(int(os.environ.get("FAIRSLOT_EXAMPLES", "3")))
# What of the database a plan that is only looked at must not change.
_TABLES = ("coach_appointments", "turns", "rosters", "coach_slots", "coach_periods", "coach_calendars")
_OVER_A_LIMIT = """
    SELECT period.* FROM coach_periods AS period JOIN coach_appointments AS a USING (coach_id)
     WHERE a.appointment_id = %s AND engine.slot_of(a.start_time) >= period.first_slot
       AND engine.slot_of(a.start_time) < period.end_slot
       AND (period.booked > period.max_booked OR period.minutes > period.max_minutes)"""
_UNMET = """
    SELECT coach.attributes, rule FROM coach_appointments AS a
      JOIN calendars AS calendar USING (calendar_id) JOIN coaches AS coach ON coach.coach_id = a.coach_id
     CROSS JOIN LATERAL unnest(coalesce(a.requires, '{}') || calendar.requires) AS rule
     WHERE a.appointment_id = %s AND NOT engine.meets(coach.attributes, rule)"""


class Checked(History):
    """A history of one session, each step of which is what was said before it."""

    def __init__(self, connection: Connection, seed: int) -> None:
        super().__init__(connection, seed)
        self.kept = KeptTeams()

    def ask_for(
        self, ask: Callable[..., ChangeResult], calendar_id: str, start: datetime, requires: Sequence[str]
    ) -> Done:
        """What is listed, and only that, can be booked and held; the explanation says the same."""
        self._expire()
        listed, free = self._listed(calendar_id, start, requires), self._free(calendar_id, start, requires)
        done = super().ask_for(ask, calendar_id, start, requires)
        if free is not None and start > self.now:
            assert listed == free
            self._check_taken(done, free, "hold_id" if ask is holds.hold else "appointment_id")
        return done

    def move(self, one: Settings, start: datetime, *, any_coach: bool) -> Done:
        """A move is possible where a booking would be, were the appointment cancelled."""
        self._expire()
        free: set[str] | None = None
        if self.now < one["start_time"] != start > self.now:
            with self.connection.transaction(force_rollback=True):
                which = {"tenant_id": TENANT, "appointment_id": one["appointment_id"]}
                appointments.cancel(
                    self.connection, **which, by="system", reason=None, key=NO_KEY, now=self.now
                )
                free = self._free(one["calendar_id"], start, one["requires"] or [])
        done = super().move(one, start, any_coach=any_coach)
        if free is not None:
            self._check_taken(done, free if any_coach else free & {one["coach_id"]}, "appointment_id")
        return done

    def made(self, make: Callable[[ChangeRequest], ChangeResult], options: Options) -> Done:
        """A dry run changes nothing and says what is done then; what is refused has changed nothing."""
        before = self._dump()
        dry = super().made(make, Options(dry_run=True, appointments=options.appointments))
        assert self._dump() == before
        done = super().made(make, options)
        if not isinstance(done, ChangeResult):
            assert self._dump() == before
        else:
            assert isinstance(dry, ChangeResult)
            assert done.answer["plan"] == dry.answer
        return done

    def check(self) -> None:
        """Assert that the database is whole, and that what is kept of a page is the page."""
        check_invariants(self.connection, lowered=True)
        self._expire()
        for calendar_id in CALENDARS:
            for requires in (self.draw.choice(RULES), []):
                look = partial(list_page, self.connection, calendar_id, start=self.now, days=3, now=self.now)
                fresh = self.run(partial(look, with_coaches=True, requires=requires))
                kept = self.run(partial(look, with_coaches=True, requires=requires, kept=self.kept))
                assert type(kept) is type(fresh)
                assert isinstance(fresh, FairslotError) or kept == fresh

    def _expire(self) -> None:
        self.run(partial(holds.expire, self.connection, now=self.now))

    def _free(self, calendar_id: str, start: datetime, requires: Sequence[str]) -> set[str] | None:
        look = partial(explain, self.connection, start, calendar_id=calendar_id, now=self.now)
        said = self.run(partial(look, requires=requires))
        return None if isinstance(said, FairslotError) else {one.coach_id for one in said if one.free}

    def _listed(self, calendar_id: str, start: datetime, requires: Sequence[str]) -> set[str]:
        look = partial(list_page, self.connection, calendar_id, start=start, days=1 / 96, now=self.now)
        page = self.run(partial(look, with_coaches=True, requires=requires))
        if isinstance(page, FairslotError):
            return set()
        return {who for one in page.starts if instant_of(one.slot) == start for who in one.coach_ids or ()}

    def _check_taken(self, done: Done, free: set[str], name: str) -> None:
        """Assert that one of these coaches has it, who meets all and is at no limit; or nobody, if none."""
        assert isinstance(done, ChangeResult) == bool(free), (free, done)
        if isinstance(done, ChangeResult):
            assert done.answer["coach_id"] in free
            assert self.rows(_OVER_A_LIMIT, done.answer[name]) == []
            assert self.rows(_UNMET, done.answer[name]) == []

    def _dump(self) -> list[list[Settings]]:
        return [self.rows(f"SELECT * FROM {table} AS one ORDER BY one::text") for table in _TABLES]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_promised_holds(connection: Connection, environment: Environment, seed: int) -> None:
    """Pages list what can be booked, kept or not; dry runs are true; ledgers sum to 0 and replay."""
    environment(HORIZON_DAYS="5")
    connection.execute("SET synchronous_commit = off")  # nothing is killed here
    history = Checked(connection, seed)
    for _ in range(50):
        history.step()
        history.check()
    check_replay(connection)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_holds_beside_one_another(
    connection: Connection, connect: Connect, environment: Environment, seed: int
) -> None:
    """Four sessions do all of it at once: nobody waits for ever, nothing is lost."""
    environment(HORIZON_DAYS="5")
    first = Checked(connection, seed)
    others = [History(connect(), 100 * seed + number, first.now) for number in range(4)]

    def live(history: History) -> None:
        for _ in range(40):
            history.step()

    with ThreadPoolExecutor(len(others)) as pool:
        for one in [pool.submit(live, history) for history in others]:
            one.result(timeout=120)
    first.now = max(one.now for one in others)
    first.check()
    check_replay(connection)
