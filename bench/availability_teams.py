"""The teams of which pages are measured: ten thousand coaches with 60 days each, in teams of four sizes.

A third of their hours is busy. Making them takes longer than measuring: all measurements of pages share
them.
"""

from datetime import UTC, datetime
from typing import Any

from fairslot.coach_time.days import extend_days
from fairslot.coach_time.read_model import fold_all_changes
from fairslot.platform import db
from tests.support.http import add_key, request
from tests.support.lambda_context import context
from tests.support.team import add_calendar, add_coach

SIZES = ((6, 7), (100, 30), (1_000, 30), (10_000, 30))
# Requests a round, by size.
CALLS = {6: 60, 100: 20, 1_000: 5, 10_000: 1}


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
