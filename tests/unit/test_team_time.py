"""The time of a team, of any size."""

import random
from array import array
from math import inf

import pytest

from fairslot.coach_time.team_time import Rules, TeamTime, Window

SIZE = 16
RULES = Rules(count=2, before=1, after=2)


def team(coaches: int) -> TeamTime:
    """Return a team without rules yet, with full days and calendars that were never read here and there."""
    chance = random.Random(coaches)  # noqa: S311 - the same team every time
    width = SIZE * 8
    window = Window(first=800, size=SIZE)
    inner = ((1 << width - Window.BEFORE - Window.AFTER) - 1) << Window.AFTER  # margins are free of starts
    rows = [(chance.getrandbits(width) | chance.getrandbits(width)) & inner for _ in range(coaches)]
    return TeamTime(
        calendar_id="cal",
        window=window,
        coaches=[f"coach-{number:03}" for number in range(coaches)],
        free=bytearray(b"".join(row.to_bytes(SIZE) for row in rows)),
        open=bytearray(b"".join((row | row >> 1).to_bytes(SIZE) for row in rows)),
        full=dict.fromkeys(range(0, coaches, 5), 255 << 84),
        read_at=array("d", [chance.choice([inf, 0.0, 1_000.0, 2_000.0]) for _ in range(coaches)]),
        failing=set(),
        snapshot="",
        team_snapshot="",
    )


@pytest.mark.parametrize("coaches", [0, 1, 63, 64, 65, 300])
def test_the_counts_of_a_team_are_those_of_its_coaches(coaches: int) -> None:
    """However many are worked on at once; who is free is the same who are counted."""
    found = team(coaches)

    found.follow(RULES, [])

    starts = [found._starts_of(number) for number in range(coaches)]  # noqa: SLF001 - how one coach is followed
    width = found.window.width
    assert found.counts == [sum(one >> width - 1 - place & 1 for one in starts) for place in range(width)]
    assert coaches == 0 or any(found.counts)
    free = found.free_coaches()
    for place in range(width):
        assert free(found.window.first + place) == [
            coach for coach, one in zip(found.coaches, starts, strict=True) if one >> width - 1 - place & 1
        ]


def test_what_the_readings_say_follows_them() -> None:
    """The oldest of them, and whether one is missing, also after a change."""
    found = team(20)
    found.follow(RULES, [])
    assert (found.has_unread, found.oldest_reading) == (True, 1_000.0)

    for number, coach in enumerate(found.coaches):
        row = {"coach_id": coach, "of_days": False, "is_failing": False, "read_at": 3_000.0 + number}
        found.follow(RULES, [row])

    assert (found.has_unread, found.oldest_reading) == (False, 3_000.0)
