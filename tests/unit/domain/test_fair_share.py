"""The carpool rule."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.domain.fair_share import MILLION, Candidate, assign, bound


def candidate(
    coach_id: str, weight: int = MILLION, credit: int = 0, last_seq: int | None = None
) -> Candidate:
    """A candidate who differs from the others only where it matters."""
    return Candidate(coach_id=coach_id, weight=weight, credit=credit, last_seq=last_seq)


def test_the_largest_credit_and_share_wins() -> None:
    """Owed most, with the share of this booking, means chosen."""
    done = assign([candidate("a", credit=100), candidate("b", credit=200), candidate("c")])
    assert done.chosen == "b"


def test_ties_go_to_the_least_recent_then_to_the_lowest_id() -> None:
    """Never assigned comes before long ago, and the id decides the rest."""
    assert assign([candidate("b"), candidate("a", last_seq=1), candidate("c")]).chosen == "b"
    assert assign([candidate("b", last_seq=2), candidate("a", last_seq=9)]).chosen == "b"
    assert assign([candidate("b"), candidate("a")]).chosen == "a"


def test_nobody_cannot_be_chosen() -> None:
    """An empty team is the caller's error."""
    with pytest.raises(ValueError, match="no candidates"):
        assign([])


@given(st.lists(st.tuples(st.integers(1, 4 * MILLION), st.integers(-9 * MILLION, 9 * MILLION)), min_size=1))
def test_shares_sum_to_one_booking_and_balance_to_nothing(team: list[tuple[int, int]]) -> None:
    """Whatever rounds off is not lost."""
    done = assign([candidate(f"{n:03}", weight, credit) for n, (weight, credit) in enumerate(team)])
    assert sum(done.shares.values()) == MILLION
    assert sum(done.deltas.values()) == 0


@given(st.integers(2, 8), st.data())
def test_nobody_is_ever_further_off_than_the_bound(size: int, data: st.DataObject) -> None:
    """|entitled - assigned| stays within (n - 1) / 2 for any eligibility and weights that change."""
    balance = dict.fromkeys(map(str, range(size)), 0)
    last: dict[str, int] = {}
    steps = data.draw(
        st.lists(st.sets(st.sampled_from(sorted(balance)), min_size=1), min_size=1, max_size=60)
    )
    for seq, eligible in enumerate(steps):
        weights = {coach: data.draw(st.integers(MILLION // 2, 2 * MILLION)) for coach in sorted(eligible)}
        done = assign([candidate(c, weights[c], balance[c], last.get(c)) for c in sorted(eligible)])
        last[done.chosen] = seq
        for coach, delta in done.deltas.items():
            balance[coach] += delta
        # Rounding down moves a share by less than a millionth for each candidate and decision.
        slack = Fraction(size * (seq + 1), MILLION)
        assert all(
            abs(Fraction(credit, MILLION)) <= Fraction(size - 1, 2) + slack for credit in balance.values()
        )
    assert bound([0] * size).bookings == (size - 1) / 2
