"""The time of a team, of any size."""

import random
from array import array
from math import inf

import pytest

from fairslot.coach_time.team_rules import MINUTES, OwnRules, Rules, Window
from fairslot.coach_time.team_time import TeamTime
from fairslot.domain.slots import instant_of

SIZE = 16
FIRST = 800
RULES = Rules(count=2, before=1, after=2)
NOW = instant_of(FIRST + Window.BEFORE)
NOBODYS = OwnRules()


def some_rules(coaches: int) -> OwnRules:
    """Return buffers and notices for a part of the coaches."""
    chance = random.Random(coaches + 1)  # noqa: S311 - the same team every time
    before, after, notice = (
        array("i", [chance.choice(values) for _ in range(coaches)])
        for values in ([0, 0, 2, 5], [0, 3], [0, 0, 60, 120])
    )
    return OwnRules(before=before, after=after, notice=notice)


def team(coaches: int, own: OwnRules = NOBODYS) -> TeamTime:
    """Return a team without rules yet, with full days and calendars that were never read here and there."""
    chance = random.Random(coaches)  # noqa: S311 - the same team every time
    width = SIZE * 8
    window = Window(first=FIRST, size=SIZE)
    inner = ((1 << width - Window.BEFORE - Window.AFTER) - 1) << Window.AFTER  # margins are free of starts
    rows = [(chance.getrandbits(width) | chance.getrandbits(width)) & inner for _ in range(coaches)]
    return TeamTime(
        calendar_id="cal",
        window=window,
        coaches=[f"coach-{number:03}" for number in range(coaches)],
        free=bytearray(b"".join(row.to_bytes(SIZE) for row in rows)),
        open=bytearray(b"".join((row | row >> 1).to_bytes(SIZE) for row in rows)),
        full=dict.fromkeys(range(0, coaches, 5), 255 << 84),
        closed=dict.fromkeys(range(0, coaches, 7), 63 << 90),
        own=own,
        read_at=array("d", [chance.choice([inf, 0.0, 1_000.0, 2_000.0]) for _ in range(coaches)]),
        failing=set(),
        snapshot="",
        team_snapshot="",
    )


@pytest.mark.parametrize("has_own", [False, True])
@pytest.mark.parametrize("coaches", [0, 1, 63, 64, 65, 300])
def test_the_counts_of_a_team_are_those_of_its_coaches(coaches: int, *, has_own: bool) -> None:
    """However many are worked on at once; who is free is the same who are counted."""
    found = team(coaches, some_rules(coaches) if has_own else NOBODYS)

    found.follow(RULES, [])

    starts = [found.starts_of(number) for number in range(coaches)]
    width = found.window.width
    assert found.everybody.counts == [
        sum(one >> width - 1 - place & 1 for one in starts) for place in range(width)
    ]
    assert coaches == 0 or has_own or any(found.everybody.counts)
    free = found.free_coaches(NOW)
    places = range(Window.BEFORE, width - Window.AFTER)
    named = [free(FIRST + place) for place in places]
    assert named == [
        [
            coach
            for number, (coach, one) in enumerate(zip(found.coaches, starts, strict=True))
            if one >> width - 1 - place & 1
            and place - Window.BEFORE >= found.own.notice_of(number) // MINUTES
        ]
        for place in places
    ]
    assert found.counts_at(range(FIRST + places.start, FIRST + places.stop), NOW) == list(map(len, named))


def test_what_the_readings_say_follows_them() -> None:
    """The oldest of them, and whether one is missing, also after a change."""
    found = team(20)
    found.follow(RULES, [])
    assert (found.has_unread, found.oldest_reading) == (True, 1_000.0)

    for number, coach in enumerate(found.coaches):
        row = {
            "coach_id": coach,
            "of_days": False,
            "is_failing": False,
            "read_at": 3_000.0 + number,
            "closed": None,
        }
        found.follow(RULES, [row])

    assert (found.has_unread, found.oldest_reading) == (False, 3_000.0)
