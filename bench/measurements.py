"""All measurements, in the order in which they are made; each is a function that returns figures.

To add one, write it in the module of its part and name it here.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor

from bench import (
    access,
    availability,
    booking,
    booking_commit_wait,
    booking_growth,
    booking_handler,
    booking_kinds,
    booking_teams,
    calendar_reading,
    cold_start,
    deliveries,
    fairness_kinds,
    http,
    large_document,
    limits,
    memory,
    pushes,
    relay,
    sources,
    sync,
)
from bench.figures import Measured, Part

type Measurement = Callable[[], Iterable[Measured]]

# One after another: they take time, so nothing may run beside them.
TIMED: tuple[Measurement, ...] = (
    booking.figures,
    booking_commit_wait.figures,
    booking_teams.figures,
    booking_growth.figures,
    limits.figures,
    relay.figures,
    booking_handler.figures,
    access.figures,
    availability.figures,
    sync.figures,
    sources.figures,
    calendar_reading.figures,
    cold_start.figures,
    deliveries.figures,
    pushes.figures,
    http.figures,
)
# Side by side: they look at memory, at both sides' processor time in turns, or at nothing of the machine.
UNTIMED: tuple[Measurement, ...] = (
    memory.figures,
    large_document.figures,
    booking_kinds.figures,
    fairness_kinds.figures,
)
SIDE_BY_SIDE = 2


def alone(measure: Measurement) -> tuple[list[Measured], Part]:
    """Measure in a fresh process, with an environment and connections of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_all_of, measure).result()


def _all_of(measure: Measurement) -> tuple[list[Measured], Part]:
    begun = time.monotonic()
    found = list(measure())
    name = measure.__module__.rpartition(".")[2]
    return found, Part(name=name, seconds=time.monotonic() - begun, processor_seconds=_processor_seconds())


def _processor_seconds() -> float:
    """Return the processor time of this process, and of all that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
