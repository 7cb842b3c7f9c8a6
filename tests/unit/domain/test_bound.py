"""How far the balance of a team can come to be off, whoever is free and whatever the weights are."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.domain.fair_share import MILLION, Bound, Candidate, assign, bound
from tests.integration.model_team import Decision, Member, Team

LARGEST = 5 * MILLION
LIGHT, HEAVY = 1, 2_000_000_000


def in_bookings(*balance: float) -> list[int]:
    """Return balance in millionths."""
    return [round(one * MILLION) for one in balance]


def majorant(balance: list[int]) -> list[float]:
    """Return g(0) … g(n) as it is defined: the smallest concave majorant of what is over k(n - k)/2."""
    size = len(balance)
    sums = [0, *accumulate(sorted(balance, reverse=True))]
    over = [max(0.0, total - k * (size - k) / 2 * MILLION) for k, total in enumerate(sums)]
    return [
        max(
            over[i] + (over[j] - over[i]) * (k - i) / (j - i) if j > i else over[k]
            for i in range(k + 1)
            for j in range(k, size + 1)
        )
        for k in range(size + 1)
    ]


def choose(balance: list[int], pool: list[int], weights: list[int]) -> list[int]:
    """Return the balance after the rule has decided among a pool."""
    candidates = [
        Candidate(coach_id=f"{one}", weight=weights[one], credit=balance[one], last_seq=None) for one in pool
    ]
    after = list(balance)
    for coach, delta in assign(candidates).deltas.items():
        after[int(coach)] += delta
    return after


def check(balance: list[int], limit: Bound) -> None:
    """Assert that balance sum to 0 and that nobody is beyond a bound."""
    assert sum(balance) == 0
    assert max(balance) <= limit.owed
    assert -min(balance) <= limit.ahead


@st.composite
def teams(draw: st.DrawFn) -> list[int]:
    """Draw balance of a team of two to six that sum to 0."""
    balance = draw(st.lists(st.integers(-LARGEST, LARGEST), min_size=1, max_size=5))
    return [*balance, -sum(balance)]


steps = st.lists(
    st.tuples(st.sampled_from(["any", "raise", "sink"]), st.integers(0), st.integers(0)), max_size=60
)


def hurt(balance: list[int], what: str, number: int, other: int) -> tuple[list[int], list[int]]:
    """Return a pool and weights that are as bad as one choice can make them, or any.

    Whoever is owed most gains most beside one who has as much; whoever is ahead most is alone with those who
    are ahead too, so that one of them pays.
    """
    size = len(balance)
    ranked = sorted(range(size), key=lambda one: -balance[one])
    if what == "raise":
        return ranked[: 2 + number % (size - 1)], [
            HEAVY if one == ranked[-1] else MILLION for one in range(size)
        ]
    if what == "sink":
        pool = ranked[-2 - number % (size - 1) :]
        return pool, [LIGHT if one == pool[0] else HEAVY for one in range(size)]
    pool = [one for one in range(size) if number >> one & 1] or [number % size]
    return pool, [1 + (other >> one) % (4 * MILLION) for one in range(size)]


@given(teams(), steps)
def test_an_adversary_gets_nobody_beyond_the_bound(
    balance: list[int], moves: list[tuple[str, int, int]]
) -> None:
    """From any balance, with any pools and weights; and the bound itself never grows by a choice."""
    limit = bound(balance)
    check(balance, limit)
    for what, number, other in moves:
        balance = choose(balance, *hurt(balance, what, number, other))
        check(balance, limit)
        now = bound(balance)
        assert now.owed <= limit.owed
        assert now.ahead <= limit.ahead
        limit = now


@given(teams())
def test_it_is_what_the_proof_says(balance: list[int]) -> None:
    """(n - 1)/2 and g(1), or g(n - 1), of the smallest concave majorant."""
    found, g = bound(balance), majorant(balance)
    assert found.owed == pytest.approx((len(balance) - 1) / 2 * MILLION + g[1], abs=1)
    assert found.ahead == pytest.approx((len(balance) - 1) / 2 * MILLION + g[-2], abs=1)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_even_credits_have_the_smallest_one(size: int) -> None:
    """Of n coaches nobody comes to be off by more than (n - 1)/2."""
    half = (size - 1) * MILLION // 2
    assert bound([0] * size) == Bound(owed=half, ahead=half)
    assert bound([]) == Bound()


def test_it_is_met_exactly() -> None:
    """Two are owed alike, one is chosen, and the other is owed what the bound says; and two who are ahead."""
    balance = in_bookings(3, 3, -6)
    assert bound(balance) == Bound(owed=3_500_000, ahead=6_000_000)
    assert max(choose(balance, [0, 1], [MILLION] * 3)) == 3_500_000
    balance = in_bookings(6, -3, -3)
    assert bound(balance) == Bound(owed=6_000_000, ahead=3_500_000)
    assert -min(choose(balance, [1, 2], [MILLION] * 3)) == 3_500_000


def test_what_is_undone_shows_in_it_and_nothing_else() -> None:
    """A refund that leaves balance even costs nothing; one that does not, what it moved."""
    assert bound(in_bookings(0.5, -0.5)) == bound(in_bookings(0, 0))
    assert bound(in_bookings(1, -1)).bookings == 1.0
    assert bound(in_bookings(1, -1)) + bound(in_bookings(0, 0)) == Bound(owed=1_500_000, ahead=1_500_000)


COACHES = ["ana", "ben", "cy", "dee", "eve"]

pools = st.lists(st.sampled_from(COACHES), min_size=1, max_size=5, unique=True)
doings = st.sampled_from(["choose", "undo", "leave", "join", "adjust", "settle"])


def decide(team: Team, pool: list[str]) -> list[Decision]:
    """Let the team's rule decide among those of a pool who are in it."""
    done = team.turn([coach_id for coach_id in pool if coach_id in team.members])
    return [team.decide(done)] if done else []


@given(st.lists(st.tuples(pools, st.sampled_from(COACHES), st.integers(500_000, 2_000_000)), max_size=60))
def test_choosing_alone_keeps_the_bound(history: list[tuple[list[str], str, int]]) -> None:
    """Nobody is ever off by more than (n - 1)/2 bookings, with any pools and weights that change."""
    team = Team(members={coach_id: Member() for coach_id in COACHES})
    limit = bound([0] * len(COACHES))
    for pool, coach_id, weight in history:
        team.members[coach_id].weight = weight
        decide(team, pool)
        check([credit for credit, _ in team.standings().values()], limit)


@given(st.lists(st.tuples(doings, pools, st.integers(0)), max_size=80))
def test_whatever_moves_credits_choosing_does_not_widen_the_bound(
    history: list[tuple[str, list[str], int]],
) -> None:
    """Undoing old decisions, leaving, joining, adjusting: the model asserts it at every step."""
    team = Team(members={coach_id: Member() for coach_id in COACHES})
    made: list[list[Decision]] = []
    for what, pool, place in history:
        member = pool[0] in team.members and len(team.members) > 1
        if what == "choose":
            made.append(decide(team, pool))
        elif what == "undo" and made:
            team.reverse(made.pop(place % len(made)))
        elif what == "leave" and member:
            team.leave(pool[0])
        elif what == "adjust" and member:
            team.adjust(pool[0], place % (3 * MILLION) - MILLION)
        elif what == "settle" and member:
            team.settle(pool[0])
        elif what == "join":
            team.join(pool[0])


def test_undoing_the_latest_decision_is_as_if_it_had_not_been_made() -> None:
    """Credits, and who is next in a tie, are exactly as before, so it costs nothing."""
    team = Team(members={coach_id: Member() for coach_id in COACHES})
    for pool in (COACHES[:3], COACHES[1:], COACHES):
        decide(team, pool)
    before = team.standings()
    team.reverse(decide(team, COACHES[2:]))
    assert team.standings() == before


def test_undoing_an_older_decision_can_pass_the_bound() -> None:
    """Of two coaches one can be a whole booking off, where choosing alone keeps both within half a one."""
    team = Team(members={coach_id: Member() for coach_id in COACHES[:2]})
    decisions = [decide(team, COACHES[:2]) for _ in range(3)]
    assert [made[0].done.chosen for made in decisions] == ["ana", "ben", "ana"]
    team.reverse(decisions[1])
    assert [team.of(coach_id).credit for coach_id in COACHES[:2]] == [-MILLION, MILLION]
