"""Who gets the appointment: the weighted greedy carpool, in whole millionths of a booking.

The rule and its bound go back to Naor's note on the carpool problem of Fagin and Williams (1983); greedy is
optimal among online rules (Coppersmith, Nowicki, Paleologo, Tresser, Wu, ACM TALG 7(3), 2011). The database
applies the same rule under the calendar's lock; this is its pure twin, which tests and replays compare with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A coach who could take it: weight and credit in millionths, last_seq of the last decision won."""

    coach_id: str
    weight: int
    credit: int
    last_seq: int | None


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Who was chosen; what each was due (shares sum to a million) and how the credits move (to 0)."""

    chosen: str
    shares: dict[str, int]
    deltas: dict[str, int]


def assign(candidates: Sequence[Candidate]) -> Assignment:
    """Choose the largest credit + share; ties go to the least recently assigned, then to the lowest id.

    Shares are rounded down, and what rounding leaves goes to the chosen coach, so that credits sum to 0.
    ValueError when there is nobody to choose.
    """
    if not candidates:
        raise ValueError("nobody to choose from")
    total = sum(one.weight for one in candidates)
    shares = {one.coach_id: one.weight * MILLION // total for one in candidates}
    chosen = min(candidates, key=lambda one: _rank(one, shares[one.coach_id])).coach_id
    shares[chosen] += MILLION - sum(shares.values())
    deltas = {coach: share - (MILLION if coach == chosen else 0) for coach, share in shares.items()}
    return Assignment(chosen=chosen, shares=shares, deltas=deltas)


def bound(size: int) -> float:
    """Return how many bookings a coach of a team of this size can be off at most, at any moment."""
    return max(size - 1, 0) / 2


def _rank(one: Candidate, share: int) -> tuple[int, int, str]:
    return -(one.credit + share), -1 if one.last_seq is None else one.last_seq, one.coach_id
