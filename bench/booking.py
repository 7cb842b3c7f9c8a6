"""Bookings a second against bare commits a second, in one run.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.booking

Client processes on an embedded Postgres with fsync on. The two sides of each ratio take turns, round by
round, and the result is the median of the rounds' ratios, because the machine is noisy.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from multiprocessing.synchronize import Barrier, Event
from typing import TYPE_CHECKING

from bench.booking_database import CLIENTS, HOT, PARTNERS, TEAM, bare, book, database, starts
from bench.figures import Figure, range_of
from fairslot.platform import db

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

ROUNDS = 5
SECONDS = 0.5
# Postgres plans a statement several times before it keeps the plan; a function's connection is past that.
WARM_UP = 20
_FORK = multiprocessing.get_context("fork")

GOALS = {"1 client": 0.40, "8 spread": 0.25, "8 at one instant": 0.20}

# Makes a client's work from its connection and number; the work returns whether it succeeded.
type Work = Callable[[db.Connection, int], Callable[[], bool]]


def figures() -> Iterator[Figure]:
    """Measure booking in the database."""
    for name, ratios in throughput().items():
        yield Figure(
            name=f"booking in the database, {name}, of the bare commit",
            value=statistics.median(ratios),
            goal=GOALS[name],
            at_least=True,
            note=range_of(ratios),
        )


def rate(url: str, clients: int, work: Work, *, seconds: float = SECONDS) -> float:
    """Return how often a second the clients together succeed."""
    stop, ready, done = _FORK.Event(), _FORK.Barrier(clients + 1), _FORK.Queue()

    def client(number: int, stop: Event, ready: Barrier, done: "Queue[int]") -> None:
        with db.connect(url) as connection:
            one, count = work(connection, number), 0
            for _ in range(WARM_UP):
                one()
            ready.wait()
            while not stop.is_set():
                count += one()
            done.put(count)

    processes = [_FORK.Process(target=client, args=(n, stop, ready, done)) for n in range(clients)]
    for process in processes:
        process.start()
    ready.wait()
    began = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    total: int = sum(done.get() for _ in processes)
    took = time.perf_counter() - began
    for process in processes:
        process.join()
    return total / took


def spread(instants: Sequence[datetime]) -> Work:
    """Return work that books one start after another, each client on a calendar of its own."""

    def work(connection: db.Connection, number: int) -> Callable[[], bool]:
        turns = (instant for instant in instants for _ in range(TEAM))
        return lambda: book(connection, f"cal-{number}", next(turns))

    return work


def at_once(instants: Sequence[datetime]) -> Work:
    """Return work in which all clients book the same start, then the next; there is a coach for each."""
    tickets = _FORK.Value("i", 0)

    def ticket() -> int:
        with tickets.get_lock():
            tickets.value += 1
            return int(tickets.value) - 1

    return lambda connection, _: lambda: book(connection, HOT, instants[ticket() // CLIENTS])


def throughput(partners: Sequence[str] = PARTNERS) -> dict[str, list[float]]:
    """Return bookings as a fraction of bare commits: 1 client, 8 on their own calendars, 8 at one start.

    A figure for each round.
    """
    instants = starts()
    part = len(instants) // (ROUNDS * 2)
    ratios: dict[str, list[float]] = {}
    with database(partners) as server:
        for round_ in range(ROUNDS):
            one, eight = (instants[(round_ * 2 + half) * part :][:part] for half in range(2))
            alone = rate(server.url, 1, bare)
            ratios.setdefault("1 client", []).append(rate(server.url, 1, spread(one)) / alone)
            together = rate(server.url, CLIENTS, bare)
            ratios.setdefault("8 spread", []).append(rate(server.url, CLIENTS, spread(eight)) / together)
            together = rate(server.url, CLIENTS, bare)
            ratios.setdefault("8 at one instant", []).append(
                rate(server.url, CLIENTS, at_once(one)) / together
            )
    return ratios


if __name__ == "__main__":
    print(throughput())
