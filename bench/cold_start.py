"""Importing a function and its first response, against importing the same libraries alone, in one run.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.cold_start

Every sample is a process of its own, from start to end, in turns. The first response is a real one: Postgres,
Valkey, queues and partners run, and nothing is connected before. The other side imports the third-party and
standard modules that the first process had at its end, in the same order, and none of ours.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bench.booking_handler import booking_request, starts
from bench.figures import Figure
from bench.stack import add_team, stack
from bench.subscriber import subscriber_url
from fairslot.coach_time.days import horizon_slots
from fairslot.platform import db
from tests.support.deliveries import delivery
from tests.support.http import request
from tests.support.partner_process import partner
from tests.support.sqs_events import batch_event

ROUNDS = 7
OURS = ("__main__", "fairslot", "booking", "availability", "webhook_dispatch", "calendar_fetch")

type Make = Callable[[], dict[str, Any]]

FIRST_ANSWER = """
import sys
from importlib import import_module
from json import loads
from time import monotonic

class Context:
    function_name, memory_limit_in_mb, aws_request_id = "cold", 1024, "request-1"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:cold"
    begun = monotonic()
    def get_remaining_time_in_millis(self):
        return int((self.begun + 30 - monotonic()) * 1000)

answer = import_module(sys.argv[1]).lambda_handler(loads(sys.stdin.read()), Context())
assert answer.get("statusCode", 200) < 300 and not answer.get("batchItemFailures"), answer
"""
IMPORTS = """
import sys
from importlib import import_module

for name in sys.stdin.read().split():
    try:
        import_module(name)
    except ImportError:
        pass  # a name that a library gives a module of its own later on
"""
IMPORT = """
import sys
from importlib import import_module
from time import perf_counter

begun = perf_counter()
import_module(sys.argv[1])
print(perf_counter() - begun)
"""
END = "\nimport os, sys; sys.stdout.flush(); os._exit(0)"
NAMES = "\nsys.stderr.write('\\0' + ' '.join(sys.modules))"


def figures() -> Iterator[Figure]:
    """Measure import and first response, by function, and what booking alone imports."""
    for module, found in ratios().items():
        name = module.partition(".")[0]
        yield Figure(
            name=f"cold start of {name} against its imports",
            value=found["ratio"],
            unit="times",
            goal=1.2,
            note=f"{found['ms']:.0f} of {found['imports_ms']:.0f} ms",
        )
    yield Figure(name="imports of booking", value=import_ms("booking.app"), unit="ms", goal=280)


def import_ms(module: str) -> float:
    """Return the milliseconds of importing a function in a fresh process, the median."""
    took = [float(run(IMPORT, "", module).stdout) for _ in range(1 + ROUNDS)]
    return statistics.median(took[1:]) * 1000


def ratios() -> dict[str, dict[str, float]]:
    """Return by function the median ratio of the pairs, and each side in milliseconds."""
    with functions() as makers:
        return {module: cold(module, make) for module, make in makers.items()}


def cold(module: str, make: Make) -> dict[str, float]:
    """Measure one function."""
    names = library_names(module, make)
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(1 + ROUNDS):
        sides = [(0, FIRST_ANSWER, json.dumps(make())), (1, IMPORTS, names)]
        for side, code, given in sides if number % 2 else reversed(sides):
            begun = time.perf_counter()
            run(code + END, given, module)
            took[side].append(time.perf_counter() - begun)
    ours, alone = (side[1:] for side in took)  # the first of each wrote the byte code
    return {
        "ratio": statistics.median(one / other for one, other in zip(ours, alone, strict=True)),
        "ms": statistics.median(ours) * 1000,
        "imports_ms": statistics.median(alone) * 1000,
    }


def library_names(module: str, make: Make) -> str:
    """Return the library modules that importing a function and its first response load, in order."""
    names = run(FIRST_ANSWER + NAMES, json.dumps(make()), module).stderr.rpartition("\0")[2].split()
    return "\n".join(name for name in names if name.partition(".")[0] not in OURS)


def run(code: str, given: str, module: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process."""
    command = [sys.executable, "-c", code, module]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True)  # noqa: S603


@contextmanager
def functions() -> Iterator[dict[str, Make]]:
    """Start what the functions talk to; yield for each a maker of its events."""
    with (
        tempfile.TemporaryDirectory() as folder,
        stack() as parts,
        partner("calendar_api", Path(folder)) as calendar,
        subscriber_url() as url,
        db.connect(parts.postgres.url) as connection,
    ):
        add_team(connection, 6, duration=15)
        sqs = parts.sqs.client()
        for name in ("results", "fetched"):
            os.environ[f"{name.upper()}_QUEUE_URL"] = sqs.create_queue(QueueName=name)["QueueUrl"]
        os.environ.update(
            CRM_WEBHOOK_URL=url, CALENDAR_API_URL=str(calendar.base_url), WEBHOOK_ALLOW_LOOPBACK_HTTP="true"
        )
        instants = starts()
        yield {
            "booking.app": lambda: booking_request(next(instants)),
            "availability.app": lambda: request("GET", "/api/availability", query={"calendar_id": "cal"}),
            "webhook_dispatch.app": lambda: batch_event(delivery().to_json()),
            "calendar_fetch.app": lambda: batch_event(json.dumps(fetch())),
        }


def fetch() -> dict[str, Any]:
    """Return a message of the fetches queue."""
    zone = "America/New_York"
    now = datetime.now(UTC)
    first, end = horizon_slots(ZoneInfo(zone), now)
    return {
        "coach_id": "coach-1",
        "kind": "calendar_api",
        "url": None,
        "time_zone": zone,
        "first_slot": first,
        "slot_count": end - first,
        "requested_at": now.isoformat(),
    }


if __name__ == "__main__":
    for module, found in ratios().items():
        print(module, found)
