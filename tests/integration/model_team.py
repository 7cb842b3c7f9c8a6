"""The credits of one team, and what can be said about them at any moment, without a database.

Credits, deltas and excesses are millionths of a booking.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from fairslot.domain.errors import NotFoundError
from fairslot.domain.fair_share import MILLION, Assignment, Candidate, assign, bound, distribute_credit


def excess(standing: Iterable[int]) -> int:
    """Return how far a team's credits are outside of what choosing alone can do; 0 is inside.

    Choosing keeps the sum of every k of n coaches at k(n - k)/2 bookings or less, hence every single coach
    within (n - 1)/2. From outside it never leads further out: let all sums be at most k(n - k)/2 + d, let j
    be chosen, K a set without j, and A the coaches of K who were eligible, a of them. They had no more than
    j: c_i + x_i <= c_j + x_j. Adding up a times the limit of K + j and once that of K - A gives
    c(K) + x(A) <= k(n - k)/2 + d - a/2 + (x(A) + x_j) a/(a + 1), and the last two terms are 0 at most.
    """
    ranked = sorted(standing, reverse=True)
    sums = enumerate(accumulate(ranked), start=1)
    return max((2 * total - k * (len(ranked) - k) * MILLION for k, total in sums), default=0) // 2


@dataclass
class Member:
    """A coach in a team."""

    weight: int = MILLION
    score: float = 0.7
    credit: int = 0
    last: int | None = None


@dataclass
class Decision:
    """A choice that stands: what it moved, and what each of the eligible had won last before it."""

    seq: int
    done: Assignment
    lasts: dict[str, int | None]


@dataclass
class Team:
    """A calendar's coaches; `slack` is how far out of bounds reversals and leavers can have pushed them."""

    members: dict[str, Member]
    policy: str = "fair_share"
    seq: int = 0
    slack: int = 0
    _excess: int = field(default=0, init=False)

    def turn(self, pool: Iterable[str], undone: Decision | None = None) -> Assignment | None:
        """Return whose turn it is among the pool, as if a decision had not been made; None without a pool."""
        deltas, lasts = self._undo(undone) if undone else ({}, {})
        candidates = [
            Candidate(
                coach_id=coach_id,
                weight=self.members[coach_id].weight,
                score=self.members[coach_id].score,
                credit=self.members[coach_id].credit + deltas.get(coach_id, 0),
                last_seq=lasts.get(coach_id, self.members[coach_id].last),
            )
            for coach_id in pool
        ]
        return assign(candidates, self.policy) if candidates else None

    def decide(self, done: Assignment) -> Decision:
        """Move the credits by a choice, which leads no further out of bounds."""
        self.seq += 1
        made = Decision(self.seq, done, {coach_id: self.members[coach_id].last for coach_id in done.shares})
        self._move(done.deltas, allowed=0)
        self.members[done.chosen].last = self.seq
        return made

    def reverse(self, decisions: list[Decision]) -> None:
        """Undo the last decision about an appointment, if one stands; it moves nobody by more than a booking.

        What is spread over the team is rounded: hence a millionth a coach more.
        """
        if not decisions:
            return
        deltas, lasts = self._undo(decisions[-1])
        if deltas:
            decisions.pop()
            self.seq += 1
            self._move(deltas, allowed=MILLION + len(self.members))
            for coach_id, last in lasts.items():
                self.members[coach_id].last = last

    def leave(self, coach_id: str) -> None:
        """Spread the credit of one who leaves over the rest; the bounds of a smaller team are narrower."""
        if coach_id not in self.members:
            raise NotFoundError
        size = len(self.members)
        gone = self.members.pop(coach_id)
        self.seq += 1
        self._move(
            distribute_credit(gone.credit, self.weights()), allowed=max(0, size - 2) * MILLION // 2 + size
        )

    def join(self, coach_id: str) -> None:
        """Let a coach in without credit or debt; whoever is in stays as they are."""
        self.members.setdefault(coach_id, Member())
        self._move({}, allowed=0)

    def weights(self) -> dict[str, int]:
        """Return the weight of each."""
        return {coach_id: member.weight for coach_id, member in self.members.items()}

    def _undo(self, made: Decision) -> tuple[Mapping[str, int], Mapping[str, int | None]]:
        """Return how the credits and the last decisions won go back; those who left are paid for by all."""
        back = {coach_id: -delta for coach_id, delta in made.done.deltas.items()}
        gone = sum(delta for coach_id, delta in back.items() if coach_id not in self.members)
        deltas = {coach_id: delta for coach_id, delta in back.items() if coach_id in self.members}
        for coach_id, part in (distribute_credit(gone, self.weights()) if gone else {}).items():
            deltas[coach_id] = deltas.get(coach_id, 0) + part
        lasts = {
            coach_id: made.lasts.get(coach_id)
            for coach_id in deltas
            if self.members[coach_id].last == made.seq
        }
        return deltas, lasts

    def _move(self, deltas: Mapping[str, int], *, allowed: int) -> None:
        """Move credits; assert that they sum to 0 and go out of bounds by no more than is allowed."""
        for coach_id, delta in deltas.items():
            self.members[coach_id].credit += delta
        standing = [member.credit for member in self.members.values()]
        assert sum(standing) == 0
        before, self._excess = self._excess, excess(standing)
        assert self._excess <= before + allowed
        self.slack += allowed
        assert all(abs(one) <= bound(len(standing)) * MILLION + self.slack for one in standing)
