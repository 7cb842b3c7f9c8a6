"""What the booking engine promises, said simply: lists of intervals and the rule, without a database.

Instants are aware, stretches of time half open. What is refused is raised as the engine's own errors are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
from tests.integration.model_parts import QUARTER, Booking, Calendar, Coach, Span, overlap

type Canceller = Literal["customer", "coach", "system"]


@dataclass
class Model:
    """Coaches, calendars and what is booked; `now` is what time it is."""

    coaches: dict[str, Coach]
    calendars: dict[str, Calendar]
    now: datetime
    most_holds: int = 2
    bookings: list[Booking] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def free(
        self,
        calendar: Calendar,
        start: datetime,
        but: Booking | None = None,
        requires: frozenset[str] = frozenset(),
    ) -> list[str]:
        """Return who of the team could take a start if the booking `but` were not there, and meets it all."""
        wanted = calendar.requires | requires
        return [
            coach_id
            for coach_id in calendar.team.members
            if wanted <= self.coaches[coach_id].attributes and self._is_free(coach_id, calendar, start, but)
        ]

    def starts(
        self, calendar: Calendar, window: Span, requires: frozenset[str] = frozenset()
    ) -> dict[datetime, int]:
        """Return the bookable starts in a window and how many coaches could take each."""
        quarters = (window[0] + n * QUARTER for n in range((window[1] - window[0]) // QUARTER))
        found = {
            start: len(self.free(calendar, start, requires=requires))
            for start in quarters
            if start > self.now and calendar.is_start(start) and self._takes(calendar, start)
        }
        return {start: number for start, number in found.items() if number}

    def book(self, calendar: Calendar, start: datetime, requires: frozenset[str] = frozenset()) -> Booking:
        """Give a start to whoever's turn it is."""
        made = Booking(next(self._numbers), calendar, "", start, "scheduled", requires=requires)
        return self._place(calendar, start, made)

    def hold(
        self,
        calendar: Calendar,
        start: datetime,
        client: str,
        minutes: int,
        requires: frozenset[str] = frozenset(),
    ) -> Booking:
        """Claim a start for some minutes for whoever's turn it is."""
        live = [one for one in self.bookings if one.client == client and not self._is_over(one)]
        if len(live) >= self.most_holds:
            raise HoldLimitError
        until = min(self.now + timedelta(minutes=minutes), start)
        held = Booking(next(self._numbers), calendar, "", start, "held", client, until, requires)
        return self._place(calendar, start, held)

    def confirm(
        self, held: Booking, calendar: Calendar, start: datetime, requires: frozenset[str] = frozenset()
    ) -> Booking:
        """Make an appointment of a hold, which keeps what was asked for."""
        if start <= self.now:
            raise ValidationError
        if held not in self.bookings or held.state != "held" or self._is_over(held):
            raise HoldExpiredError
        if (held.calendar, held.start) != (calendar, start) or requires not in (frozenset(), held.requires):
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
        """Move an appointment; another decision is made where the coach or the kind of hour is another."""
        self._check_scheduled(booking)
        if booking.start <= self.now:
            raise IllegalTransitionError(booking.state)
        if start == booking.start and not any_coach:
            return booking
        calendar, team = booking.calendar, booking.calendar.team
        self._check_start(calendar, start, booking)
        free = self.free(calendar, start, booking, booking.requires)
        pool = [one for one in free if any_coach or one == booking.coach_id]
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
        free = self.free(calendar, booking.start, requires=booking.requires)
        others = [one for one in free if one != booking.coach_id]
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
        done = calendar.team.turn(self.free(calendar, start, requires=booking.requires), kind)
        if done is None:
            of_team = [self.coaches[one].attributes for one in calendar.team.members]
            eligible = [one for one in of_team if calendar.requires <= one]
            asks_too_much = eligible and not any(booking.requires <= one for one in eligible)
            raise ValidationError if asks_too_much else SlotUnavailableError
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
