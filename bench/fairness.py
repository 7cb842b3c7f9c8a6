"""How far a coach is off what is due, under our rule and under others, on one made-up history.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.fairness

20 coaches of different scores serve 3 calendars; 20,000 bookings come at times at which some of them are
free; one joins half way, one is away for a while, a tenth of the bookings is cancelled soon after. Every rule
gets the same history. What is due is the weighted share of each booking among those who were free for it.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fairslot.booking.distribution import jain_index
from fairslot.domain.fair_share import MILLION, Candidate, assign, weights

SOON = 100  # a booking is cancelled before so many others are made

type Choose = Callable[["Accounts", Sequence[Candidate]], str]


@dataclass(frozen=True, kw_only=True)
class Team:
    """Who serves a calendar, with which weights; how often each coach is free."""

    weights: Mapping[str, int]
    scores: Mapping[str, float]
    free: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Event:
    """A booking with those who are free for it, or the cancellation of booking `number`."""

    number: int
    calendar_id: str
    free: tuple[str, ...] | None


@dataclass
class Accounts:
    """One calendar under one rule: each coach's credit, bookings got and bookings owed (millionths)."""

    team: Team
    chance: random.Random
    credit: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    assigned: dict[str, int] = field(default_factory=dict)
    entitled: dict[str, int] = field(default_factory=dict)
    made: dict[int, tuple[str, dict[str, int]]] = field(default_factory=dict)
    worst: float = 0.0

    def candidates(self, free: Sequence[str]) -> list[Candidate]:
        """Return those who are free as they stand now."""
        return [
            Candidate(
                coach_id=coach,
                weight=self.team.weights[coach],
                credit=self.credit.get(coach, 0),
                last_seq=self.last.get(coach),
                score=self.team.scores[coach],
            )
            for coach in free
        ]

    def book(self, number: int, free: Sequence[str], choose: Choose) -> str:
        """Give a booking to one of those who are free; return to whom."""
        candidates = self.candidates(free)
        shares = assign(candidates).shares
        chosen = choose(self, candidates)
        self._move(chosen, shares, 1)
        self.last[chosen] = number
        self.made[number] = chosen, shares
        return chosen

    def cancel(self, number: int) -> None:
        """Undo a booking: it is neither got nor owed."""
        self._move(*self.made.pop(number), -1)

    def _move(self, chosen: str, shares: Mapping[str, int], sign: int) -> None:
        self.assigned[chosen] = self.assigned.get(chosen, 0) + sign
        for coach, share in shares.items():
            self.entitled[coach] = self.entitled.get(coach, 0) + sign * share
            paid = MILLION if coach == chosen else 0
            self.credit[coach] = self.credit.get(coach, 0) + sign * (share - paid)
            self.worst = max(self.worst, abs(self.credit[coach]) / MILLION)


def fair_share(_: Accounts, candidates: Sequence[Candidate]) -> str:
    """Choose by our rule."""
    return assign(candidates).chosen


def highest_score(_: Accounts, candidates: Sequence[Candidate]) -> str:
    """Choose the best of those who are free, always."""
    return assign(candidates, "highest_score").chosen


def least_bookings(accounts: Accounts, candidates: Sequence[Candidate]) -> str:
    """Choose whoever has got the fewest."""
    return min(candidates, key=lambda one: (accounts.assigned.get(one.coach_id, 0), one.coach_id)).coach_id


def round_robin(_: Accounts, candidates: Sequence[Candidate]) -> str:
    """Choose whoever's last booking is the longest ago."""
    return min(
        candidates, key=lambda one: (-1 if one.last_seq is None else one.last_seq, one.coach_id)
    ).coach_id


def weighted_random(accounts: Accounts, candidates: Sequence[Candidate]) -> str:
    """Draw by lot, with the weights as chances."""
    return accounts.chance.choices(candidates, [one.weight for one in candidates])[0].coach_id


RULES: dict[str, Choose] = {
    "fair share (ours)": fair_share,
    "highest score": highest_score,
    "least bookings": least_bookings,
    "round robin": round_robin,
    "weighted random": weighted_random,
}
# Measured before this was built, on another made-up history of the same size.
REFERENCE = {
    "fair share (ours)": (1.73, 1.0),
    "highest score": (711.0, 0.593),
    "least bookings": (828.0, None),
    "round robin": (270.0, None),
    "weighted random": (50.0, None),
}


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
    standing: list[tuple[int, str]] = []
    for number in range(bookings):
        calendar_id = chance.choice(list(teams))
        here = {coach for coach in teams[calendar_id].weights if coach != newcomer or number >= bookings // 2}
        if bookings // 4 <= number < bookings // 2:
            here.discard(absent)
        free = [coach for coach in sorted(here) if chance.random() < teams[calendar_id].free[coach]]
        yield Event(number=number, calendar_id=calendar_id, free=tuple(free or sorted(here)))
        standing.append((number, calendar_id))
        if chance.random() < cancelled:
            undone, where = standing.pop(-chance.randint(1, min(SOON, len(standing))))
            yield Event(number=undone, calendar_id=where, free=None)


def simulate(
    choose: Choose,
    *,
    seed: int = 1,
    coaches: int = 20,
    calendars: int = 3,
    bookings: int = 20_000,
    cancelled: float = 0.1,
) -> tuple[float, float]:
    """Run a history under a rule.

    Returns the largest deviation that any coach of any calendar had at any moment, in bookings, and Jain's
    index at the end.
    """
    chance = random.Random(seed)
    made = teams(chance, coaches=coaches, calendars=calendars)
    accounts = {calendar_id: Accounts(team, random.Random(seed)) for calendar_id, team in made.items()}
    for event in history(chance, made, bookings=bookings, cancelled=cancelled):
        if event.free is None:
            accounts[event.calendar_id].cancel(event.number)
        else:
            accounts[event.calendar_id].book(event.number, event.free, choose)
    parts = [
        (one.assigned.get(coach, 0), owed / MILLION)
        for one in accounts.values()
        for coach, owed in one.entitled.items()
    ]
    return max(one.worst for one in accounts.values()), jain_index(parts)


def main() -> None:
    """Print each rule's figures beside those that were expected."""
    parser = argparse.ArgumentParser(prog="python -m bench.fairness")
    parser.add_argument("--bookings", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{'rule':<20} {'largest deviation':>18} {'Jain':>8}   {'expected':>8} {'Jain':>8}")
    for name, choose in RULES.items():
        worst, jain = simulate(choose, seed=options.seed, bookings=options.bookings)
        off, even = REFERENCE[name]
        print(f"{name:<20} {worst:>18.2f} {jain:>8.4f}   {off:>8.2f} {even or '':>8}")


if __name__ == "__main__":
    main()
