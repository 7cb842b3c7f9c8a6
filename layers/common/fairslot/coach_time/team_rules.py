"""Of which slots a team's time is known, and what of a calendar and its coaches decides about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fairslot.domain.slots import SLOT_SECONDS, runs

_MINUTES = SLOT_SECONDS // 60


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

    def longer(self, own: "OwnRules") -> "Rules":
        """Return these rules for a coach with rules of their own: the larger buffers hold."""
        return Rules(count=self.count, before=max(self.before, own.before), after=max(self.after, own.after))

    def around(self, open_slots: int) -> int:
        """Return at which of the slots an appointment could start for all that its buffers need."""
        return runs(open_slots, self.before + self.count + self.after) >> self.before


@dataclass(frozen=True, kw_only=True)
class OwnRules:
    """Buffers, in slots, and notice, in minutes, of a coach; the calendar's hold where they are larger."""

    before: int
    after: int
    notice: int
