"""Bookings and pages over HTTP on the local stack, with its deliveries running.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.http [SECONDS [SECONDS]]

One client books for some seconds, then eight for five minutes, as fast as they are answered; then fifty ask
for pages for a minute, while two book. Clients, stack and the partners' stand-ins, with their usual latency
and faults, share the cores. The functions' memory is looked at on the way.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from bench.figures import Figure
from bench.http_memory import Memory
from bench.load.clients import BOOKING, PAGE, Load
from bench.load.target import Calendars, Target, add_calendars, find
from bench.load.traffic import Traffic
from tests.support.stack import start, stop

BOOKING_CLIENTS, PAGE_CLIENTS, BESIDE = 8, 50, 2
ALONE_SECONDS, BOOKING_SECONDS, PAGE_SECONDS = 8.0, 300.0, 60.0
WARM_UP_SECONDS = 5.0
# Enough time for 250 bookings a second for five minutes, and half of them are of one calendar.
HOT_COACHES, SPREAD_COACHES = 60, 10
# The part of a rate that is noise.
NOISE = 0.05


def figures(booking_seconds: float = BOOKING_SECONDS, page_seconds: float = PAGE_SECONDS) -> Iterator[Figure]:
    """Measure bookings, and pages beside bookings."""
    with tempfile.TemporaryDirectory() as folder:
        stack = start(Path(folder) / "data", {})
        try:
            target = find({"FAIRSLOT_DATA": str(stack.data)})
            calendars = add_calendars(target, hot=HOT_COACHES, coaches=SPREAD_COACHES)
            yield from one_client(target, calendars)
            yield from bookings(target, calendars, booking_seconds)
            yield from pages(target, calendars, page_seconds)
        finally:
            stop(stack)


def one_client(target: Target, calendars: Calendars) -> Iterator[Figure]:
    """Measure a client that waits for nobody but the system: its deliveries run beside it."""
    traffic = booked(target, calendars, 1, ALONE_SECONDS)
    yield from latency("booking over HTTP, one client", traffic)


def bookings(target: Target, calendars: Calendars, seconds: float) -> Iterator[Figure]:
    """Measure clients that only book."""
    told_before, attempts_before, memory = told(target), attempts(target), Memory(target)
    traffic = booked(target, calendars, BOOKING_CLIENTS, seconds, at_half=memory.look)
    memory.look()
    told_meanwhile, attempted = told(target) - told_before, attempts(target) - attempts_before
    what = f"booking over HTTP, {BOOKING_CLIENTS} clients"
    parts = traffic.by_part(BOOKING)
    yield from latency(what, traffic)
    yield Figure(
        name=f"{what}, rate",
        value=traffic.rate(BOOKING),
        unit="/s",
        goal=250,
        at_least=True,
        note=f"meanwhile the CRM was told of {told_meanwhile / seconds:.0f} a second",
    )
    yield Figure(
        name=f"{what}, last fifth against first",
        value=parts[-1] / parts[0],
        goal=1 - NOISE,
        at_least=True,
        note=f"by fifth: {' '.join(f'{one:.0f}' for one in parts)}",
    )
    yield Figure(name=f"{what}, errors", value=traffic.errors.total(), goal=0)
    events = {"booking.app": len(traffic.answered[BOOKING])}
    yield from memory.figures(
        dict.fromkeys(("webhook_dispatch.app", "background.results"), attempted) | events
    )


def booked(
    target: Target,
    calendars: Calendars,
    clients: int,
    seconds: float,
    *,
    at_half: Callable[[], None] = lambda: None,
) -> Traffic:
    """Let clients book for so long, after a warm-up; return what they saw."""
    load = Load(target, calendars, {BOOKING: 100})
    asyncio.run(load.run(clients=clients, seconds=WARM_UP_SECONDS))
    load.traffic.answered.clear()

    async def half_time() -> None:
        await asyncio.sleep(seconds / 2)
        await asyncio.to_thread(at_half)

    async def both() -> None:
        await asyncio.gather(half_time(), load.run(clients=clients, seconds=seconds))

    asyncio.run(both())
    return load.traffic


def latency(what: str, traffic: Traffic) -> Iterator[Figure]:
    """Return how long bookings took."""
    yield Figure(name=f"{what}, p50", value=traffic.milliseconds(BOOKING, 50), unit="ms", goal=6)
    yield Figure(name=f"{what}, p99", value=traffic.milliseconds(BOOKING, 99), unit="ms", goal=18)


def pages(target: Target, calendars: Calendars, seconds: float) -> Iterator[Figure]:
    """Measure clients that ask for pages while others book."""
    reading, booking = (Load(target, calendars, {kind: 100}) for kind in (PAGE, BOOKING))

    async def both() -> None:
        await asyncio.gather(
            reading.run(clients=PAGE_CLIENTS, seconds=seconds), booking.run(clients=BESIDE, seconds=seconds)
        )

    asyncio.run(both())
    p50, p99 = (reading.traffic.milliseconds(PAGE, percent) for percent in (50, 99))
    what = f"page over HTTP, {PAGE_CLIENTS} clients beside bookings"
    rates = (
        f"{reading.traffic.rate(PAGE):.0f} pages and {booking.traffic.rate(BOOKING):.0f} bookings a second"
    )
    note = f"{p99:.1f} of {p50:.1f} ms; {rates}"
    yield Figure(name=f"{what}, p99 of its p50", value=p99 / p50, unit="times", goal=10, note=note)
    errors = reading.traffic.errors.total() + booking.traffic.errors.total()
    yield Figure(name=f"{what}, errors", value=errors, goal=0)


def attempts(target: Target) -> int:
    """Return how many attempts at deliveries are on record."""
    with target.connect() as connection:
        row = connection.execute("SELECT count(*) AS n FROM webhook_attempts").fetchone()
    return int(row["n"]) if row else 0


def told(target: Target) -> int:
    """Return how many events the CRM has got."""
    url = f"{target.state['partners']['crm']}/webhooks/log"
    return int(httpx.get(url, params={"limit": 1}, timeout=30, trust_env=False).json()["total"])


if __name__ == "__main__":
    print(*figures(*map(float, sys.argv[1:])), sep="\n")
