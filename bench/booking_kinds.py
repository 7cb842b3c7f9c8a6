"""Booking in a calendar with kinds of hours, against one without, turn by turn in one database.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.booking_kinds

The time is the server's on a processor. Each calendar has a team of six of its own; the start is of a kind
that is not normal, the last of three that are listed.
"""

import statistics
from collections.abc import Iterator
from functools import partial

from psycopg.types.json import Jsonb

from bench.booking_database import book, database, starts
from bench.booking_parts import server_ns
from bench.figures import Figure
from fairslot.platform import db
from tests.support.team import set_calendar

GOAL = 1.15
ROUNDS = 400
# Beside one that has none: three that are listed, of which the last has every hour.
KINDS = [
    {"name": "weekend", "days": ["sat", "sun"], "before": "00:15"},
    {"name": "early", "before": "00:15"},
    {"name": "late", "from": "00:00"},
]


def figures() -> Iterator[Figure]:
    """Measure what kinds of hours cost a booking."""
    without, used = costs()
    yield Figure(
        name="booking in a calendar with kinds of hours, of one without",
        value=used / without,
        unit="times",
        goal=GOAL,
        note=f"the server's time {used:.0f} of {without:.0f} µs",
    )


def costs(rounds: int = ROUNDS) -> tuple[float, float]:
    """Return the server's time for a booking (µs, medians): without kinds, and with them."""
    with database() as server, db.connect(server.url) as connection:
        set_calendar(connection, "cal-1", hour_kinds=Jsonb(KINDS))
        took: tuple[list[int], list[int]] = ([], [])
        pid = connection.info.backend_pid
        for number, start in zip(range(rounds), starts(), strict=False):
            # Another one first each time: who comes second finds warmer caches.
            for place in (number % 2, 1 - number % 2):
                took[place].append(server_ns(pid, partial(book, connection, f"cal-{place}", start)))
    without, used = (statistics.median(times[rounds // 5 :]) / 1000 for times in took)
    return without, used


if __name__ == "__main__":
    print(*figures(), sep="\n")
