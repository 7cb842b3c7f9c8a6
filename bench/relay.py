"""What making deliveries costs the server, a change, alone and in batches, beside the booking itself.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.relay

Every change has two deliveries: the CRM's, and a block in the coach's calendar. The server's own processor
time (/proc/<pid>/schedstat), as in `bench.booking_parts`; the sizes of the batches take turns.
"""

import statistics
import sys
from collections.abc import Iterator
from functools import partial

from bench import booking_database
from bench.booking_parts import server_ns
from bench.figures import Figure, Measured, Moved
from fairslot.platform import db
from fairslot.webhooks import outbox

SIZES = (1, 10, 50)
ROUNDS = 25
WARM_UP = 5


def costs(rounds: int = ROUNDS) -> tuple[float, float, dict[int, float]]:
    """Return the server's time (µs, medians) for a bare insert, a booking, and its deliveries by batch."""
    with booking_database.database() as server, db.connect(server.url) as connection:
        connection.execute("UPDATE coaches SET calendar_kind = 'calendar_api'")
        connection.execute(
            "INSERT INTO coach_syncs (coach_id, synced_at) SELECT coach_id, now() FROM coaches"
        )
        instants, pid = iter(booking_database.starts()), connection.info.backend_pid
        bare = booking_database.bare(connection, 0)
        floor: list[int] = []
        booked: list[int] = []
        made: dict[int, list[float]] = {size: [] for size in SIZES}
        for _ in range(rounds):
            for size in SIZES:
                for _ in range(size):
                    floor.append(server_ns(pid, bare))
                    work = partial(booking_database.book, connection, "cal-0", next(instants))
                    booked.append(server_ns(pid, work))
                found: list[outbox.Made] = []
                tell = partial(outbox.make_deliveries, connection, limit=size)
                took = server_ns(pid, lambda: found.append(tell()))  # noqa: B023 - called at once
                if (found[0].events, len(found[0].messages)) != (size, 2 * size):
                    raise LookupError(f"{size} changes have {len(found[0].messages)} deliveries")
                made[size].append(took / size)
    return (
        statistics.median(floor[sum(SIZES) * WARM_UP :]) / 1000,
        statistics.median(booked[sum(SIZES) * WARM_UP :]) / 1000,
        {size: statistics.median(times[WARM_UP:]) / 1000 for size, times in made.items()},
    )


def figures() -> Iterator[Measured]:
    """Measure the relay, and say what of it the booking no longer pays."""
    bare, _, made = costs()
    alone, batched = made[SIZES[0]], made[SIZES[-1]]
    note = f"{batched / bare:.2f} of a bare insert"
    name = "relay: making deliveries, a change in fifties"
    yield Figure(name=name, value=batched, unit="µs", goal=60, note=note)
    yield Moved(name="deliveries are made later", saved=alone, cost=batched, where="the relay, in fifties")


def main() -> None:
    """Print what a booking costs, and telling of it."""
    bare, booking, made = costs()
    sys.stdout.write(f"a bare insert, time of the server        {bare:>6.0f} µs\n")
    sys.stdout.write(f"a booking                                {booking:>6.0f} µs {booking / bare:>6.2f}\n")
    for size, cost in made.items():
        sys.stdout.write(
            f"its deliveries, made of {size:>2} changes at once {cost:>5.0f} µs {cost / bare:>6.2f}\n"
        )


if __name__ == "__main__":
    main()
