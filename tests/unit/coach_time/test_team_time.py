"""The time of a team in memory: own buffers and notices, full weeks, and counts that follow changes."""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.coach_time.packed_team import pack, unpack
from fairslot.coach_time.team_rules import OwnRules, Rules, Window
from fairslot.coach_time.team_time import TeamTime
from fairslot.domain.slots import slot_of
from tests.support.clock import MINUTE, NOW

FIRST = slot_of(NOW)
SLOTS = 40
WINDOW = Window.of(FIRST, FIRST + SLOTS)
HALF_HOUR = Rules(count=2, before=0, after=0)


def team_of(busy: Sequence[set[int]], own: OwnRules | None = None, rules: Rules = HALF_HOUR) -> TeamTime:
    """Return a team whose coaches are free but for some slots, counted from the first start on."""
    rows = b"".join(row_of(one) for one in busy)
    team = TeamTime(
        calendar_id="cal",
        window=WINDOW,
        coaches=[f"coach-{number}" for number in range(len(busy))],
        free=bytearray(rows),
        open=bytearray(rows),
        full={},
        closed={},
        own=own or OwnRules(),
        read_at=array("d", [float("inf")] * len(busy)),
        failing=set(),
        snapshot="1:1:",
        team_snapshot="1:1:",
    )
    team.follow(rules, [])
    return team


def row_of(busy: set[int]) -> bytes:
    """Return a coach's row: 1 is free."""
    free = (FIRST - WINDOW.first + slot for slot in busy)
    return ((1 << WINDOW.width) - 1 - sum(1 << WINDOW.width - 1 - one for one in free)).to_bytes(WINDOW.size)


def starts_of(team: TeamTime, minutes: int = 0) -> list[list[str]]:
    """Return who could take each start so many minutes later, having compared that with the counts."""
    now = NOW + minutes * MINUTE
    named = [team.free_coaches(now)(slot) for slot in range(FIRST, FIRST + SLOTS)]
    assert team.counts_at(range(FIRST, FIRST + SLOTS), now) == list(map(len, named))
    assert team.counts_at(range(FIRST + 1, FIRST + SLOTS, 3), now) == list(map(len, named[1::3]))
    return named


def own_of(before: list[int], after: list[int], notice: list[int]) -> OwnRules:
    """Return rules of coaches."""
    return OwnRules(before=array("i", before), after=array("i", after), notice=array("i", notice))


@pytest.mark.parametrize("kept", [False, True])
def test_each_coach_has_buffers_and_a_notice(*, kept: bool) -> None:
    """Around slot 10, which is busy, and from now on; also after it was kept in bytes."""
    team = team_of([{10}] * 3, own_of([0, 2, 0], [0, 0, 3], [0, 0, 60]))
    if kept:
        team, _ = unpack(pack(team, NOW))
    named = starts_of(team)
    assert [slot for slot in range(20) if "coach-0" not in named[slot]] == [9, 10]
    assert [slot for slot in range(20) if "coach-1" not in named[slot]] == [9, 10, 11, 12]
    assert [slot for slot in range(20) if "coach-2" not in named[slot]] == [0, 1, 2, 3, 6, 7, 8, 9, 10]
    assert "coach-2" not in starts_of(team, minutes=1)[4]


def test_the_calendars_buffers_hold_where_they_are_larger() -> None:
    """Each side by itself."""
    team = team_of([{10}] * 2, own_of([3, 0], [0, 1], [0, 0]), Rules(count=1, before=1, after=2))
    named = starts_of(team)
    assert [slot for slot in range(20) if "coach-0" not in named[slot]] == [8, 9, 10, 11, 12, 13]
    assert [slot for slot in range(20) if "coach-1" not in named[slot]] == [8, 9, 10, 11]


def moved(coach_id: str, closed: list[list[int]] | None) -> Mapping[str, Any]:
    """Return that the weeks and months of a coach changed."""
    about = {"coach_id": coach_id, "of_days": False, "read_at": None, "is_failing": False}
    return {**about, "changed_slot": None, "first_slot": None, "closed": closed}


def test_a_closed_week_is_taken_over_and_opened_again() -> None:
    """With the counts, and without touching anybody else."""
    team = team_of([set(), set()], own_of([0, 0], [0, 0], [30, 0]))
    whole, version = starts_of(team), team.version
    week = [[FIRST - 600, FIRST + 5]]
    team.follow(HALF_HOUR, [moved("coach-0", week)])
    assert [("coach-0" in one) for one in starts_of(team)[:8]] == [False] * 5 + [True] * 3
    assert team.version > version
    team.follow(HALF_HOUR, [moved("coach-0", None)])
    assert starts_of(team) == whole


@given(st.data())
def test_counts_follow_as_if_counted_anew(data: st.DataObject) -> None:
    """Whatever closes and opens, one after another."""
    few = st.lists(st.sampled_from([0, 0, 1, 4, 16]), min_size=3, max_size=3)
    notices = st.lists(st.sampled_from([0, 7, 60, 300]), min_size=3, max_size=3)
    own = data.draw(st.builds(own_of, few, few, notices))
    rules = data.draw(st.sampled_from([HALF_HOUR, Rules(count=3, before=1, after=0)]))
    busy = data.draw(st.lists(st.sets(st.integers(0, 50), max_size=3), min_size=3, max_size=3))
    team = team_of(busy, own, rules)
    for _ in range(data.draw(st.integers(1, 3))):
        begin = FIRST + data.draw(st.integers(-5, 30))
        closed = data.draw(
            st.sampled_from([None, [[begin, begin + 9]], [[0, begin], [begin + 3, begin + 4]]])
        )
        team.follow(rules, [moved(data.draw(st.sampled_from(team.coaches)), closed)])
    anew = team_of(busy, own, rules)
    anew.closed = dict(team.closed)
    anew.rules = None
    anew.follow(rules, [])
    for minutes in (0, 8, 100):
        assert starts_of(team, minutes) == starts_of(anew, minutes)
