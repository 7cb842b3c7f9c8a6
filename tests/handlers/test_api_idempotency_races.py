"""One effect for an idempotency key, however many processes ask at once, and when one of them dies."""

import json
import os
import signal
from concurrent.futures.process import BrokenProcessPool
from time import monotonic

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from local.valkey import EmbeddedValkey
from tests.support.api_processes import at_once, elsewhere
from tests.support.http import book, booking_body, check_problem, request
from tests.support.invariants import check_invariants
from tests.support.tables import count

KEY = {"X-Idempotency-Key": "key-1"}
BOOK = request("POST", "/api/appointments", booking_body(), headers=KEY)


def await_key(cache: Redis, seconds: float = 20.0) -> None:
    """Wait until somebody works on a key."""
    end = monotonic() + seconds
    while not cache.keys("*#*"):
        assert monotonic() < end, "nobody came"


@pytest.mark.parametrize("with_cache", [True, False])
def test_twenty_at_once_are_one(
    team: Connection, request: pytest.FixtureRequest, *, with_cache: bool
) -> None:
    """The same key from twenty processes at once is one row; who is not answered alike is asked to wait."""
    if with_cache:
        request.getfixturevalue("cache")
    answers = [one for (one,) in at_once([[BOOK]] * 20)]
    done = [answer for answer in answers if answer.status == 201]
    for answer in answers:
        if answer not in done:
            check_problem(answer, 409, "IDEMPOTENCY_IN_PROGRESS")
    assert len({answer.json["appointment_id"] for answer in done}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in done) == 1
    assert with_cache or len(done) == 20
    assert count(team, "coach_appointments") == count(team, "changes") == 1
    check_invariants(team)
    assert book(headers=KEY).json == done[0].json


def test_who_comes_meanwhile_is_asked_to_wait(team: Connection, cache: Redis) -> None:
    """While the first request is being worked on the second is 409, and afterwards it is a repetition."""
    with elsewhere(BOOK) as (first, _):
        with team.transaction():
            team.execute("SELECT engine.lock_calendar(calendar_id) FROM calendars")
            first.running()
            await_key(cache)
            check_problem(book(headers=KEY), 409, "IDEMPOTENCY_IN_PROGRESS")
        (answer,) = first.result(20)
    assert answer.status == 201
    again = book(headers=KEY)
    assert again.json == answer.json
    assert again.headers["idempotent-replayed"] == "true"


def test_after_a_dead_process_the_retry_is_the_only_booking(team: Connection, cache: Redis) -> None:
    """A process killed in the middle of its work blocks its key for its time, and books nothing twice."""
    with pytest.raises(BrokenProcessPool), elsewhere(BOOK) as (first, pid):
        with team.transaction():
            team.execute("SELECT engine.lock_calendar(calendar_id) FROM calendars")
            await_key(cache)
            os.kill(pid, signal.SIGKILL)
        first.result(20)
    (name,) = cache.keys("*#*")
    check_problem(book(headers=KEY), 409, "IDEMPOTENCY_IN_PROGRESS")
    left = json.loads(cache.get(name) or "{}")
    cache.set(name, json.dumps(left | {"in_progress_expiration": left["in_progress_expiration"] - 10_000}))
    # The server may have ended the dead client's statement or not: either way there is one booking.
    assert book(headers=KEY).status == 201
    assert count(team, "coach_appointments") == 1


def test_a_cache_that_hangs_holds_nobody_up(team: Connection, cache: Redis, valkey: EmbeddedValkey) -> None:
    """With a cache that takes connections and says nothing a booking takes a second more at most."""
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        begun = monotonic()
        first = book(headers=KEY)
        again = book(headers=KEY)
        assert monotonic() - begun < 2
    finally:
        os.kill(valkey.pid, signal.SIGCONT)
    assert first.status == 201
    assert again.json == first.json
