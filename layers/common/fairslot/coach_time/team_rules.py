"""Of which slots a team's time is known, and what of a calendar and its coaches decides about them."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fairslot.domain.slots import SLOT_SECONDS, runs

MINUTES = SLOT_SECONDS // 60


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
            calendar[name] // MINUTES for name in ("slot_duration", "buffer_before", "buffer_after")
        )
        return cls(count=count, before=before, after=after)

    def longer(self, before: int, after: int) -> "Rules":
        """Return these rules for a coach with buffers of their own: the larger ones hold."""
        return Rules(count=self.count, before=max(self.before, before), after=max(self.after, after))

    def around(self, open_slots: int) -> int:
        """Return at which of the slots an appointment could start for all that its buffers need."""
        return runs(open_slots, self.before + self.count + self.after) >> self.before


@dataclass(frozen=True, kw_only=True)
class OwnRules:
    """Buffers, in slots, and notices, in minutes, of the coaches of a team, by their numbers.

    The calendar's hold where they are larger. What nobody has is empty.
    """

    before: "array[int]" = field(default_factory=lambda: array("i"))
    after: "array[int]" = field(default_factory=lambda: array("i"))
    notice: "array[int]" = field(default_factory=lambda: array("i"))

    def __len__(self) -> int:
        """Return how many numbers there are."""
        return len(self.before) + len(self.after) + len(self.notice)

    def rules_of(self, number: int, rules: Rules) -> Rules:
        """Return the rules of a calendar for a coach."""
        return rules.longer(self.before[number], self.after[number]) if self.before else rules

    def notice_of(self, number: int) -> int:
        """Return a coach's notice."""
        return self.notice[number] if self.notice else 0

    def least(self, rules: Rules) -> Rules:
        """Return the rules of a calendar that hold for every coach."""
        return rules.longer(min(self.before), min(self.after)) if self.before else rules

    def by_rules(self, rules: Rules) -> Mapping[Rules, Sequence[int]]:
        """Return the numbers of the coaches for whom more than least() of these rules holds, by that."""
        found = grouped(zip(self.before, self.after, strict=True))
        longer: dict[Rules, list[int]] = {}
        for buffers, numbers in found.items():
            longer.setdefault(rules.longer(*buffers), []).extend(numbers)
        longer.pop(self.least(rules), None)
        return longer

    def by_notice(self) -> Mapping[int, Sequence[int]]:
        """Return the numbers of the coaches who have a notice, by the notice."""
        found = grouped(self.notice)
        found.pop(0, None)
        return found


def grouped[T](values: Iterable[T]) -> dict[T, list[int]]:
    """Return by each value at which places it is."""
    found: dict[T, list[int]] = {}
    for place, value in enumerate(values):
        found.setdefault(value, []).append(place)
    return found
