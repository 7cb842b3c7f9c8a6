"""Feeds against a reference that marks one quarter of an hour after the other."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from fairslot.calendars.icalendar_feed import free_of
from fairslot.domain import slots
from fairslot.domain.slots import Window
from tests.unit.calendars.feeds import feed

ZONES = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kathmandu",
    "UTC",
]
CHANGES = ["2026-03-08", "2026-03-29", "2026-04-05", "2026-09-06", "2026-10-25", "2026-11-01"]


@dataclass(frozen=True)
class Event:
    """An event as a person would write it down; `zone` is None for floating times."""

    start: datetime
    length: timedelta
    zone: str | None
    every: int
    times: int
    left_out: set[int] = field(default_factory=set)
    transparent: bool = False

    def lines(self) -> str:
        """Write the event for a feed."""
        parameter = f";TZID={self.zone}" if self.zone else ""

        def at(name: str, moment: datetime) -> str:
            return f"{name}{parameter}:{moment:%Y%m%dT%H%M%S}"

        lines = [at("DTSTART", self.start), at("DTEND", self.start + self.length)]
        if self.times > 1:
            lines.append(f"RRULE:FREQ=DAILY;INTERVAL={self.every};COUNT={self.times}")
            lines += [at("EXDATE", self.start + number * timedelta(self.every)) for number in self.left_out]
        return "\n".join([*lines, "TRANSP:TRANSPARENT" if self.transparent else "TRANSP:OPAQUE"])

    def busy(self, coach: ZoneInfo) -> list[tuple[datetime, datetime]]:
        """List when it takes time, in UTC."""
        zone = ZoneInfo(self.zone) if self.zone else coach
        stretches = []
        for number in range(self.times):
            start = self.start + number * timedelta(self.every)
            begins, ends = (
                moment.replace(tzinfo=zone).astimezone(UTC) for moment in (start, start + self.length)
            )
            if self.times > 1 or ends <= begins:
                ends = max(ends, begins + self.length)
            if not self.transparent and (self.times == 1 or number not in self.left_out):
                stretches.append((begins, ends))
        return stretches


changes = st.sampled_from(CHANGES).map(datetime.fromisoformat)
events = st.builds(
    Event,
    start=st.builds(
        lambda day, minutes: day + timedelta(minutes=5 * minutes), changes, st.integers(-600, 600)
    ),
    length=st.integers(1, 200).map(lambda five: timedelta(minutes=5 * five)),
    zone=st.sampled_from([*ZONES, None]),
    every=st.integers(1, 7),
    times=st.integers(1, 6),
    left_out=st.sets(st.integers(0, 5), max_size=2),
    transparent=st.booleans(),
)


@given(st.lists(events, max_size=4), changes, st.sampled_from(ZONES).map(ZoneInfo), st.integers(1, 400))
def test_feeds_match_the_reference(found: list[Event], day: datetime, coach: ZoneInfo, count: int) -> None:
    """A slot is free exactly when no event that takes time touches it, around every kind of clock change."""
    asked = Window(slots.slot_of(day.replace(tzinfo=UTC)) - 100, count)
    stretches = [stretch for event in found for stretch in event.busy(coach)]
    expected = 0
    for slot in range(asked.first_slot, asked.end_slot):
        begin, end = slots.instant_of(slot), slots.instant_of(slot + 1)
        expected = expected << 1 | (not any(begin < until and since < end for since, until in stretches))
    assert free_of(feed(*(event.lines() for event in found)), asked, coach).bits == expected
