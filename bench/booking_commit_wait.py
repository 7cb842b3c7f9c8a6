"""Bookings a second of one calendar if a commit waits 2 ms for the disk, as on RDS.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.booking_commit_wait

Eight clients book the same starts of a calendar with a coach for each. `commit_delay` makes each flush wait.
A wait inside the calendar's lock holds everybody up: a calendar then gets less than one booking each 2 ms.
"""

from collections.abc import Iterator

import psycopg

from bench.booking import at_once, rate
from bench.booking_database import CLIENTS, bare, database, starts
from bench.figures import Figure

DELAY_US = 2_000
SECONDS = 1.5


def figures() -> Iterator[Figure]:
    """Measure one calendar with slow commits."""
    with database() as server:
        with psycopg.connect(server.admin_url(), autocommit=True) as admin:
            admin.execute(f"ALTER SYSTEM SET commit_delay = {DELAY_US}".encode())
            admin.execute("ALTER SYSTEM SET commit_siblings = 0")  # it waits even for one client
            admin.execute("SELECT pg_reload_conf()")
        alone = rate(server.url, CLIENTS, bare, seconds=SECONDS)
        booked = rate(server.url, CLIENTS, at_once(starts()), seconds=SECONDS)
    yield Figure(
        name="one calendar with a commit of 2 ms, 8 clients",
        value=booked,
        unit="/s",
        goal=1_000,
        at_least=True,
        note=f"{alone:.0f} bare commits/s",
    )


if __name__ == "__main__":
    print(*figures(), sep="\n")
