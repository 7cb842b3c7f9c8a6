"""The memory of a function's process over 10,000 requests or messages, each handled for real.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.memory

Postgres, Valkey, queues and partners run; the functions are fed two at a time, each in a process of its own.
Messages come in full batches, in which a process has most of them at once. One batch of readings in twenty is
of all days; the others are of three, as making up days takes the stand-in most of the time. The memory of the
functions that bookings keep busy is looked at by bench.http.
"""

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.stack import stack
from fairslot.platform import db
from tests.support.handler_events import Make, handler_events
from tests.support.handler_runs import Seen, run
from tests.support.sqs_events import batch_event

EVENTS = 10_000
SAMPLES = 10
BATCH = 10
WHOLE_READINGS = 20  # one batch in so many
FEW_SLOTS = 3 * 96
# By function, how many events come at once.
FUNCTIONS = {"availability.app": 1, "calendar_fetch.app": BATCH}


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


def peaks(events: int = EVENTS) -> dict[str, Seen]:
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
                _events(made.makers[module], events, size),
                variables=made.variables,
                sample_every=events // size // SAMPLES,
            )
            for module, size in FUNCTIONS.items()
        }
        return {module: one.result() for module, one in started.items()}


def _events(make: Make, count: int, size: int) -> Iterator[dict[str, Any]]:
    """Make so many requests, or so many messages in batches."""
    for number in range(count // size):
        if size == 1:
            yield make()
            continue
        bodies = [record["body"] for _ in range(size) for record in make()["Records"]]
        yield batch_event(*(map(_shorter, bodies) if number % WHOLE_READINGS else bodies))


def _shorter(body: str) -> str:
    """Ask for few slots where a message asks for a reading."""
    message = json.loads(body)
    if "slot_count" in message:
        message["slot_count"] = FEW_SLOTS
    return json.dumps(message)


if __name__ == "__main__":
    print(*figures(), sep="\n")
