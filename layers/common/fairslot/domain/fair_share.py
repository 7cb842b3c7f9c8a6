"""Who gets the appointment: the weighted greedy carpool, in whole millionths of a booking.

The rule and its bound go back to Naor's note on the carpool problem of Fagin and Williams (1983); greedy is
optimal among online rules (Coppersmith, Nowicki, Paleologo, Tresser, Wu, ACM TALG 7(3), 2011). Bookings use
the same rules in the database, under the calendar's lock; tests, replay and what-if compare with these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def bound(size: int) -> float:
    """Return the most bookings by which a coach in a team of this size can deviate, at any moment."""
    return max(size - 1, 0) / 2


def _tie(one: Candidate) -> tuple[int, str]:
    return -1 if one.last_seq is None else one.last_seq, one.coach_id
