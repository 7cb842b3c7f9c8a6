"""Pages of availability through the handler, read anew, and the handler against its SQL, in one run.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.availability

Ten thousand coaches with 60 days each, a third of their hours busy, in teams of four sizes. Nothing of a page
is kept: bench.availability_cache measures pages that are. The SQL alone is the recorded statements of the
use case, with the same values, on the same kind of connection; the rows are fetched and dropped.
"""

import os
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.figures import Figure
from bench.stack import alternate, median_ratio, quiet, stack
from fairslot.booking import decisions
from fairslot.coach_time import bookable_starts
from fairslot.coach_time.days import extend_days
from fairslot.coach_time.read_model import fold_all_changes
from fairslot.platform import db
from fairslot.platform.settings import settings
from tests.support.http import add_key, request
from tests.support.lambda_context import context
from tests.support.team import TENANT, add_calendar, add_coach

SIZES = ((6, 7), (100, 30), (1_000, 30), (10_000, 30))
# Pairs of calls a round, by size.
CALLS = {6: 60, 100: 20, 1_000: 5, 10_000: 1}
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


def figures() -> Iterator[Figure]:
    """Measure pages that are read anew by size, also against their SQL, and explaining a start."""
    found, explained = pages()
    for (coaches, days), page in found.items():
        yield Figure(
            name=f"availability handler against its bare SQL, {coaches:,} x {days}, p50",
            value=page["ratio"],
            unit="times",
            goal=1.5,
            note=f"{page['ms']:.2f} of {page['sql_ms']:.2f} ms",
        )
    for (coaches, days), page in found.items():
        what = f"availability, {coaches:,} coaches x {days} days, uncached, p50"
        yield Figure(name=what, value=page["ms"], unit="ms", goal=GOALS_MS[coaches])
    for few, many in ((100, 1_000), (1_000, 10_000)):
        yield Figure(
            name=f"explaining {many:,} coaches, of {few:,}",
            value=explained[many] / explained[few],
            unit="times",
            goal=10,
            note=f"{explained[many]:.2f} of {explained[few]:.2f} ms",
        )


def pages() -> tuple[dict[tuple[int, int], dict[str, float]], dict[int, float]]:
    """Return by coaches and days the milliseconds and the ratio to the bare SQL; and those of explaining."""
    with stack() as parts, db.connect(parts.postgres.url) as connection:
        add_teams(connection)
        with quiet():
            found = {(coaches, days): page(connection, coaches, days) for coaches, days in SIZES}
        return found, explaining(connection)


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

    keep(0)
    rounds = [alternate(requests(coaches, days), invoke, bare) for _ in range(1 + ROUNDS)][1:]
    return {
        "ms": statistics.median(statistics.median(one) for one, _ in rounds) * 1000,
        "sql_ms": statistics.median(statistics.median(other) for _, other in rounds) * 1000,
        "ratio": median_ratio(rounds),
    }


def keep(size: int) -> None:
    """Let the handler keep so many bytes of pages."""
    os.environ["PAGE_CACHE_BYTES"] = str(size)
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


def requests(coaches: int, days: int) -> list[dict[str, Any]]:
    """Return a round of requests for a page."""
    query = {"calendar_id": f"cal-{coaches}", "days": days}
    return [request("GET", "/api/availability", query=query) for _ in range(CALLS[coaches])]


def invoke(request: dict[str, Any]) -> None:
    """Invoke the handler; the page must have starts."""
    from availability.app import lambda_handler  # late: only then is the environment there

    answer = lambda_handler(request, context())
    if answer["statusCode"] != 200 or '"start_time"' not in answer["body"]:  # noqa: PLR2004
        raise SystemExit(answer["body"][:500])


def add_teams(connection: db.Connection) -> None:
    """Make the coaches, their days and a calendar for each size."""
    add_coach(connection, "coach")
    extend_days(connection, now=datetime.now(UTC))
    for size, _ in SIZES:
        add_calendar(connection, f"cal-{size}", [])
    # Filling takes longer on a busy machine than a request may.
    connection.execute("SET statement_timeout = 0")
    connection.execute("SET transaction_timeout = 0")
    connection.execute(_COACHES, {"count": max(size for size, _ in SIZES)})
    connection.execute(_DAYS)
    connection.execute(_TEAMS, {"sizes": [size for size, _ in SIZES]})
    fold_all_changes(connection)
    connection.execute("VACUUM (ANALYZE)")
    connection.execute("RESET ALL")
    add_key(connection, rate_limit=10_000_000)


_COACHES = b"""
    INSERT INTO coaches (coach_id, tenant_id, name, time_zone, working_hours)
    SELECT 'coach-' || n, tenant_id, name, time_zone, working_hours
      FROM coaches, generate_series(1, %(count)s::integer) AS n"""

# Whole hours are busy, by one of 512 patterns. The rows lie day after day, as the nights of a deployment add
# them: the days of ten thousand coaches are twice the server's shared memory, and explaining a start reads
# one day of each.
_DAYS = b"""
    WITH pattern AS MATERIALIZED (
        SELECT n, string_agg(CASE WHEN random() < 0.33 THEN '0000' ELSE '1111' END, '')::bit(104) AS bits
          FROM generate_series(0, 511) AS n, generate_series(1, 26) AS hour
         GROUP BY n
    )
    INSERT INTO coach_slots (coach_id, first_slot, slot_count, local_date, working, external, max_per_day)
    SELECT coach.coach_id, day.first_slot, day.slot_count, day.local_date, day.working,
           day.external & pattern.bits, day.max_per_day
      FROM coaches AS coach CROSS JOIN coach_slots AS day
      JOIN pattern ON pattern.n = hashtext(coach.coach_id || day.first_slot) & 511
     WHERE day.coach_id = 'coach' AND coach.coach_id <> 'coach'
     ORDER BY day.first_slot, coach.coach_id"""

_TEAMS = b"""
    INSERT INTO coach_calendars (calendar_id, coach_id)
    SELECT 'cal-' || size, 'coach-' || n
      FROM unnest(%(sizes)s::integer[]) AS size, LATERAL generate_series(1, size) AS n"""


if __name__ == "__main__":
    measured, explained = pages()
    for size, found in measured.items():
        print(size, {name: round(value, 2) for name, value in found.items()})
    print("explain", explained)
