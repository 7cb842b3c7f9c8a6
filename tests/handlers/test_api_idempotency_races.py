"""One effect for an idempotency key, however many processes ask at once, and when one of them dies."""

import json
import os
import signal
from concurrent.futures.process import BrokenProcessPool
from time import monotonic
from typing import Any

import pytest
from redis import Redis

from fairslot.platform import after_answer
from fairslot.platform.db import Connection
from local.valkey import EmbeddedValkey
from tests.support.api_processes import at_once, elsewhere
from tests.support.clock import HALF, NINE
from tests.support.http import add_key, book, booking_body, check_problem, request
from tests.support.invariants import check_invariants
from tests.support.race import wait_until
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
            wait_until(lambda: waiting(team) > 0)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: end_waiting(team) == 0)
        first.result(20)
    (name,) = cache.keys("*#*")
    check_problem(book(headers=KEY), 409, "IDEMPOTENCY_IN_PROGRESS")
    left = json.loads(cache.get(name) or "{}")
    cache.set(name, json.dumps(left | {"in_progress_expiration": left["in_progress_expiration"] - 10_000}))
    assert book(headers=KEY).status == 201
    assert count(team, "coach_appointments") == 1


def test_what_a_dead_process_had_done_is_the_answer(team: Connection, cache: Redis) -> None:
    """The server finishes the statement of a process that was killed: its key is answered, not blocked."""
    with pytest.raises(BrokenProcessPool), elsewhere(BOOK) as (first, pid):
        with team.transaction():
            team.execute("SELECT engine.lock_calendar(calendar_id) FROM calendars")
            wait_until(lambda: waiting(team) > 0)
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: count(team, "coach_appointments") == 1)
        os.kill(pid, signal.SIGKILL)
        first.result(20)
    (name,) = cache.keys("*#*")
    assert json.loads(cache.get(name) or "{}")["status"] == "INPROGRESS"
    answer = book(headers=KEY)
    assert (answer.status, answer.headers["idempotent-replayed"]) == (201, "true")
    assert count(team, "coach_appointments") == 1


def test_a_record_is_completed_after_the_answer(
    team: Connection, cache: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is asked once before the answer; who comes before the record is complete is answered too."""
    left: list[after_answer.Work] = []
    monkeypatch.setattr(after_answer, "run", left.append)
    book(headers={"X-Idempotency-Key": "warm"})
    asked = count_commands(monkeypatch)
    first = book(NINE + HALF, headers=KEY)
    assert asked == ["EVALSHA"]
    assert book(NINE + HALF, headers=KEY).json == first.json
    for work in left:
        work()
    asked.clear()
    again = book(NINE + HALF, headers=KEY)
    assert (again.json, again.headers["idempotent-replayed"]) == (first.json, "true")
    assert count(team, "coach_appointments") == 2


def test_past_the_limit_a_key_is_not_taken(team: Connection, cache: Redis) -> None:
    """A request that is refused for its number leaves no record of its key, and one in progress alone."""
    add_key(team, "one", rate_limit=1)
    assert book(key="one", headers={"X-Idempotency-Key": "first"}).status == 201
    before = cache.keys("*#*")
    check_problem(book(NINE + HALF, key="one", headers=KEY), 429, "RATE_LIMIT_EXCEEDED")
    assert cache.keys("*#*") == before
    assert book(NINE + HALF, headers=KEY).status == 201


def count_commands(patch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that gets the name of each command which the functions send from now on."""
    real: Any = Redis.execute_command
    asked: list[str] = []

    def noted(client: Redis, *command: Any, **options: Any) -> Any:
        asked.append(command[0])
        return real(client, *command, **options)

    patch.setattr(Redis, "execute_command", noted)
    return asked


def waiting(connection: Connection) -> int:
    """Return how many sessions of the database wait for a lock."""
    connection.execute("SELECT pg_stat_clear_snapshot()")
    return connection.execute(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).rowcount


def end_waiting(connection: Connection) -> int:
    """End the sessions that wait for a lock, so that what they wait to do is never done; return how many."""
    connection.execute("SELECT pg_stat_clear_snapshot()")
    return connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).rowcount


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
