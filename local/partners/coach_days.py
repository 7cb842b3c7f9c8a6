"""The made-up days of the stand-in's coaches: a function of the coach and the date alone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/New_York")
OPENS, CLOSES = time(9), time(17)
STEP = timedelta(minutes=15)
ENTRY = timedelta(minutes=30)
MOST_MEETINGS = 2

type Interval = tuple[datetime, datetime]


def opening(day: date) -> Interval:
    """Return when the coaches open and close on a day, in UTC."""
    start, end = (datetime.combine(day, at, ZONE).astimezone(UTC) for at in (OPENS, CLOSES))
    return start, end


def entries(day: date) -> Iterator[Interval]:
    """Yield the overlapping entries of a day: 30 minutes long, one starting every 15."""
    start, closes = opening(day)
    while start + ENTRY <= closes:
        yield start, start + ENTRY
        start += STEP


def meetings(coach_id: str, day: date) -> list[Interval]:
    """Return a coach's other meetings on a day: at most two, of 30 to 60 minutes."""
    draw = sha256(f"{coach_id} {day.isoformat()}".encode()).digest()
    opens, closes = opening(day)
    found = []
    for number in range(draw[0] % (MOST_MEETINGS + 1)):
        length = STEP * (2 + draw[2 * number + 1] % 3)
        starts = (closes - opens - length) // STEP + 1
        start = opens + STEP * (draw[2 * number + 2] % starts)
        found.append((start, start + length))
    return sorted(found)


def overlap(one: Interval, other: Interval) -> bool:
    """Return whether two half-open intervals overlap."""
    return one[0] < other[1] and other[0] < one[1]
