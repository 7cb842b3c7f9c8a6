"""What the booking engine promises, said simply: lists of intervals and the rule, without a database.

Instants are aware, stretches of time half open. What is refused is raised as the engine's own errors are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal
from zoneinfo import ZoneInfo

from fairslot.domain.errors import (
    HoldExpiredError,
    HoldLimitError,
    IllegalTransitionError,
    NotFoundError,
    SlotUnavailableError,
    ValidationError,
)
from tests.integration.model_kinds import Kind, kind_of
from tests.integration.model_team import Decision, Team

type Span = tuple[datetime, datetime]
type Canceller = Literal["customer", "coach", "system"]

QUARTER = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def overlap(one: Span, other: Span) -> bool:
    """Tell whether two stretches of time have an instant in common."""
    return one[0] < other[1] and other[0] < one[1]


@dataclass(kw_only=True)
class Coach:
    """A coach: working hours [from, to) of every day on the clock, and what their calendar said last."""

    coach_id: str
    zone: ZoneInfo
    most: int
    hours: tuple[int, int] = (0, 24)
    external: bool = False
    read_at: datetime | None = None
    known: Span | None = None
    busy: list[Span] = field(default_factory=list)

    def works(self, when: Span) -> bool:
        """Tell whether every quarter of an hour is a working one."""
        quarters = range((when[1] - when[0]) // QUARTER)
        local = [(when[0] + n * QUARTER).astimezone(self.zone) for n in quarters]
        return all(self.hours[0] <= one.hour < self.hours[1] for one in local)

    def allows(self, when: Span) -> bool:
        """Tell whether the external calendar, if there is one, is known to be free."""
        if not self.external:
            return True
        known = self.known is not None and self.known[0] <= when[0] and when[1] <= self.known[1]
        return known and not any(overlap(when, one) for one in self.busy)

    def read(self, busy: list[Span], at: datetime, window: Span) -> None:
        """Take a reading of a window, unless a younger one was taken; what is before the window stays."""
        if self.read_at is None or self.read_at < at:
            before = [(start, min(end, window[0])) for start, end in self.busy if start < window[0]]
            since = window[0] if self.known is None else min(self.known[0], window[0])
            read = [(max(start, window[0]), end) for start, end in busy if end > window[0]]
            self.read_at, self.known, self.busy = at, (since, window[1]), before + read


@dataclass(kw_only=True, eq=False)
class Calendar:
    """A calendar and its team; durations in minutes, the horizon in days."""

    calendar_id: str
    team: Team
    duration: int = 30
    interval: int = 15
    before: int = 0
    after: int = 0
    notice: int = 0
    horizon: int = 2
    most: int | None = None
    zone: ZoneInfo
    kinds: list[Kind] = field(default_factory=list)

    def spans(self, start: datetime) -> tuple[Span, Span]:
        """Return an appointment's own time, and that with its buffers."""
        end = start + timedelta(minutes=self.duration)
        return (start, end), (start - timedelta(minutes=self.before), end + timedelta(minutes=self.after))

    def kind_of(self, start: datetime) -> str:
        """Return the kind of hour of a start, by the calendar's own clock."""
        return kind_of(self.kinds, start.astimezone(self.zone))

    def use_kinds(self, kinds: list[Kind]) -> None:
        """Have these kinds of hours."""
        self.kinds = kinds
        self.team.use_kinds(one["name"] for one in kinds)

    def is_start(self, start: datetime) -> bool:
        """Tell whether a start is on the grid."""
        return not (start - _EPOCH) % timedelta(minutes=self.interval)


@dataclass(eq=False)
class Booking:
    """An appointment or a hold."""

    number: int
    calendar: Calendar
    coach_id: str
    start: datetime
    state: str
    client: str | None = None
    expires: datetime | None = None
    decisions: list[Decision] = field(default_factory=list)

    @property
    def takes(self) -> Span:
        """The time that it takes of its coach."""
        return self.calendar.spans(self.start)[1]


@dataclass
class Model:
    """Coaches, calendars and what is booked; `now` is what time it is."""

    coaches: dict[str, Coach]
    calendars: dict[str, Calendar]
    now: datetime
    most_holds: int = 2
    bookings: list[Booking] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def free(self, calendar: Calendar, start: datetime, but: Booking | None = None) -> list[str]:
        """Return who of the team could take a start if the booking `but` were not there."""
        return [
            coach_id for coach_id in calendar.team.members if self._is_free(coach_id, calendar, start, but)
        ]

    def starts(self, calendar: Calendar, window: Span) -> dict[datetime, int]:
        """Return the bookable starts in a window and how many coaches could take each."""
        quarters = (window[0] + n * QUARTER for n in range((window[1] - window[0]) // QUARTER))
        found = {
            start: len(self.free(calendar, start))
            for start in quarters
            if start > self.now and calendar.is_start(start) and self._takes(calendar, start)
        }
        return {start: number for start, number in found.items() if number}

    def book(self, calendar: Calendar, start: datetime) -> Booking:
        """Give a start to whoever's turn it is."""
        return self._place(calendar, start, Booking(next(self._numbers), calendar, "", start, "scheduled"))

    def hold(self, calendar: Calendar, start: datetime, client: str, minutes: int) -> Booking:
        """Claim a start for some minutes for whoever's turn it is."""
        live = [one for one in self.bookings if one.client == client and not self._is_over(one)]
        if len(live) >= self.most_holds:
            raise HoldLimitError
        until = min(self.now + timedelta(minutes=minutes), start)
        held = Booking(next(self._numbers), calendar, "", start, "held", client, until)
        return self._place(calendar, start, held)

    def confirm(self, held: Booking, calendar: Calendar, start: datetime) -> Booking:
        """Make an appointment of a hold."""
        if start <= self.now:
            raise ValidationError
        if held not in self.bookings or held.state != "held" or self._is_over(held):
            raise HoldExpiredError
        if (held.calendar, held.start) != (calendar, start):
            raise ValidationError
        held.state, held.client, held.expires = "scheduled", None, None
        return held

    def release(self, held: Booking) -> Booking:
        """Give a held time back, be it expired or not."""
        if held not in self.bookings or held.state != "held":
            raise NotFoundError
        self._drop(held)
        return held

    def expire(self) -> int:
        """Give back every hold that is over; return how many."""
        over = [one for one in self.bookings if self._is_over(one)]
        for one in over:
            self._drop(one)
        return len(over)

    def cancel(self, booking: Booking, by: Canceller) -> Booking:
        """Free the time; unless the coach cancels, the decision is undone."""
        self._check_scheduled(booking)
        if by == "customer" and booking.start <= self.now:
            raise IllegalTransitionError(booking.state)
        booking.state = "cancelled"
        if by != "coach":
            booking.calendar.team.reverse(booking.decisions)
        return booking

    def reschedule(self, booking: Booking, start: datetime, *, any_coach: bool) -> Booking:
        """Move an appointment; a decision is made anew where the coach or the kind of hour is another."""
        self._check_scheduled(booking)
        if booking.start <= self.now:
            raise IllegalTransitionError(booking.state)
        if start == booking.start and not any_coach:
            return booking
        calendar, team = booking.calendar, booking.calendar.team
        self._check_start(calendar, start, booking)
        pool = [one for one in self.free(calendar, start, booking) if any_coach or one == booking.coach_id]
        kind, made = calendar.kind_of(start), booking.decisions[-1] if booking.decisions else None
        done = team.turn(pool, kind, made)
        if done is None:
            raise SlotUnavailableError
        if (done.chosen, start) == (booking.coach_id, booking.start):
            return booking
        other_kind = made is not None and made.kind != kind and team.can_reverse(booking.decisions)
        if done.chosen != booking.coach_id or other_kind:
            team.reverse(booking.decisions)
            booking.decisions.append(team.decide(done, kind))
        booking.coach_id, booking.start = done.chosen, start
        return booking

    def reassign(self, booking: Booking, coach_id: str | None) -> Booking:
        """Hand an appointment to somebody else, by name or by turn."""
        self._check_scheduled(booking)
        calendar, team = booking.calendar, booking.calendar.team
        if coach_id == booking.coach_id:
            raise ValidationError
        if coach_id is not None and coach_id not in team.members:
            raise NotFoundError
        self._clear(calendar)
        others = [one for one in self.free(calendar, booking.start) if one != booking.coach_id]
        pool = [one for one in others if coach_id in (None, one)]
        kind = calendar.kind_of(booking.start)
        done = team.turn(pool, kind, booking.decisions[-1] if booking.decisions else None)
        if done is None:
            raise SlotUnavailableError
        team.reverse(booking.decisions)
        booking.decisions.append(team.decide(done, kind))
        booking.coach_id = done.chosen
        return booking

    def finish(self, booking: Booking, outcome: str) -> Booking:
        """Say how an appointment ended; its time stays taken."""
        self._check_scheduled(booking)
        if booking.start > self.now:
            raise IllegalTransitionError(booking.state)
        booking.state = outcome
        return booking

    def _place(self, calendar: Calendar, start: datetime, booking: Booking) -> Booking:
        self._check_start(calendar, start, None)
        kind = calendar.kind_of(start)
        done = calendar.team.turn(self.free(calendar, start), kind)
        if done is None:
            raise SlotUnavailableError
        booking.coach_id = done.chosen
        booking.decisions.append(calendar.team.decide(done, kind))
        self.bookings.append(booking)
        return booking

    def _drop(self, held: Booking) -> None:
        self.bookings.remove(held)
        held.calendar.team.reverse(held.decisions)

    def _check_scheduled(self, booking: Booking) -> None:
        if booking not in self.bookings or booking.state == "held":
            raise NotFoundError
        if booking.state != "scheduled":
            raise IllegalTransitionError(booking.state)

    def _check_start(self, calendar: Calendar, start: datetime, but: Booking | None) -> None:
        if not calendar.is_start(start) or start <= self.now:
            raise ValidationError
        if not self._takes(calendar, start, but):
            raise SlotUnavailableError
        self._clear(calendar)

    def _clear(self, calendar: Calendar) -> None:
        """Expired holds stand in nobody's way."""
        if any(self._is_over(one) and one.coach_id in calendar.team.members for one in self.bookings):
            self.expire()

    def _is_over(self, booking: Booking) -> bool:
        return booking.expires is not None and booking.expires <= self.now

    def _takes(self, calendar: Calendar, start: datetime, but: Booking | None = None) -> bool:
        """Tell whether the calendar itself takes a start: its notice, its horizon and its own maximum."""
        opens = self.now + timedelta(minutes=calendar.notice)
        if not opens <= start < self.now + timedelta(days=calendar.horizon):
            return False
        same = [one for one in self._live(but) if one.calendar is calendar and not self._is_over(one)]
        return calendar.most is None or _on_day(same, start, calendar.zone) < calendar.most

    def _is_free(self, coach_id: str, calendar: Calendar, start: datetime, but: Booking | None) -> bool:
        coach = self.coaches[coach_id]
        core, whole = calendar.spans(start)
        own = [one for one in self._live(but) if one.coach_id == coach_id]
        return (
            coach.works(core)
            and coach.allows(whole)
            and not any(overlap(whole, one.takes) for one in own)
            and _on_day(own, start, coach.zone) < coach.most
        )

    def _live(self, but: Booking | None) -> list[Booking]:
        return [one for one in self.bookings if one.state != "cancelled" and one is not but]


def _on_day(bookings: list[Booking], start: datetime, zone: ZoneInfo) -> int:
    """Count the bookings that start on the same local day."""
    day = start.astimezone(zone).date()
    return sum(one.start.astimezone(zone).date() == day for one in bookings)
