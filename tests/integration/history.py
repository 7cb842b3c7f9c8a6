"""A team that is run and booked at random, by the use cases."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import uuid4

import psycopg

from fairslot.booking import appointments, holds
from fairslot.coach_time.days import extend_days
from fairslot.coach_time.read_model import fold_changes
from fairslot.domain.errors import FairslotError
from fairslot.domain.idempotency import NO_KEY, ChangeResult
from fairslot.platform.db import Connection, is_retried, translate
from fairslot.team.absences import Absence
from fairslot.team.adjustments import Adjustment
from fairslot.team.calendars import Calendar
from fairslot.team.changes import ChangeRequest, Choice, Options
from fairslot.team.coaches import Coach
from fairslot.team.members import Member
from fairslot.team.resources import Resource
from tests.integration.history_settings import (
    CALENDARS,
    COACHES,
    EVES,
    RULES,
    Settings,
    a_calendar,
    a_coach,
    a_place,
)
from tests.support.clock import HALF
from tests.support.team import TENANT

type Done = ChangeResult | FairslotError | None

# What is done how often; the rest is done once.
OFTEN = Counter(
    book=14, hold=2, cancel=2, reschedule=3, reassign=2, patch_coach=3, patch_calendar=2, be_away=2
)
OTHER = (
    "confirm",
    "report",
    "join",
    "leave",
    "adjust",
    "be_back",
    "be_away_otherwise",
    "delete",
    "wait",
    "maintain",
)


class History:
    """What happens to a team: a step is something that a customer, an operator or the clock does."""

    def __init__(self, connection: Connection, seed: int, now: datetime | None = None) -> None:
        """Begin one, or where `now` is given go on with what another one has begun."""
        self.connection = connection
        self.draw = Random(seed)  # noqa: S311 - no secret
        self.now = now or datetime.fromisoformat(self.draw.choice(EVES))
        self.steps: list[str] = []
        if now is None:
            self._begin()

    def step(self) -> None:
        """Do one thing."""
        name = self.draw.choice([*OFTEN.elements(), *OTHER])
        done = getattr(self, name)()
        said = done.answer if isinstance(done, ChangeResult) else repr(done)
        self.steps.append(f"{self.now:%d %H:%M} {name}: {said}"[:500])

    def book(self) -> Done:
        """A customer books."""
        return self.ask_for(appointments.book, self.draw.choice(CALENDARS), self.start(), self._wishes())

    def hold(self) -> Done:
        """A customer has a time held."""
        return self.ask_for(holds.hold, self.draw.choice(CALENDARS), self.start(), self._wishes())

    def ask_for(
        self, ask: Callable[..., ChangeResult], calendar_id: str, start: datetime, requires: Sequence[str]
    ) -> Done:
        """Book or hold a start."""
        contact = appointments.Contact(name="C", email="c@example.com", requires=requires)
        more: dict[str, Any] = {"client_id": str(uuid4()), "minutes": 10, "requires": requires}
        if ask is appointments.book:
            more = {"contact": contact, "metadata": {}}
        return self._do(ask, calendar_id=calendar_id, start_time=start, **more)

    def confirm(self) -> Done:
        """A customer books what is held."""
        held = self._one("held")
        if held is None:
            return None
        contact = appointments.Contact(name="C", email="c@example.com")
        return self._do(
            appointments.book,
            calendar_id=held["calendar_id"],
            start_time=held["start_time"],
            hold_id=held["appointment_id"],
            contact=contact,
            metadata={},
        )

    def cancel(self) -> Done:
        """Somebody cancels."""
        by = self.draw.choice(["customer", "coach", "system"])
        return self._on_one(appointments.cancel, by=by, reason=None)

    def reschedule(self) -> Done:
        """A customer moves."""
        one = self._one("scheduled")
        return self.move(one, self.start(), any_coach=self.draw.choice([True, False])) if one else None

    def move(self, one: Settings, start: datetime, *, any_coach: bool) -> Done:
        """Move an appointment to a start."""
        given = {"appointment_id": one["appointment_id"], "start_time": start, "any_coach": any_coach}
        return self._do(appointments.reschedule, **given)

    def reassign(self) -> Done:
        """An appointment is handed over."""
        return self._on_one(appointments.reassign, coach_id=self.draw.choice([None, *COACHES]), reason=None)

    def report(self) -> Done:
        """Somebody says how an appointment ended."""
        return self._on_one(appointments.report_outcome, outcome=self.draw.choice(["completed", "no_show"]))

    def patch_coach(self) -> Done:
        """A coach gets another zone, other hours, limits, attributes, or is back."""
        one, fresh = Coach(self.draw.choice(COACHES)), a_coach(self.draw)
        return self._patch(one, fresh, self.draw.choice([*fresh, "limits", "time_zone", "attributes"]))

    def patch_calendar(self) -> Done:
        """A calendar gets another rule, or is back."""
        one, fresh = Calendar(self.draw.choice(CALENDARS)), a_calendar(self.draw)
        return self._patch(one, fresh, self.draw.choice([*fresh, "hour_kinds", "hour_kinds", "requires"]))

    def join(self) -> Done:
        """A coach joins a team, or gets another weight or other rules there."""
        one, place = self._place(), a_place(self.draw)
        return self.change(lambda asked: one.put(self.connection, place, asked))

    def leave(self) -> Done:
        """A coach leaves a team."""
        one = self._place()
        return self.change(lambda asked: one.delete(self.connection, asked))

    def delete(self) -> Done:
        """A coach is deleted, or now and then a calendar."""
        one = self.draw.choice([*map(Coach, COACHES), Calendar(self.draw.choice(CALENDARS))])
        return self.change(lambda asked: one.delete(self.connection, asked))

    def adjust(self) -> Done:
        """An operator corrects what a coach is owed."""
        one = Adjustment(self.draw.choice(CALENDARS), uuid4())
        settings = {
            "coach_id": self.draw.choice(COACHES),
            "kind": self.draw.choice(["normal", "weekend", "early", "night"]),
            "bookings": self.draw.choice([-1.5, 0.333333, 2]),
            "reason": "to be fair",
        }
        return self.change(lambda asked: one.put(self.connection, settings, asked))

    def be_away(self) -> Done:
        """A coach is away."""
        one, start = Absence(self.draw.choice(COACHES), uuid4()), self.start() + timedelta(minutes=7)
        end = start + timedelta(hours=self.draw.choice([1, 30]))
        ledger = self.draw.choice(["keep", "settle"])
        settings = {"start": start, "end": end, "reason": None, "ledger": ledger}
        return self.change(lambda asked: one.put(self.connection, settings, asked))

    def be_back(self) -> Done:
        """An absence is deleted."""
        rows = self.rows("SELECT * FROM coach_absences ORDER BY coach_id, span")
        if not rows:
            return None
        row = self.draw.choice(rows)
        one = Absence(row["coach_id"], row["event_id"])
        return self.change(lambda asked: one.delete(self.connection, asked))

    def be_away_otherwise(self) -> Done:
        """An absence begins or ends at another time, or settles after all."""
        rows = self.rows("SELECT * FROM coach_absences ORDER BY coach_id, span")
        if not rows:
            return None
        row, start = self.draw.choice(rows), self.start()
        one = Absence(row["coach_id"], row["event_id"])
        ledger = self.draw.choice([row["ledger"], row["ledger"], "keep", "settle"])
        hours = self.draw.choice([1, 30])
        settings = {
            "start": start,
            "end": start + timedelta(hours=hours),
            "reason": None,
            "ledger": ledger,
        }
        return self.change(lambda asked: one.put(self.connection, settings, asked))

    def wait(self) -> None:
        """Time passes."""
        self.now += timedelta(minutes=self.draw.choice([1, 15, 120, 700]))

    def maintain(self) -> None:
        """The schedules run."""
        extend_days(self.connection, now=self.now)
        fold_changes(self.connection)
        self.run(partial(holds.expire, self.connection, now=self.now))

    def change(self, make: Callable[[ChangeRequest], ChangeResult]) -> Done:
        """Have an operator change something, who says what becomes of appointments, or nothing yet."""
        choice: Choice | None = self.draw.choice([None, "reassign", "cancel", "keep"])
        return self.made(make, Options(appointments=choice))

    def made(self, make: Callable[[ChangeRequest], ChangeResult], options: Options) -> Done:
        """Make a change in one transaction."""

        def work() -> ChangeResult:
            with self.connection.transaction():
                return make(ChangeRequest(tenant_id=TENANT, now=self.now, options=options))

        return self.run(work)

    def run[T](self, work: Callable[[], T]) -> T | FairslotError:
        """Do as `db.run`: what asks to be made again is; return what is refused."""
        for _ in range(200):
            try:
                return work()
            except FairslotError as error:
                return error
            except psycopg.Error as error:
                said = translate(error)
                if isinstance(said, FairslotError):
                    return said
                if error.sqlstate == "FS426":
                    self.run(partial(holds.expire, self.connection, now=self.now))
                elif not is_retried(error):
                    raise
        raise AssertionError("asked again and again")

    def rows(self, statement: str, *values: object) -> list[Settings]:
        """Return the rows of a statement."""
        return self.connection.execute(statement.encode(), values).fetchall()

    def start(self) -> datetime:
        """Return a start of the days to come, or one that has just been."""
        return self.now.replace(minute=0) + self.draw.randrange(-1, 96) * HALF

    def _begin(self) -> None:
        resources: list[tuple[Resource, Settings]] = [(Coach(one), a_coach(self.draw)) for one in COACHES]
        resources += [(Calendar(one), a_calendar(self.draw)) for one in CALENDARS]
        resources += [(Member(one, who), a_place(self.draw)) for one in CALENDARS for who in COACHES]
        for one, settings in resources:
            self.made(partial(one.put, self.connection, settings), Options())

    def _patch(self, one: Resource, fresh: Settings, name: str) -> Done:
        if one.find(self.connection, tenant_id=TENANT) is None:
            return self.change(lambda asked: one.put(self.connection, fresh, asked))
        edit = partial(lambda known: {**known, name: fresh[name]})
        return self.change(lambda asked: one.patch(self.connection, edit, asked))

    def _place(self) -> Member:
        return Member(self.draw.choice(CALENDARS), self.draw.choice(COACHES))

    def _wishes(self) -> Sequence[str]:
        return self.draw.choice([[], [], *RULES])

    def _one(self, status: str) -> Settings | None:
        statement = "SELECT * FROM coach_appointments WHERE status = %s ORDER BY start_time, appointment_id"
        rows = self.rows(statement, status)
        return self.draw.choice(rows) if rows else None

    def _on_one(self, work: Callable[..., ChangeResult], **more: Any) -> Done:
        one = self._one("scheduled")
        return self._do(work, appointment_id=one["appointment_id"], **more) if one else None

    def _do(self, work: Callable[..., ChangeResult], **more: Any) -> Done:
        given = {"tenant_id": TENANT, "key": NO_KEY, "now": self.now, **more}
        return self.run(lambda: work(self.connection, **given))
