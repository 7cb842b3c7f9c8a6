"""A made-up history of bookings and cancellations, for calendars whose teams overlap."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fairslot.domain.fair_share import weights

SOON = 100  # a booking is cancelled before this many others are made


@dataclass(frozen=True, kw_only=True)
class Team:
    """The coaches of a calendar: weights, scores, and the share of the time in which each is free."""

    weights: Mapping[str, int]
    scores: Mapping[str, float]
    free: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Event:
    """A booking with the coaches free for it, or (None) the cancellation of booking `number`."""

    number: int
    calendar_id: str
    free: tuple[str, ...] | None


def teams(chance: random.Random, *, coaches: int, calendars: int) -> dict[str, Team]:
    """Make up calendars whose teams overlap."""
    everybody = [f"coach-{number:02}" for number in range(1, coaches + 1)]
    scores = {coach: round(chance.uniform(0.35, 0.95), 3) for coach in everybody}
    free = {coach: chance.uniform(0.2, 0.95) for coach in everybody}
    made = {}
    for number in range(1, calendars + 1):
        own = {coach: scores[coach] for coach in everybody if chance.random() < 0.6} or scores  # noqa: PLR2004
        made[f"cal-{number}"] = Team(
            weights=weights(own, gamma=4, low=0.5, high=2, manual={}), scores=own, free=free
        )
    return made


def history(
    chance: random.Random, teams: Mapping[str, Team], *, bookings: int, cancelled: float
) -> Iterator[Event]:
    """Yield bookings and cancellations; the first coach joins half way, the last is away for a quarter."""
    newcomer, absent = "coach-01", max(coach for team in teams.values() for coach in team.weights)
    open_bookings: list[tuple[int, str]] = []
    for number in range(bookings):
        calendar_id = chance.choice(list(teams))
        here = {coach for coach in teams[calendar_id].weights if coach != newcomer or number >= bookings // 2}
        if bookings // 4 <= number < bookings // 2:
            here.discard(absent)
        free = [coach for coach in sorted(here) if chance.random() < teams[calendar_id].free[coach]]
        yield Event(number=number, calendar_id=calendar_id, free=tuple(free or sorted(here)))
        open_bookings.append((number, calendar_id))
        if chance.random() < cancelled:
            cancelled_number, where = open_bookings.pop(-chance.randint(1, min(SOON, len(open_bookings))))
            yield Event(number=cancelled_number, calendar_id=where, free=None)
