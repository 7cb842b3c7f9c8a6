"""Pages of availability through the handler, read anew, and the handler against its SQL, in one run.

Nothing of a page is kept: bench.availability_cache measures pages that are. The SQL alone is the recorded
statements of the use case, with the same values, on the same kind of connection; the rows are fetched and
dropped.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.availability_teams import CALLS, SIZES, invoke, requests
from bench.figures import Figure
from bench.stack import alternate, median_ratio
from fairslot.booking import decisions
from fairslot.coach_time import bookable_starts
from fairslot.platform import db
from fairslot.platform.settings import settings
from tests.support.team import TENANT

ROUNDS = 5
GOALS_MS = {6: 2, 100: 5, 1_000: 15, 10_000: 80}

type Statement = tuple[Any, Any, dict[str, Any]]


class Recorder:
    """A connection that records its statements."""

    def __init__(self, connection: db.Connection) -> None:
        self.connection, self.seen = connection, list[Statement]()

    def execute(self, query: Any, values: Any = None, **how: Any) -> Any:
        """Record a statement and execute it."""
        self.seen.append((query, values, how))
        return self.connection.execute(query, values, **how)


def figures(connection: db.Connection) -> Iterator[Figure]:
    """Measure pages that are read anew by size, also against their SQL, and explaining a start."""
    found = {(coaches, days): page(connection, coaches, days) for coaches, days in SIZES}
    explained = explaining(connection)
    for (coaches, days), one in found.items():
        yield Figure(
            name=f"availability handler against its bare SQL, {coaches:,} x {days}, p50",
            value=one["ratio"],
            unit="times",
            goal=1.5,
            note=f"{one['ms']:.2f} of {one['sql_ms']:.2f} ms",
        )
    for (coaches, days), one in found.items():
        what = f"availability, {coaches:,} coaches x {days} days, uncached, p50"
        yield Figure(name=what, value=one["ms"], unit="ms", goal=GOALS_MS[coaches])
    for few, many in ((100, 1_000), (1_000, 10_000)):
        yield Figure(
            name=f"explaining {many:,} coaches, of {few:,}",
            value=explained[many] / explained[few],
            unit="times",
            goal=10,
            note=f"{explained[many]:.2f} of {explained[few]:.2f} ms",
        )


def page(connection: db.Connection, coaches: int, days: int) -> dict[str, float]:
    """Measure one size."""
    recorder: Any = Recorder(connection)
    now = datetime.now(UTC)
    window = bookable_starts.Window(start=now, end=now + timedelta(days=days), limit=6_000)
    bookable_starts.list_starts(
        recorder, tenant_id=TENANT, calendar_id=f"cal-{coaches}", window=window, now=now
    )

    def bare(_: object) -> None:
        for query, values, how in recorder.seen:
            connection.execute(query, values, **how).fetchall()

    with keeping_nothing():
        rounds = [alternate(requests(coaches, days), invoke, bare) for _ in range(1 + ROUNDS)][1:]
    return {
        "ms": statistics.median(statistics.median(one) for one, _ in rounds) * 1000,
        "sql_ms": statistics.median(statistics.median(other) for _, other in rounds) * 1000,
        "ratio": median_ratio(rounds),
    }


@contextmanager
def keeping_nothing() -> Iterator[None]:
    """Let the handler keep no pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAGE_CACHE_BYTES", "0")
        settings.cache_clear()
        yield
    settings.cache_clear()


def explaining(connection: db.Connection) -> dict[int, float]:
    """Return the milliseconds in which each size is explained at one start."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    found = {}
    for size, _ in SIZES:
        took = []
        for _ in range(1 + max(3, CALLS[size])):
            begun = time.perf_counter()
            decisions.explain(connection, tenant_id=TENANT, calendar_id=f"cal-{size}", start_time=start)
            took.append(time.perf_counter() - begun)
        found[size] = statistics.median(took[1:]) * 1000
    return found
