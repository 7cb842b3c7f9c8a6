"""How far the credits of a team can be off, whoever is free, whatever is undone, whoever comes and goes."""

from hypothesis import given
from hypothesis import strategies as st

from fairslot.domain.fair_share import MILLION, bound
from tests.integration.model_team import Decision, Member, Team, excess

COACHES = ["ana", "ben", "cy", "dee", "eve"]

pools = st.lists(st.sampled_from(COACHES), min_size=1, max_size=5, unique=True)
weights = st.integers(500_000, 2_000_000)


def choose(team: Team, pool: list[str]) -> list[Decision]:
    """Let the team's rule decide among those of a pool who are in it."""
    done = team.turn([coach_id for coach_id in pool if coach_id in team.members])
    return [team.decide(done)] if done else []


@given(st.lists(st.tuples(pools, st.sampled_from(COACHES), weights), max_size=60))
def test_choosing_alone_keeps_the_bound(history: list[tuple[list[str], str, int]]) -> None:
    """Nobody is ever off by more than (n - 1)/2 bookings, with any pools and weights that change."""
    team = Team(members={coach_id: Member() for coach_id in COACHES})
    for pool, coach_id, weight in history:
        team.members[coach_id].weight = weight
        choose(team, pool)
        assert excess(member.credit for member in team.members.values()) == 0
        assert all(abs(member.credit) <= bound(len(COACHES)) * MILLION for member in team.members.values())


@given(
    st.lists(
        st.tuples(st.sampled_from(["choose", "undo", "leave", "join"]), pools, st.integers(0)), max_size=80
    )
)
def test_what_is_undone_costs_a_booking_at_most(history: list[tuple[str, list[str], int]]) -> None:
    """Undoing old decisions and leaving push credits out of the bound by so much each; choosing never does.

    The model asserts it at every step: a reversal by less than a booking, a leaver of n by (n - 2)/2.
    """
    team = Team(members={coach_id: Member() for coach_id in COACHES})
    made: list[list[Decision]] = []
    for what, pool, place in history:
        if what == "choose":
            made.append(choose(team, pool))
        elif what == "undo" and made:
            team.reverse(made.pop(place % len(made)))
        elif what == "leave" and pool[0] in team.members and len(team.members) > 1:
            team.leave(pool[0])
        elif what == "join":
            team.join(pool[0])


def test_undoing_the_latest_decision_is_as_if_it_had_not_been_made() -> None:
    """Credits, and who is next in a tie, are exactly as before, so it costs nothing."""
    team = Team(members={coach_id: Member() for coach_id in COACHES})
    for pool in (COACHES[:3], COACHES[1:], COACHES):
        choose(team, pool)
    before = {coach_id: (member.credit, member.last) for coach_id, member in team.members.items()}
    team.reverse(choose(team, COACHES[2:]))
    assert {coach_id: (member.credit, member.last) for coach_id, member in team.members.items()} == before


def test_undoing_an_older_decision_can_pass_the_bound() -> None:
    """Of two coaches one can be a whole booking off, where choosing alone keeps both within half a one."""
    team = Team(members={coach_id: Member() for coach_id in COACHES[:2]})
    decisions = [choose(team, COACHES[:2]) for _ in range(3)]
    assert [made[0].done.chosen for made in decisions] == ["ana", "ben", "ana"]
    team.reverse(decisions[1])
    assert {coach_id: member.credit for coach_id, member in team.members.items()} == {
        "ana": -MILLION,
        "ben": MILLION,
    }
