"""A flood of guessed keys on the whole stack, beside a customer's system that notices nothing."""

import statistics
import threading
import time
from collections import Counter
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.support.stack import GUESSES, KEY, Stack, book, starts, wait_until

MANY = 30  # addresses
ROUNDS = 40
# Of the same two cores the flood takes what it gets: this is no measure of how fast anything is.
SLOWER = 8.0
SLOWEST = 15.0  # of the 99th percentile
# Requests that are looked up at the same moment come on top: one for each process of a function.
AT_ONCE = 4


class Flood:
    """Guesses without a pause: from the steady client's own address, and from many others in turn.

    Beside them another address sends what can be no key; it is never looked up.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended = threading.Event()
        many = [f"127.0.1.{number}" for number in range(1, MANY + 1)]
        self.answers: Counter[tuple[str, int]] = Counter()
        self.of_malformed: Counter[tuple[str, int]] = Counter()
        self._threads = [
            threading.Thread(target=self._work, args=(one, "guess-", self.answers))
            for one in (["127.0.0.1"], many)
        ]
        malformed = (["127.0.2.1"], "k" * 8_000, self.of_malformed)
        self._threads.append(threading.Thread(target=self._work, args=malformed))
        for one in self._threads:
            one.start()

    def _work(self, addresses: list[str], stem: str, answers: Counter[tuple[str, int]]) -> None:
        clients = [
            httpx.Client(base_url=self._url, transport=httpx.HTTPTransport(local_address=one), timeout=30)
            for one in addresses
        ]
        while not self._ended.is_set():
            for address, client in zip(addresses, clients, strict=True):
                answer = client.get("/api/appointments", headers={"X-API-Key": f"{stem}{uuid4()}"})
                answers[address, answer.status_code] += 1
        for client in clients:
            client.close()

    def has_tried(self, status: int, times: int) -> bool:
        """Tell whether so many answers with a status have come to the one address."""
        return self.answers["127.0.0.1", status] >= times

    def end(self) -> None:
        """Wait for the last answers."""
        self._ended.set()
        for one in self._threads:
            one.join()


def steady(stack: Stack, times: int) -> tuple[set[int], tuple[float, float]]:
    """Read so many times, and book now and then.

    Return the statuses, and the seconds of reading: the median, and the 99th percentile.
    """
    statuses, seconds = set(), []
    for number in range(times):
        began = time.perf_counter()
        answer = stack.api.get("/api/appointments", params={"limit": 1})
        seconds.append(time.perf_counter() - began)
        statuses.add(answer.status_code)
        if number % 10 == 0:
            free = starts(stack)
            statuses.add(book(stack, free[len(free) // 2]["start_time"]).status_code)
    return statuses, (statistics.median(seconds), statistics.quantiles(seconds, n=100)[98])


def look_ups(stack: Stack) -> int:
    """Return how many keys were looked up so far: each look-up searches the table twice."""
    with psycopg.connect(stack.state["database_url"]) as connection:
        row = connection.execute(
            "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'api_keys'"
        ).fetchone()
    assert row is not None
    return int(row[0]) // 2


@pytest.mark.alone
def test_who_has_a_key_notices_nothing_of_a_flood(quick: Stack) -> None:
    """No request is refused, none waits for long, and past the limit no guess reaches the database."""
    _, before = steady(quick, ROUNDS)
    known = look_ups(quick)
    flood = Flood(str(quick.api.base_url))
    try:
        wait_until(lambda: flood.has_tried(429, 20), 30, "the flood is past its limit")
        statuses, during = steady(quick, ROUNDS * 2)
    finally:
        flood.end()
    assert statuses <= {200, 201}
    assert during[0] < SLOWER * before[0]
    assert during[1] < SLOWEST * before[1]
    assert set(flood.of_malformed) == {("127.0.2.1", 401)}
    assert {status for _, status in flood.answers} == {401, 429}
    for address in {address for address, _ in flood.answers}:
        assert flood.answers[address, 401] <= GUESSES + AT_ONCE
    looked = sum(times for (_, status), times in flood.answers.items() if status == 401)
    assert flood.answers["127.0.0.1", 429] > 2 * GUESSES
    wait_until(lambda: look_ups(quick) - known >= looked, 30, "the database has told what it has done")
    # The steady client's own: each process of three functions looks its key up every 30 seconds.
    assert look_ups(quick) - known <= looked + 60
    assert KEY not in str(flood.answers)
