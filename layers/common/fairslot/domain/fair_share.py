"""Who gets the appointment: the weighted greedy carpool, in whole millionths of a booking.

The rule and its bound go back to Naor's note on the carpool problem of Fagin and Williams (1983); greedy is
optimal among online rules (Coppersmith, Nowicki, Paleologo, Tresser, Wu, ACM TALG 7(3), 2011). Bookings use
the same rules in the database, under the calendar's lock; tests, replay and what-if compare with these.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import fsum

MILLION = 1_000_000
HIGHEST_SCORE = "highest_score"


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """An eligible coach: weight and credit in millionths, last_seq the number of the last decision won."""

    coach_id: str
    weight: int
    credit: int
    last_seq: int | None
    score: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Who was chosen, everybody's share (they sum to a million) and how the credits move (by 0 in sum)."""

    chosen: str
    shares: dict[str, int]
    deltas: dict[str, int]


def assign(candidates: Sequence[Candidate], policy: str = "fair_share") -> Assignment:
    """Choose the largest credit + share; ties go to the least recently assigned, then to the lowest id.

    Shares are rounded down; the chosen coach gets what rounding leaves, so that credits sum to 0. The policy
    `highest_score` goes by the score, with the same ties, and moves no credits. ValueError without
    candidates.
    """
    if not candidates:
        raise ValueError("no candidates")
    total = sum(one.weight for one in candidates)
    shares = {one.coach_id: one.weight * MILLION // total for one in candidates}
    if policy == HIGHEST_SCORE:
        chosen = min(candidates, key=lambda one: (-one.score, *_tie(one))).coach_id
    else:
        chosen = min(candidates, key=lambda one: (-one.credit - shares[one.coach_id], *_tie(one))).coach_id
    shares[chosen] += MILLION - sum(shares.values())
    if policy == HIGHEST_SCORE:
        deltas = dict.fromkeys(shares, 0)
    else:
        deltas = {coach: share - (MILLION if coach == chosen else 0) for coach, share in shares.items()}
    return Assignment(chosen=chosen, shares=shares, deltas=deltas)


def weights(
    scores: Mapping[str, float], *, gamma: float, low: float, high: float, manual: Mapping[str, float]
) -> dict[str, int]:
    """Return each coach's weight in millionths: clip((score / mean)^gamma, low, high) times the manual one.

    A coach without a manual weight has 1. Where nobody has a score above 0, all are equal.
    """
    mean = sum(scores.values()) / len(scores) if scores else 0.0
    found = {}
    for coach, score in scores.items():
        ratio = (score / mean) ** gamma if mean > 0 else 1.0
        clipped = min(high, max(low, ratio))
        found[coach] = max(1, round(MILLION * manual.get(coach, 1.0) * clipped))
    return found


def distribute_credit(amount: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Divide an amount of credit by weight, rounded towards 0; the lowest id gets the rest."""
    total = sum(weights.values())
    sign = -1 if amount < 0 else 1
    parts = {coach: sign * (abs(amount) * weight // total) for coach, weight in weights.items()}
    if parts:
        parts[min(parts)] += amount - sum(parts.values())
    return parts


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """The most millionths of a booking that a coach can come to be owed, and to be ahead by."""

    owed: int = 0
    ahead: int = 0

    def __add__(self, other: "Bound") -> "Bound":
        """Return the bound of a coach who is in two teams, or in one with two ledgers."""
        return Bound(owed=self.owed + other.owed, ahead=self.ahead + other.ahead)

    @property
    def bookings(self) -> float:
        """The larger one, in bookings."""
        return max(self.owed, self.ahead) / MILLION


def bound(balance: Iterable[int]) -> Bound:
    """Return the bound of a team's credits (millionths) from now on, whoever is free and however weighted.

    It holds until a refund, an adjustment or a coach who joins or leaves moves credits outside the rule.
    The proof is in docs/fairness.md: with e(k) the millionths by which the k largest credits exceed
    k(n - k)/2 bookings, it is (n - 1)/2 and the largest e(k)/k, or e(k)/(n - k), more.
    """
    ranked = sorted(balance, reverse=True)
    size = len(ranked)
    over = [
        (k, total - k * (size - k) * MILLION // 2) for k, total in enumerate(accumulate(ranked[:-1]), start=1)
    ]
    alone = max(size - 1, 0) * MILLION // 2
    return Bound(
        owed=alone + max((excess // k for k, excess in over if excess > 0), default=0),
        ahead=alone + max((excess // (size - k) for k, excess in over if excess > 0), default=0),
    )


def jain_index(parts: Iterable[tuple[float, float]]) -> float:
    """Return Jain's index of assigned over entitled, given as pairs: 1 is even, 1/n is all to one.

    From Jain, Chiu and Hawe, "A quantitative measure of fairness", 1984.

    Coaches who were entitled to nothing are left out; without anybody it is 1.
    """
    ratios = [assigned / entitled for assigned, entitled in parts if entitled > 0]
    squares = fsum(ratio * ratio for ratio in ratios)
    return fsum(ratios) ** 2 / (len(ratios) * squares) if squares else 1.0


def _tie(one: Candidate) -> tuple[int, str]:
    return -1 if one.last_seq is None else one.last_seq, one.coach_id
