"""The time of a calendar's team in a window of slots, and how many coaches could take each start."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from fairslot.domain.columns import column_sums
from fairslot.domain.slots import SLOT_SECONDS, runs, slice_of, span

if TYPE_CHECKING:
    from array import array

_NEVER = 0.0
_MINUTES = SLOT_SECONDS // 60
_BLOCK = 64  # rows that are worked on at once: a power of two, and few enough for the processor's caches


@dataclass(frozen=True, kw_only=True)
class Window:
    """The slots of which a team's time is known: `size` bytes from slot `first` on, a multiple of 8.

    The margins hold the buffer before the first start, and the last appointment with its buffers.
    """

    first: int
    size: int

    BEFORE: ClassVar = 16  # the longest buffer
    AFTER: ClassVar = 80  # the longest appointment with two buffers

    @classmethod
    def of(cls, first: int, end: int) -> "Window":
        """Return the window in which every start of [first, end) can be judged."""
        begin = (first - cls.BEFORE) & -8
        return cls(first=begin, size=-(-(max(end, first) + cls.AFTER - begin) // 8))

    @property
    def width(self) -> int:
        """The number of slots."""
        return self.size * 8

    @property
    def end(self) -> int:
        """The slot after the last."""
        return self.first + self.width

    def admits(self, first: int, end: int) -> bool:
        """Tell whether every start of [first, end) can be judged."""
        return first - self.BEFORE >= self.first and end + self.AFTER <= self.end


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What of a calendar decides which slots an appointment takes, in slots."""

    count: int
    before: int
    after: int

    @property
    def has_buffers(self) -> bool:
        """Whether an appointment has one."""
        return bool(self.before or self.after)

    @classmethod
    def of(cls, calendar: Mapping[str, Any]) -> "Rules":
        """Return the rules of a calendar's row."""
        count, before, after = (
            calendar[name] // _MINUTES for name in ("slot_duration", "buffer_before", "buffer_after")
        )
        return cls(count=count, before=before, after=after)


@dataclass(kw_only=True)
class TeamTime:
    """A team's time: a row of bits a coach, `window.size` bytes each, as of a database snapshot.

    `free` admits appointments, `open` their buffers (empty without buffers); `full` has the slots of days at
    their maximum, by the coach's number. `read_at` is when the coach's external calendar was
    read, in seconds: infinity without one, 0 before the first reading. `version` counts the
    changes of what can be booked; `texts` is for what is made of it.
    """

    calendar_id: str
    window: Window
    coaches: list[str]
    free: bytearray
    open: bytearray
    full: dict[int, int]
    read_at: "array[float]"
    failing: set[str]
    snapshot: str
    team_snapshot: str
    rules: Rules | None = None
    counts: list[int] = field(default_factory=list)
    version: int = 0
    texts: dict[Hashable, Any] = field(default_factory=dict)
    _numbers: dict[str, int] | None = None
    _oldest: tuple[bool, float] | None = None

    @property
    def has_unread(self) -> bool:
        """Whether a coach's external calendar has never been read."""
        return self._readings()[0]

    @property
    def is_failing(self) -> bool:
        """Whether the last reading of a coach's calendar failed."""
        return bool(self.failing)

    @property
    def oldest_reading(self) -> float | None:
        """The oldest reading of an external calendar in seconds, None if there is none."""
        oldest = self._readings()[1]
        return None if oldest == inf else oldest

    def set_full(self, coaches: Sequence[str], rows: bytes) -> None:
        """Set the slots of days at their maximum of these coaches, row after row."""
        size = self.window.size
        for place, coach_id in enumerate(coaches):
            self.full[self._by_id()[coach_id]] = int.from_bytes(rows[place * size : (place + 1) * size])

    def follow(self, rules: Rules, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take over what changed: the entries `moved` of engine.team_changes()."""
        moved = [row for row in rows if row["coach_id"] in self._by_id()]
        if rules != self.rules:
            self.rules = rules
            for coach_id, own in _by_coach(moved):
                self._update(self._by_id()[coach_id], own)
            self.counts = column_sums(self._starts(), _BLOCK, self.window.width)
            self.version += 1
            return
        for coach_id, own in _by_coach(moved):
            number = self._by_id()[coach_id]
            before = self._starts_of(number)
            self._update(number, own)
            self._count(before, self._starts_of(number))

    def free_coaches(self) -> Callable[[int], list[str]]:
        """Return what tells who could take an appointment that starts at a slot, by their ids."""
        size, first, coaches = self.window.size, self.window.first, self.coaches
        rows = b"".join(block.to_bytes(_BLOCK * size) for block in self._starts())
        order = sorted(range(len(coaches)), key=coaches.__getitem__)

        def at(slot: int) -> list[str]:
            column = rows[(slot - first) // 8 :: size]
            bit = 1 << 7 - (slot - first) % 8
            return [coaches[number] for number in order if column[number] & bit]

        return at

    def _by_id(self) -> dict[str, int]:
        """Return the coaches' numbers by their ids."""
        if self._numbers is None:
            self._numbers = {one: number for number, one in enumerate(self.coaches)}
        return self._numbers

    def _readings(self) -> tuple[bool, float]:
        """Return whether a calendar was never read, and the oldest reading of the others."""
        if self._oldest is None:
            oldest = min(self.read_at, default=inf)
            if oldest == _NEVER:
                oldest = min((one for one in self.read_at if one != _NEVER), default=inf)
                self._oldest = True, oldest
            else:
                self._oldest = False, oldest
        return self._oldest

    def _starts(self) -> Iterator[int]:
        """Yield the bookable starts of all coaches, row after row, _BLOCK rows in an integer.

        What runs over the end of a row is in its margins, and so is what a shift brings in from the next one.
        """
        shut = self._shut()
        size = _BLOCK * self.window.size
        for begin in range(0, len(self.free), size):
            bits = self._runs(*(_block(rows, begin, size) for rows in (self.free, self.open)))
            yield bits & ~_block(shut, begin, size) if shut else bits

    def _shut(self) -> bytearray:
        """Return the starts that coaches have for no appointment, row after row; empty if there are none."""
        size, shut = self.window.size, bytearray()
        if self.full or self.has_unread:
            shut = bytearray(len(self.free))
            for number, slots in self.full.items():
                shut[number * size : (number + 1) * size] = slots.to_bytes(size)
            for number, read_at in enumerate(self.read_at):
                if read_at == _NEVER:
                    shut[number * size : (number + 1) * size] = b"\xff" * size
        return shut

    def _starts_of(self, number: int) -> int:
        """Return the bookable starts of one coach."""
        if self.read_at[number] == _NEVER:
            return 0
        starts = self._runs(self._row(self.free, number), self._row(self.open, number))
        return starts & ~self.full.get(number, 0)

    def _runs(self, free: int, around: int) -> int:
        rules = self.rules
        assert rules is not None  # noqa: S101 - follow() comes first
        bits = runs(free, rules.count)
        if rules.has_buffers:
            bits &= runs(around, rules.before + rules.count + rules.after) >> rules.before
        return bits

    def _row(self, rows: bytearray, number: int) -> int:
        size = self.window.size
        return int.from_bytes(rows[number * size : (number + 1) * size])

    def _update(self, number: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take over a coach's changed days: first all that were there go, then those come that are there."""
        width, size, first = self.window.width, self.window.size, self.window.first
        gone, free, around, full = 0, 0, 0, 0
        for row in rows:
            self._note_reading(number, row)
            if not row["of_days"]:
                continue
            if row["changed_slot"] is None:
                gone = (1 << width) - 1
            else:
                gone |= span(row["changed_slot"] - first, row["changed_count"], width)
            if row["first_slot"] is not None:
                offset, count = first - row["first_slot"], row["slot_count"]
                day = span(-offset, count, width)
                gone |= day
                free |= slice_of(int(row["free"], 2), len(row["free"]), offset, width) & day
                around |= slice_of(int(row["open"], 2), len(row["open"]), offset, width) & day
                full |= day if row["is_full"] else 0
        kept = ~gone
        where = slice(number * size, (number + 1) * size)
        self.free[where] = (self._row(self.free, number) & kept | free).to_bytes(size)
        if self.open:
            self.open[where] = (self._row(self.open, number) & kept | around).to_bytes(size)
        full |= self.full.pop(number, 0) & kept
        if full:
            self.full[number] = full

    def _note_reading(self, number: int, row: Mapping[str, Any]) -> None:
        read_at = inf if row["read_at"] is None else row["read_at"]
        if read_at != self.read_at[number]:
            self.read_at[number] = read_at
            self._oldest = None
        (self.failing.add if row["is_failing"] else self.failing.discard)(row["coach_id"])

    def _count(self, before: int, after: int) -> None:
        """Correct the counts where the starts of one coach are others now."""
        changed, last = before ^ after, self.window.width - 1
        if changed:
            self.version += 1
        while changed:
            top = changed.bit_length() - 1
            changed ^= 1 << top
            self.counts[last - top] += 1 if after >> top & 1 else -1


def _block(rows: bytearray, begin: int, size: int) -> int:
    """Return `size` bytes of rows, with empty ones at the end where there are no more."""
    part = rows[begin : begin + size]
    return int.from_bytes(part) << (size - len(part)) * 8


def _by_coach(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, list[Mapping[str, Any]]]]:
    ordered = sorted(rows, key=lambda row: str(row["coach_id"]))
    return ((coach_id, list(own)) for coach_id, own in groupby(ordered, key=lambda row: str(row["coach_id"])))
