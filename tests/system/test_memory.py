"""The memory of functions: a process lives for hours, and what it keeps of each event adds up."""

from pathlib import Path

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from local.sqs import SqsStandIn
from local.valkey import EmbeddedValkey
from tests.support.fixtures import Environment
from tests.support.handler_events import handler_events
from tests.support.handler_runs import run

LARGEST_KIB = 100 * 1024
LIFE = 10_000  # events
EVENTS = 400
# What customers, partners and subscribers keep busy; the others get an event a minute.
BUSY = (
    "availability.app",
    "background.permits",
    "background.results",
    "booking.app",
    "calendar_fetch.app",
    "webhook_dispatch.app",
)


@pytest.mark.timeout(600)
def test_ten_thousand_events_fit_into_100_mib(
    connection: Connection,
    environment: Environment,
    sqs: SqsStandIn,
    valkey: EmbeddedValkey,
    tmp_path: Path,
    subtests: pytest.Subtests,
) -> None:
    """By what the second half of some hundred events adds, ten thousand would fit; `make bench` runs them."""
    environment(REDIS_URL=valkey.url, **sqs.environment)
    with Redis.from_url(valkey.url) as cache, handler_events(connection, sqs.client(), tmp_path) as events:
        cache.flushall()
        for module in BUSY:
            with subtests.test(module):
                make = events.makers[module]
                seen = run(
                    module,
                    (make() for _ in range(EVENTS)),
                    variables=events.variables,
                    sample_every=EVENTS // 2,
                )
                _, half, end = seen.resident_kib
                per_event = max(0, end - half) / (EVENTS // 2)
                assert seen.peak_kib + per_event * (LIFE - EVENTS) < LARGEST_KIB, (
                    f"{module} keeps {per_event:.1f} KiB of each event, and has {seen.resident_kib} KiB at"
                    f" the start, after {EVENTS // 2} and after {EVENTS} events: find what it keeps"
                )
