"""Postgres hangs under a running stack: everybody hears so in time, and each key books once."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.processes import frozen
from tests.support.stack import (
    CALM,
    Stack,
    appointments,
    book,
    running,
    starts,
    stop,
    wait_until,
    wait_until_read,
)

CLIENTS = 12
REQUESTS = 60
FUNCTION_SECONDS = 10.0  # the timeout of the functions that answer HTTP


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stack]:
    """A stack of the test's own, its calendars read."""
    with running(tmp_path / "data", CALM) as stack:
        wait_until_read(stack)
        yield stack
        assert stop(stack) == 0


def book_all(stack: Stack, times: Sequence[str]) -> list[tuple[httpx.Response, float]]:
    """Book each time under its key, some at once; return each answer and after how many seconds it came."""

    def timed(start_time: str) -> tuple[httpx.Response, float]:
        begun = time.monotonic()
        return book(stack, start_time, key=f"hanging-{start_time}"), time.monotonic() - begun

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(timed, times))


@pytest.mark.timeout(180)
def test_everybody_hears_in_time_that_the_database_hangs(own: Stack) -> None:
    """503 with Retry-After within the function's time, health names it, and the same keys book once each."""
    times = [one["start_time"] for one in starts(own)][::3][:REQUESTS]
    pids = own.state["pids"]
    with ExitStack() as hanging, ThreadPoolExecutor(1) as pool:
        hanging.enter_context(frozen(pids["postgres"]))
        asked = pool.submit(book_all, own, times)
        begun = time.monotonic()
        health = own.api.get("/health")
        assert time.monotonic() - begun < FUNCTION_SECONDS / 2
        said = asked.result()
    assert (health.status_code, health.json()["database"]) == (503, {"status": "down"})
    for answer, seconds in said:
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) > 0
        assert seconds < FUNCTION_SECONDS
    made: list[httpx.Response] = []

    def all_answered() -> bool:
        """Do as the answers said: come again, with the same keys."""
        made[:] = [answer for answer, _ in book_all(own, times)]
        assert {answer.status_code for answer in made} <= {201, 503}
        return all(answer.status_code == 201 for answer in made)

    wait_until(all_answered, 30, "every key has booked")
    again = [answer.json() for answer, _ in book_all(own, times)]
    assert again == [answer.json() for answer in made]
    assert set(appointments(own)) == {one["appointment_id"] for one in again}
