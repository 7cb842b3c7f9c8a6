"""All measurements, in the order in which they are made; each is a function that returns figures.

To add one, write it in the module of its part and name it here.
"""

import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor

from bench import (
    access,
    availability,
    availability_cache,
    booking,
    booking_commit_wait,
    booking_growth,
    booking_handler,
    booking_kinds,
    booking_teams,
    cold_start,
    deliveries,
    fairness_kinds,
    http,
    large_document,
    limits,
    memory,
    relay,
    sync,
)
from bench.figures import Measured

type Measurement = Callable[[], Iterable[Measured]]

MEASUREMENTS: tuple[Measurement, ...] = (
    booking.figures,
    booking_commit_wait.figures,
    booking_teams.figures,
    booking_kinds.figures,
    booking_growth.figures,
    limits.figures,
    relay.figures,
    booking_handler.figures,
    access.figures,
    availability.figures,
    availability_cache.figures,
    sync.figures,
    large_document.figures,
    cold_start.figures,
    memory.figures,
    deliveries.figures,
    fairness_kinds.figures,
    http.figures,
)


def alone(measure: Measurement) -> list[Measured]:
    """Measure in a fresh process, with an environment and connections of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_all_of, measure).result()


def _all_of(measure: Measurement) -> list[Measured]:
    return list(measure())
