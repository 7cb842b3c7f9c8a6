"""The memory of a function's process over 10,000 events, each handled for real.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.memory

Postgres, Valkey, queues and partners run; the functions are fed two at a time, each in a process of its own.
"""

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.figures import Figure
from bench.stack import stack
from fairslot.platform import db
from tests.support.handler_events import Make, handler_events
from tests.support.handler_runs import Seen, run

EVENTS = 10_000
SAMPLES = 10
# What customers, partners and subscribers keep busy.
FUNCTIONS = (
    "availability.app",
    "background.results",
    "booking.app",
    "calendar_fetch.app",
    "webhook_dispatch.app",
)


def figures() -> Iterator[Figure]:
    """Measure the memory of the busy functions' processes."""
    for module, seen in peaks().items():
        first, *_, last = (one / 1024 for one in seen.resident_kib)
        yield Figure(
            name=f"memory of {module.removesuffix('.app')} over 10,000 events",
            value=seen.peak_kib / 1024,
            unit="MiB",
            goal=100,
            note=f"{first:.1f} at the start, {last:.1f} at the end",
        )


def peaks(functions: Iterable[str] = FUNCTIONS, events: int = EVENTS) -> dict[str, Seen]:
    """Return by function the memory of its process, at SAMPLES moments and at most."""
    with (
        tempfile.TemporaryDirectory() as folder,
        stack() as parts,
        db.connect(parts.postgres.url) as connection,
        handler_events(connection, parts.sqs.client(), Path(folder)) as made,
        ThreadPoolExecutor(2) as pool,
    ):
        started = {
            module: pool.submit(
                run,
                module,
                _times(made.makers[module], events),
                variables=made.variables,
                sample_every=events // SAMPLES,
            )
            for module in functions
        }
        return {module: one.result() for module, one in started.items()}


def _times(make: Make, count: int) -> Iterator[dict[str, object]]:
    return (make() for _ in range(count))


if __name__ == "__main__":
    for module, seen in peaks().items():
        print(
            module,
            f"peak {seen.peak_kib / 1024:.1f} MiB;",
            *(f"{one / 1024:.1f}" for one in seen.resident_kib),
        )
