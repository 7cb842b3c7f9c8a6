"""Booking with a team of 100 and of 1,000 coaches, against one of 6, turn by turn in one database.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.booking_teams

Everybody of a team is free. The time is a client's, from call to answer; the server's processor time is
shown beside it.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.booking_database import book, starts
from bench.booking_parts import server_ns
from bench.figures import Figure
from fairslot.coach_time.days import extend_days
from fairslot.platform import db
from fairslot.platform.migrate import migrate
from local.postgres import EmbeddedPostgres
from tests.support.endpoints import add_endpoint
from tests.support.team import ALWAYS, add_calendar, add_coach

# Teams, and the most that they may take of a team of six.
GOALS = {6: None, 100: 1.5, 1_000: 6.0}
ROUNDS = 40
WARM_UP = 10


def figures() -> Iterator[Figure]:
    """Measure a booking by the size of the team."""
    found = by_team()
    small = found[min(found)]
    for size, (seconds, server) in found.items():
        if size == min(found):
            continue
        ratio = f"{seconds * 1000:.2f} of {small[0] * 1000:.2f} ms"
        yield Figure(
            name=f"booking with a team of {size:,}, of a team of {min(found)}, p50",
            value=seconds / small[0],
            unit="times",
            goal=GOALS[size],
            note=f"{ratio}; the server's time {server / small[1]:.1f} times",
        )


def by_team() -> dict[int, tuple[float, float]]:
    """Return by size of the team the median seconds of a booking, and of the server's processor time."""
    took: dict[int, list[tuple[float, float]]] = {size: [] for size in GOALS}
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        migrate(server.url)
        with db.connect(server.url) as connection:
            add_teams(connection)
            instants = iter(starts())
            pid = connection.info.backend_pid
            for _ in range(WARM_UP + ROUNDS):
                for size, times in took.items():
                    start, begun = next(instants), time.perf_counter()
                    busy = server_ns(pid, partial(book, connection, f"team-{size}", start))
                    times.append((time.perf_counter() - begun, busy / 1e9))
    return {
        size: (
            statistics.median(one for one, _ in times[WARM_UP:]),
            statistics.median(other for _, other in times[WARM_UP:]),
        )
        for size, times in took.items()
    }


def add_teams(connection: db.Connection) -> None:
    """Make the coaches, a calendar for each size, and both partners' endpoints."""
    for kind in ("crm", "calendar_api"):
        add_endpoint(connection, kind, "appointment.*")
    coaches = [f"coach-{number:04}" for number in range(max(GOALS))]
    for coach_id in coaches:
        add_coach(connection, coach_id, time_zone="UTC", max_per_day=10_000, working_hours=ALWAYS)
    for size in GOALS:
        add_calendar(connection, f"team-{size}", coaches[:size], duration=15)
    extend_days(connection, now=datetime.now(UTC))
    connection.execute("VACUUM (ANALYZE)")


if __name__ == "__main__":
    print(*figures(), sep="\n")
