"""How far coaches deviate from their entitlement under our rule and under others, on one made-up history.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.fairness

20 coaches of different scores serve 3 calendars; 20,000 bookings come at times at which some of them are
free; one joins half way, one is away for a while, a tenth of the bookings is cancelled soon after. Every rule
gets the same history. An entitlement is the weighted share of each booking among the coaches free for it.
"""

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.fairness_history import Team, history, teams
from fairslot.domain.fair_share import MILLION, Candidate, assign, jain_index

type Choose = Callable[["Accounts", Sequence[Candidate]], str]


@dataclass
class Accounts:
    """One calendar under one rule: each coach's credit, bookings assigned and entitled to (millionths)."""

    team: Team
    chance: random.Random
    credit: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    assigned: dict[str, int] = field(default_factory=dict)
    entitled: dict[str, int] = field(default_factory=dict)
    made: dict[int, tuple[str, dict[str, int]]] = field(default_factory=dict)
    worst: float = 0.0

    def candidates(self, free: Sequence[str]) -> list[Candidate]:
        """Return the free coaches with their credit."""
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
        """Assign a booking to one of the free coaches; return which."""
        candidates = self.candidates(free)
        shares = assign(candidates).shares
        chosen = choose(self, candidates)
        self._move(chosen, shares, 1)
        self.last[chosen] = number
        self.made[number] = chosen, shares
        return chosen

    def cancel(self, number: int) -> None:
        """Undo a booking, assigned and entitled."""
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
    """Choose the free coach with the highest score."""
    return assign(candidates, "highest_score").chosen


def least_bookings(accounts: Accounts, candidates: Sequence[Candidate]) -> str:
    """Choose the coach with the fewest bookings."""
    return min(candidates, key=lambda one: (accounts.assigned.get(one.coach_id, 0), one.coach_id)).coach_id


def round_robin(_: Accounts, candidates: Sequence[Candidate]) -> str:
    """Choose the coach whose last booking is the oldest."""
    return min(
        candidates, key=lambda one: (-1 if one.last_seq is None else one.last_seq, one.coach_id)
    ).coach_id


def weighted_random(accounts: Accounts, candidates: Sequence[Candidate]) -> str:
    """Choose at random, with the weights as probabilities."""
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
    """Print each rule's figures beside the expected ones."""
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
