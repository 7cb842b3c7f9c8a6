"""Pages of availability that were asked for before, through the handler: unchanged, and after 20 bookings.

The bookings are of coaches who are in every team of that size.
"""

import itertools
import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.availability_teams import CALLS, SIZES, invoke, requests
from bench.booking_database import book
from bench.figures import Figure
from fairslot.platform import db

BOOKINGS = 20
ROUNDS = 8
UNCHANGED_MS, CHANGED_MS = 2, 4


def figures(connection: db.Connection) -> Iterator[Figure]:
    """Measure pages that are read again, by size."""
    found = {size: again(connection, *size) for size in SIZES}
    for (coaches, days), (unchanged, changed) in found.items():
        page = f"availability, {coaches:,} coaches x {days} days"
        yield Figure(name=f"{page}, again, p50", value=unchanged, unit="ms", goal=UNCHANGED_MS)
        yield Figure(
            name=f"{page}, after {BOOKINGS} bookings, p50", value=changed, unit="ms", goal=CHANGED_MS
        )


def again(connection: db.Connection, coaches: int, days: int) -> tuple[float, float]:
    """Return the milliseconds of a page that has not changed, and of one after bookings."""
    request = requests(coaches, days)[0]
    instants = shuffled_starts(days)
    unchanged = [timed(request) for _ in range(2 + CALLS[coaches])][2:]
    changed = []
    for _ in range(ROUNDS):
        # Starts are taken or off the working hours now and then.
        booked = (book(connection, f"cal-{min(coaches, 100)}", start) for start in instants)
        made = list(itertools.islice((one for one in booked if one), BOOKINGS))
        if len(made) < BOOKINGS:
            raise SystemExit("the team is booked out: this measures pages after 20 bookings")
        changed.append(timed(request))
    return statistics.median(unchanged) * 1000, statistics.median(changed) * 1000


def timed(request: dict[str, Any]) -> float:
    """Return the seconds of a request."""
    begun = time.perf_counter()
    invoke(request)
    return time.perf_counter() - begun


def shuffled_starts(days: int) -> Iterator[datetime]:
    """Return the quarters of an hour of all days but the first, in any order."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    quarters = range((days - 1) * 96)
    return (first + number * timedelta(minutes=15) for number in random.sample(quarters, len(quarters)))
