"""How far coaches deviate within a kind of hour and in all: with a ledger for each kind, or one for all.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.fairness_kinds

20 coaches share a calendar with three kinds of hours, of which 60, 30 and 10 in a hundred bookings are. They
differ in when they are free: some hardly ever at weekends. 20,000 bookings; one coach joins half way, one is
away for a quarter. Beside it the same with a tenth of the bookings cancelled soon after, in each kind.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench.fairness_history import SOON
from bench.figures import Figure
from fairslot.domain.fair_share import MILLION, Candidate, assign, weights

KINDS = {"normal": 0.6, "late": 0.3, "weekend": 0.1}
COACHES = [f"coach-{number:02}" for number in range(1, 21)]
NEWCOMER, ABSENT = COACHES[0], COACHES[-1]
BOOKINGS = 20_000


def figures() -> Iterator[Figure]:
    """Measure the largest deviations, with a ledger for each kind."""
    kept, one, cancelled = (
        simulate(ledger_a_kind=True),
        simulate(ledger_a_kind=False),
        simulate(ledger_a_kind=True, cancelled=0.1),
    )
    names = ("within a kind of hour, three kinds", "in all, three kinds of hours")
    for place, (name, goal) in enumerate(zip(names, (1.5, 3), strict=True)):
        yield Figure(
            name=f"largest deviation {name}",
            value=kept[place],
            goal=goal,
            note=f"one ledger for all: {one[place]:.2f}; a tenth cancelled: {cancelled[place]:.2f}",
        )


@dataclass
class Standing:
    """Credits by coach (millionths), the last booking that each won, and the largest credit ever."""

    credit: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    last: dict[str, int] = field(default_factory=dict)
    worst: float = 0.0

    def candidate(self, coach: str, weight: int) -> Candidate:
        """Return a coach as the rule sees one."""
        return Candidate(
            coach_id=coach, weight=weight, credit=self.credit[coach], last_seq=self.last.get(coach)
        )

    def move(self, deltas: Mapping[str, int], sign: int = 1) -> None:
        """Move credits."""
        for coach, delta in deltas.items():
            self.credit[coach] += sign * delta
            self.worst = max(self.worst, abs(self.credit[coach]) / MILLION)


def simulate(
    *, ledger_a_kind: bool, seed: int = 1, bookings: int = BOOKINGS, cancelled: float = 0
) -> tuple[float, float]:
    """Return the largest deviation that anybody had within a kind, and in all kinds together."""
    chance = random.Random(seed)
    scores = {coach: round(chance.uniform(0.35, 0.95), 3) for coach in COACHES}
    weighed = weights(scores, gamma=4, low=0.5, high=2, manual={})
    free_at = {coach: {kind: chance.uniform(0.05, 0.95) for kind in KINDS} for coach in COACHES}
    ledgers: dict[str, Standing] = defaultdict(Standing)
    within: dict[str, Standing] = defaultdict(Standing)
    in_all = Standing()
    made: list[tuple[str, dict[str, int]]] = []
    for number in range(bookings):
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        here = [coach for coach in COACHES if _is_here(coach, number, bookings)]
        free = [coach for coach in here if chance.random() < free_at[coach][kind]] or here
        ledger = ledgers[kind if ledger_a_kind else ""]
        done = assign([ledger.candidate(one, weighed[one]) for one in free])
        ledger.last[done.chosen] = number
        made.append((kind, done.deltas))
        moves = [(kind, done.deltas, 1)]
        if chance.random() < cancelled:
            moves.append((*made.pop(-chance.randint(1, min(SOON, len(made)))), -1))
        for where, deltas, sign in moves:
            for one in (ledgers[where if ledger_a_kind else ""], within[where], in_all):
                one.move(deltas, sign)
    return max(one.worst for one in within.values()), in_all.worst


def _is_here(coach: str, number: int, bookings: int) -> bool:
    if coach == NEWCOMER:
        return number >= bookings // 2
    return coach != ABSENT or not bookings // 4 <= number < bookings // 2


if __name__ == "__main__":
    print(*figures(), sep="\n")
