"""Those of a team who meet what a request requires: the team's time, told of them alone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from fairslot.domain.columns import column_sums

if TYPE_CHECKING:
    from fairslot.coach_time.team_time import TeamTime


@dataclass(kw_only=True)
class TeamPart:
    """Some coaches of a team by their numbers. `counts`: how many of them could take each start."""

    team: "TeamTime" = field(repr=False)
    numbers: frozenset[int]
    counts: list[int]

    @classmethod
    def of(cls, team: "TeamTime", numbers: frozenset[int], starts: int) -> "TeamPart":
        """Return a part of a team, given the bookable starts of all its coaches, row after row."""
        size, everybody = team.window.size, range(len(team.coaches))
        rows = b"".join((b"\xff" if number in numbers else b"\0") * size for number in everybody)
        counts = column_sums(starts & int.from_bytes(rows), len(everybody), team.window.width)
        return cls(team=team, numbers=numbers, counts=list(counts))

    @property
    def has_unread(self) -> bool:
        """Whether a coach's external calendar has never been read."""
        return any(self.team.is_unread(number) for number in self.numbers)

    @property
    def is_failing(self) -> bool:
        """Whether the last reading of a coach's calendar failed."""
        return any(self.team.coaches[number] in self.team.failing for number in self.numbers)

    @property
    def oldest_reading(self) -> float | None:
        """The oldest reading of an external calendar in seconds, None if there is none."""
        read = (self.team.read_at[number] for number in self.numbers if not self.team.is_unread(number))
        oldest = min(read, default=inf)
        return None if oldest == inf else oldest

    def free_coaches(self) -> Callable[[int], list[str]]:
        """Return what tells who of them could take an appointment that starts at a slot, by their ids."""
        return self.team.free_coaches(self.numbers)
