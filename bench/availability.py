"""Pages of availability through the handler, and the handler against its SQL alone, in one run.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.availability

Ten thousand coaches with 60 days each, a third of their hours busy, in teams of four sizes. Nothing of a
page is cached. The SQL alone is the recorded statements of the use case, with the same values, on the same
kind of connection; the rows are fetched and dropped.
"""

import statistics
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.figures import Figure
from bench.stack import alternate, median_ratio, quiet, stack
from fairslot.coach_time import bookable_starts
from fairslot.coach_time.days import extend_days
from fairslot.platform import db
from tests.support.http import add_key, request
from tests.support.lambda_context import context
from tests.support.team import TENANT, add_calendar, add_coach

SIZES = ((6, 7), (100, 30), (1_000, 30), (10_000, 30))
# Pairs of calls a round, by size.
CALLS = {6: 60, 100: 20, 1_000: 5, 10_000: 1}
ROUNDS = 5

GOALS_MS = {6: 2, 100: 5, 1_000: 15, 10_000: 80}

type Statement = tuple[Any, Any]


class Recorder:
    """A connection that records its statements."""

    def __init__(self, connection: db.Connection) -> None:
        self.connection, self.seen = connection, list[Statement]()

    def execute(self, query: Any, values: Any = None) -> Any:
        """Record a statement and execute it."""
        self.seen.append((query, values))
        return self.connection.execute(query, values)


def figures() -> Iterator[Figure]:
    """Measure pages by size, and against their SQL."""
    found = pages()
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


def pages() -> dict[tuple[int, int], dict[str, float]]:
    """Return by coaches and days the handler's milliseconds and its ratio to the bare SQL."""
    with stack() as parts, db.connect(parts.postgres.url) as connection:
        add_teams(connection)
        with quiet():
            return {(coaches, days): page(connection, coaches, days) for coaches, days in SIZES}


def page(connection: db.Connection, coaches: int, days: int) -> dict[str, float]:
    """Measure one size."""
    recorder: Any = Recorder(connection)
    now = datetime.now(UTC)
    window = bookable_starts.Window(start=now, end=now + timedelta(days=days), limit=6_000)
    team = bookable_starts.team(recorder, tenant_id=TENANT, calendar_id=f"cal-{coaches}", now=now)
    bookable_starts.list_starts(recorder, team=team, window=window, now=now)

    def bare(_: object) -> None:
        for query, values in recorder.seen:
            connection.execute(query, values).fetchall()

    rounds = [alternate(requests(coaches, days), invoke, bare) for _ in range(1 + ROUNDS)][1:]
    return {
        "ms": statistics.median(statistics.median(one) for one, _ in rounds) * 1000,
        "sql_ms": statistics.median(statistics.median(other) for _, other in rounds) * 1000,
        "ratio": median_ratio(rounds),
    }


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
    connection.execute("VACUUM (ANALYZE)")
    connection.execute("RESET ALL")
    add_key(connection, rate_limit=10_000_000)


_COACHES = b"""
    INSERT INTO coaches (coach_id, tenant_id, name, time_zone, working_hours)
    SELECT 'coach-' || n, tenant_id, name, time_zone, working_hours
      FROM coaches, generate_series(1, %(count)s::integer) AS n"""

# Whole hours are busy, by one of 512 patterns.
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
     WHERE day.coach_id = 'coach' AND coach.coach_id <> 'coach'"""

_TEAMS = b"""
    INSERT INTO coach_calendars (calendar_id, coach_id)
    SELECT 'cal-' || size, 'coach-' || n
      FROM unnest(%(sizes)s::integer[]) AS size, LATERAL generate_series(1, size) AS n"""


if __name__ == "__main__":
    for size, found in pages().items():
        print(size, found)
