"""The bits of a team's slots, and the starts that they admit."""

from collections.abc import Collection, Iterator, Sequence
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


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some coaches of a team, or all, by their numbers, and how many of them could take each start.

    `counts` has how many could if nobody had a notice, and `late` how many of those with a notice, by its
    minutes: as far as it reaches.
    """

    numbers: Collection[int]
    counts: list[int]
    late: dict[int, list[int]]


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

    def counted(self, numbers: Collection[int]) -> Part:
        """Count the starts of some coaches."""
        size, starts = self.window.size, list(self.starts())
        has_all = len(numbers) == len(self.read_at)
        if has_all and not self.own.notice:
            return Part(numbers=numbers, counts=column_sums(starts, BLOCK, size * 8), late={})
        rows = b"".join([block.to_bytes(BLOCK * size) for block in starts])
        counts = column_sums(starts, BLOCK, size * 8) if has_all else _counted(rows, size, [*numbers], size)
        late = dict[int, list[int]]()
        for notice, those in self.own.by_notice().items():
            some = those if has_all else [number for number in those if number in numbers]
            reach = min(size, (notice // MINUTES + _REACH) // 8)
            # Often all have the same notice.
            is_everybody = len(some) == len(numbers)
            late[notice] = counts[: reach * 8] if is_everybody else _counted(rows, size, some, reach)
        return Part(numbers=numbers, counts=counts, late=late)

    def starts(self) -> Iterator[int]:
        """Yield all bookable starts if nobody had a notice, row after row, BLOCK rows in an integer.

        What runs over the end of a row is in its margins, and so is what a shift brings in from the next one.
        """
        rules, size = self.rules, BLOCK * self.window.size
        assert rules is not None  # noqa: S101 - follow() comes first
        shut, around, least = self._shut(), self._around(rules), self.own.least(rules)
        for begin in range(0, len(self.free), size):
            bits = runs(block_of(self.free, begin, size), rules.count)
            if least.has_buffers:
                bits &= least.around(block_of(self.open, begin, size))
            if around:
                bits &= block_of(around, begin, size)
            yield bits & ~block_of(shut, begin, size) if shut else bits

    def _around(self, rules: Rules) -> bytearray:
        """Return the starts that larger buffers than everybody's allow; empty if nobody has any."""
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


def _counted(rows: bytes, size: int, numbers: Sequence[int], width: int) -> list[int]:
    """Return how many of some rows of `size` bytes have each bit of the first `width` bytes."""
    count = min(BLOCK, 1 << max(0, len(numbers) - 1).bit_length())
    blocks = (gathered(rows, size, some, width, count) for some in batched(numbers, count, strict=False))
    return column_sums(blocks, count, width * 8)


def block_of(rows: bytearray, begin: int, size: int) -> int:
    """Return `size` bytes of rows, with empty ones at the end where there are no more."""
    part = rows[begin : begin + size]
    return int.from_bytes(part) << (size - len(part)) * 8
