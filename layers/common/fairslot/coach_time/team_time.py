"""The time of a calendar's team in a window of slots, and how many coaches could take each start."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from math import inf
from operator import sub
from typing import Any

from fairslot.coach_time.team_bits import BLOCK, Part, TeamBits
from fairslot.coach_time.team_rules import Rules
from fairslot.domain.slots import slice_of, slot_from, span

_MOST_PARTS = 4  # that are kept of a team: those asked for last


@dataclass(kw_only=True)
class TeamTime(TeamBits):
    """A team's slots as of a database snapshot, and how many coaches could take each start.

    `version` counts the changes of what can be booked; `texts` is for what is made of it. `whole` are all
    coaches, None until somebody asks how many could take a start, and `parts` those who meet requirements
    that were asked for.
    """

    calendar_id: str
    coaches: list[str]
    failing: set[str]
    snapshot: str
    team_snapshot: str
    whole: Part | None = None
    version: int = 0
    texts: dict[Hashable, Any] = field(default_factory=dict)
    parts: dict[tuple[str, ...], Part] = field(default_factory=dict)
    _numbers: dict[str, int] | None = None

    @property
    def has_unread(self) -> bool:
        """Whether a coach's external calendar has never been read."""
        return self.readings()[0]

    @property
    def is_failing(self) -> bool:
        """Whether the last reading of a coach's calendar failed."""
        return bool(self.failing)

    @property
    def oldest_reading(self) -> float | None:
        """The oldest reading of an external calendar in seconds, None if there is none."""
        oldest = self.readings()[1]
        return None if oldest == inf else oldest

    def set_full(self, coaches: Sequence[str], rows: bytes) -> None:
        """Set the slots of days at their maximum of these coaches, row after row."""
        size = self.window.size
        for place, coach_id in enumerate(coaches):
            self.full[self._by_id()[coach_id]] = int.from_bytes(rows[place * size : (place + 1) * size])

    def set_closed(self, periods: Iterable[tuple[str, int, int]]) -> None:
        """Set the weeks and months that admit no appointment: coach, and slots [first, end)."""
        for coach_id, first, end in periods:
            if coach_id in self._by_id():
                number = self._by_id()[coach_id]
                slots = span(first - self.window.first, end - first, self.window.width)
                self.closed[number] = self.closed.get(number, 0) | slots

    def follow(self, rules: Rules, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take over what changed: the entries `moved` of engine.team_changes()."""
        moved = [row for row in rows if row["coach_id"] in self._by_id()]
        if rules != self.rules:
            self.rules = rules
            for coach_id, own in _by_coach(moved):
                self._update(self._by_id()[coach_id], own)
            self.version += 1
            self.whole = None
            self.parts.clear()
            return
        for coach_id, own in _by_coach(moved):
            number = self._by_id()[coach_id]
            before = self.starts_of(number)
            self._update(number, own)
            self._count(number, before, self.starts_of(number))

    def select(self, requires: tuple[str, ...], coaches: Iterable[str]) -> None:
        """Keep which coaches meet requirements; follow() comes first."""
        by_id = self._by_id()
        self.parts[requires] = self.counted(frozenset([by_id[one] for one in coaches if one in by_id]))
        while len(self.parts) > _MOST_PARTS:
            del self.parts[next(iter(self.parts))]

    @property
    def everybody(self) -> Part:
        """All coaches; follow() comes first."""
        if self.whole is None:
            self.whole = self.counted(range(len(self.coaches)))
        return self.whole

    @property
    def parts_counted(self) -> Sequence[Part]:
        """The parts, and the whole if it was counted."""
        return [*([self.whole] if self.whole else []), *self.parts.values()]

    def counts_at(self, starts: range, now: datetime, part: Part | None = None) -> list[int]:
        """Return how many coaches, of all or of a part, could take each of some starts of the window."""
        first, of = self.window.first, part or self.everybody
        counts = of.counts[starts.start - first : starts.stop - first : starts.step]
        for notice, late in of.late.items():
            soon = starts[: max(0, -(-(_opens(now, notice) - starts.start) // starts.step))]
            counts[: len(soon)] = map(sub, counts, late[soon.start - first : soon.stop - first : soon.step])
        return counts

    def free_coaches(self, now: datetime, only: Collection[int] | None = None) -> Callable[[int], list[str]]:
        """Return what tells who could take an appointment that starts at a slot, by their ids.

        `only` are the numbers of those to tell; None: all.
        """
        size, first, coaches = self.window.size, self.window.first, self.coaches
        rows = b"".join(block.to_bytes(BLOCK * size) for block in self.starts())
        order = sorted(range(len(coaches)) if only is None else only, key=coaches.__getitem__)
        opens = {
            number: _opens(now, notice) for notice, ones in self.own.by_notice().items() for number in ones
        }

        def at(slot: int) -> list[str]:
            column = rows[(slot - first) // 8 :: size]
            bit = 1 << 7 - (slot - first) % 8
            free = [number for number in order if column[number] & bit]
            return [coaches[number] for number in free if opens.get(number, slot) <= slot]

        return at

    def _by_id(self) -> dict[str, int]:
        """Return the coaches' numbers by their ids."""
        if self._numbers is None:
            self._numbers = {one: number for number, one in enumerate(self.coaches)}
        return self._numbers

    def _update(self, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take over a coach's changed days: first all that were there go, then those come that are there."""
        self.closed.pop(number, None)
        self.set_closed((self.coaches[number], *period) for period in rows[0]["closed"] or ())
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
        self.free[where] = (self.row(self.free, number) & kept | free).to_bytes(size)
        if self.open:
            self.open[where] = (self.row(self.open, number) & kept | around).to_bytes(size)
        full |= self.full.pop(number, 0) & kept
        if full:
            self.full[number] = full

    def _note_reading(self, number: int, row: Mapping[str, Any]) -> None:
        read_at = inf if row["read_at"] is None else row["read_at"]
        if read_at != self.read_at[number]:
            self.read_at[number] = read_at
            self._oldest = None
        (self.failing.add if row["is_failing"] else self.failing.discard)(row["coach_id"])

    def _count(self, number: int, before: int, after: int) -> None:
        """Correct the counts where the starts of one coach are others now."""
        changed, last = before ^ after, self.window.width - 1
        notice = self.own.notice_of(number)
        counted = [part for part in self.parts_counted if number in part.numbers]
        counts = [one.counts for one in counted] + [one.late.get(notice, []) for one in counted]
        if changed:
            self.version += 1
        while changed:
            top = changed.bit_length() - 1
            changed ^= 1 << top
            by, place = 1 if after >> top & 1 else -1, last - top
            for one in counts:
                if place < len(one):
                    one[place] += by


def _by_coach(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, list[Mapping[str, Any]]]]:
    ordered = sorted(rows, key=lambda row: str(row["coach_id"]))
    return ((coach_id, list(own)) for coach_id, own in groupby(ordered, key=lambda row: str(row["coach_id"])))


def _opens(now: datetime, notice: int) -> int:
    """Return the first slot that a notice in minutes allows."""
    return slot_from(now + timedelta(minutes=notice))
