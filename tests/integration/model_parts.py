"""What the model of the engine consists of: coaches, calendars and what is booked.

Instants are aware, stretches of time half open.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.integration.model_kinds import Kind, kind_of
from tests.integration.model_team import Decision, Team

type Span = tuple[datetime, datetime]

QUARTER = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def overlap(one: Span, other: Span) -> bool:
    """Tell whether two stretches of time have an instant in common."""
    return one[0] < other[1] and other[0] < one[1]


@dataclass(kw_only=True)
class Coach:
    """A coach: working hours [from, to) of every day on the clock, and what their calendar said last."""

    coach_id: str
    zone: ZoneInfo
    most: int
    hours: tuple[int, int] = (0, 24)
    external: bool = False
    read_at: datetime | None = None
    known: Span | None = None
    busy: list[Span] = field(default_factory=list)
    attributes: frozenset[str] = frozenset()  # as name:value

    def works(self, when: Span) -> bool:
        """Tell whether every quarter of an hour is a working one."""
        quarters = range((when[1] - when[0]) // QUARTER)
        local = [(when[0] + n * QUARTER).astimezone(self.zone) for n in quarters]
        return all(self.hours[0] <= one.hour < self.hours[1] for one in local)

    def allows(self, when: Span) -> bool:
        """Tell whether the external calendar, if there is one, is known to be free."""
        if not self.external:
            return True
        known = self.known is not None and self.known[0] <= when[0] and when[1] <= self.known[1]
        return known and not any(overlap(when, one) for one in self.busy)

    def read(self, busy: list[Span], at: datetime, window: Span) -> None:
        """Take a reading of a window, unless a younger one was taken; what is before the window stays."""
        if self.read_at is None or self.read_at < at:
            before = [(start, min(end, window[0])) for start, end in self.busy if start < window[0]]
            since = window[0] if self.known is None else min(self.known[0], window[0])
            read = [(max(start, window[0]), end) for start, end in busy if end > window[0]]
            self.read_at, self.known, self.busy = at, (since, window[1]), before + read


@dataclass(kw_only=True, eq=False)
class Calendar:
    """A calendar and its team; durations in minutes, the horizon in days."""

    calendar_id: str
    team: Team
    duration: int = 30
    interval: int = 15
    before: int = 0
    after: int = 0
    notice: int = 0
    horizon: int = 2
    most: int | None = None
    zone: ZoneInfo
    requires: frozenset[str] = frozenset()
    kinds: list[Kind] = field(default_factory=list)

    def spans(self, start: datetime) -> tuple[Span, Span]:
        """Return an appointment's own time, and that with its buffers."""
        end = start + timedelta(minutes=self.duration)
        return (start, end), (start - timedelta(minutes=self.before), end + timedelta(minutes=self.after))

    def kind_of(self, start: datetime) -> str:
        """Return the kind of hour of a start, by the calendar's own clock."""
        return kind_of(self.kinds, start.astimezone(self.zone))

    def use_kinds(self, kinds: list[Kind]) -> None:
        """Have these kinds of hours."""
        self.kinds = kinds
        self.team.use_kinds(one["name"] for one in kinds)

    def is_start(self, start: datetime) -> bool:
        """Tell whether a start is on the grid."""
        return not (start - _EPOCH) % timedelta(minutes=self.interval)


@dataclass(eq=False)
class Booking:
    """An appointment or a hold."""

    number: int
    calendar: Calendar
    coach_id: str
    start: datetime
    state: str
    client: str | None = None
    expires: datetime | None = None
    requires: frozenset[str] = frozenset()
    decisions: list[Decision] = field(default_factory=list)

    @property
    def takes(self) -> Span:
        """The time that it takes of its coach."""
        return self.calendar.spans(self.start)[1]
