"""Customers who book all the time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from tests.deploy.world import CALENDAR, World
from tests.support.http import booking_body

_PAUSE_SECONDS = 0.1


@dataclass
class Bookings:
    """How many were made, and what became of the others."""

    made: int = 0
    failed: list[str] = field(default_factory=list)


@contextmanager
def customers(world: World) -> Iterator[Bookings]:
    """Have customers book until the end of the block."""
    bookings, over = Bookings(), threading.Event()
    # From the end: what else is booked meanwhile begins at the front.
    starts = iter(world.free()[::-1])

    def book() -> None:
        with world.deployment.api() as api:
            while not over.wait(_PAUSE_SECONDS):
                try:
                    answer = api.post(
                        "/api/appointments",
                        json=booking_body(next(starts), calendar_id=CALENDAR),
                        headers={"X-Idempotency-Key": str(uuid4())},
                    )
                except httpx.HTTPError as error:
                    bookings.failed.append(repr(error))
                    continue
                if answer.status_code == 201:
                    bookings.made += 1
                else:
                    bookings.failed.append(f"{answer.status_code} {answer.text}")

    thread = threading.Thread(target=book)
    thread.start()
    try:
        yield bookings
    finally:
        over.set()
        thread.join()
