"""Those of a team who meet what a request requires and may be booked: the team's time, told of them alone."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf

from fairslot.coach_time.team_bits import NEVER, Part
from fairslot.coach_time.team_time import TeamTime


@dataclass(frozen=True, kw_only=True)
class TeamPart:
    """A part of a team, with what TeamTime tells of the whole.

    `unverified` would be in it, but may not be booked as their calendars were not read lately: what is told
    of readings is told of them too.
    """

    team: TeamTime
    part: Part
    unverified: frozenset[int] = frozenset()

    def verified(self, since: float) -> "TeamPart":
        """Return those of it whose calendars were all read since then, in seconds."""
        numbers = frozenset(self.part.numbers)
        old = frozenset([one for one in numbers if NEVER < self.team.read_at[one] < since])
        if not old:
            return self
        return TeamPart(team=self.team, part=self.team.counted(numbers - old), unverified=old)

    def counts_at(self, starts: range, now: datetime) -> list[int]:
        """Return how many of them could take each of some starts of the window."""
        return self.team.counts_at(starts, now, self.part)

    @property
    def has_unread(self) -> bool:
        """Whether a coach's external calendar has never been read."""
        return self.team.has_unread and NEVER in self._read_at

    @property
    def is_failing(self) -> bool:
        """Whether the last reading of a coach's calendar failed."""
        failing = self.team.failing
        return bool(failing) and any(self.team.coaches[number] in failing for number in self._numbers)

    @property
    def oldest_reading(self) -> float | None:
        """The oldest reading of an external calendar in seconds, None if there is none."""
        oldest = min((one for one in self._read_at if one != NEVER), default=inf)
        return None if oldest == inf else oldest

    def free_coaches(self, now: datetime) -> Callable[[int], list[str]]:
        """Return what tells who of them could take an appointment that starts at a slot, by their ids."""
        return self.team.free_coaches(now, self.part.numbers)

    @property
    def _read_at(self) -> list[float]:
        return [self.team.read_at[number] for number in self._numbers]

    @property
    def _numbers(self) -> list[int]:
        return [*self.part.numbers, *self.unverified]
