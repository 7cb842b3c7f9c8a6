"""The bits of a team's slots, and the starts that they admit."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import batched
from math import inf
from typing import TYPE_CHECKING

from fairslot.coach_time.team_rules import MINUTES, OwnRules, Rules, Window
from fairslot.domain.columns import column_sums, gathered, scatter
from fairslot.domain.slots import runs

if TYPE_CHECKING:
    from array import array

NEVER = 0.0
BLOCK = 64  # rows that are worked on at once: a power of two, and few enough for the processor's caches
# More slots than lie between a team's first slot and the moment of an answer.
_REACH = 128


@dataclass(kw_only=True)
class TeamBits:
    """The slots of a team: a row of bits a coach, `window.size` bytes each.

    `free` admits appointments, `open` their buffers (empty without). By the coach's number: `full` has
    the slots of days at their maximum, `closed` those of weeks and months that admit no appointment of the
    calendar, `own` the coach's own rules. `read_at` is when the coach's external calendar was
    read, in seconds: infinity without one, 0 before the first reading.
    """

    window: Window
    free: bytearray
    open: bytearray
    full: dict[int, int]
    closed: dict[int, int]
    own: OwnRules
    read_at: "array[float]"
    rules: Rules | None = None
    _oldest: tuple[bool, float] | None = None

    def readings(self) -> tuple[bool, float]:
        """Return whether a calendar was never read, and the oldest reading of the others."""
        if self._oldest is None:
            oldest = min(self.read_at, default=inf)
            if oldest == NEVER:
                oldest = min((one for one in self.read_at if one != NEVER), default=inf)
                self._oldest = True, oldest
            else:
                self._oldest = False, oldest
        return self._oldest

    def counted(self, starts: Iterable[int]) -> tuple[list[int], dict[int, list[int]]]:
        """Return `counts` and `late` of starts, which are given as by starts()."""
        size, late = self.window.size, dict[int, list[int]]()
        if self.own.notice:
            starts = list(starts)
            rows = b"".join(block.to_bytes(BLOCK * size) for block in starts)
            for notice, numbers in self.own.by_notice().items():
                reach = min(size, (notice // MINUTES + _REACH) // 8)
                soon = (
                    gathered(rows, size, some, reach, BLOCK) for some in batched(numbers, BLOCK, strict=False)
                )
                late[notice] = column_sums(soon, BLOCK, reach * 8)
        return column_sums(starts, BLOCK, size * 8), late

    def starts(self) -> Iterator[int]:
        """Yield all bookable starts if nobody had a notice, row after row, BLOCK rows in an integer.

        What runs over the end of a row is in its margins, and so is what a shift brings in from the next one.
        """
        rules, size = self.rules, BLOCK * self.window.size
        assert rules is not None  # noqa: S101 - follow() comes first
        shut, around = self._shut(), self._around(rules)
        for begin in range(0, len(self.free), size):
            bits = runs(block_of(self.free, begin, size), rules.count)
            if rules.has_buffers:
                bits &= rules.around(block_of(self.open, begin, size))
            if around:
                bits &= block_of(around, begin, size)
            yield bits & ~block_of(shut, begin, size) if shut else bits

    def _around(self, rules: Rules) -> bytearray:
        """Return the starts that own buffers allow, row after row; empty if nobody has larger ones."""
        size, others = self.window.size, self.own.by_rules(rules)
        rows = bytearray(b"\xff" * len(self.free)) if others else bytearray()
        for own, numbers in others.items():
            for some in batched(numbers, BLOCK, strict=False):
                scatter(rows, size, some, own.around(gathered(self.open, size, some)))
        return rows

    def _shut(self) -> bytearray:
        """Return the starts that coaches have for no appointment, row after row; empty if there are none."""
        size, shut = self.window.size, bytearray()
        if self.full or self.closed or self.readings()[0]:
            shut = bytearray(len(self.free))
            for number in {*self.full, *self.closed}:
                shut[number * size : (number + 1) * size] = self._shut_of(number).to_bytes(size)
            for number, read_at in enumerate(self.read_at):
                if read_at == NEVER:
                    shut[number * size : (number + 1) * size] = b"\xff" * size
        return shut

    def _shut_of(self, number: int) -> int:
        return self.full.get(number, 0) | self.closed.get(number, 0)

    def starts_of(self, number: int) -> int:
        """Return the bookable starts of one coach."""
        if self.read_at[number] == NEVER:
            return 0
        rules = self.rules
        assert rules is not None  # noqa: S101 - follow() comes first
        starts = runs(self.row(self.free, number), rules.count)
        own = self.own.rules_of(number, rules)
        if own.has_buffers:
            starts &= own.around(self.row(self.open, number))
        return starts & ~self._shut_of(number)

    def row(self, rows: bytearray, number: int) -> int:
        size = self.window.size
        return int.from_bytes(rows[number * size : (number + 1) * size])


def block_of(rows: bytearray, begin: int, size: int) -> int:
    """Return `size` bytes of rows, with empty ones at the end where there are no more."""
    part = rows[begin : begin + size]
    return int.from_bytes(part) << (size - len(part)) * 8
