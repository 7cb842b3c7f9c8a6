"""A dependency that hangs and does not refuse: an answer in the function's time all the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from uuid import uuid4

import pytest
from redis import Redis

from background import maintenance, results
from fairslot.access import keys
from fairslot.messages.attempts import Attempt
from fairslot.platform import db
from fairslot.platform.db import Connection
from local.postgres import EmbeddedPostgres
from local.sqs import SqsStandIn
from local.valkey import EmbeddedValkey
from tests.support.clock import HALF, MINUTE, NINE
from tests.support.deliveries import KMS_KEY
from tests.support.endpoints import add_endpoint
from tests.support.fixtures import Clock, Environment
from tests.support.http import Answer, ask, book, booked, check_problem
from tests.support.lambda_context import context
from tests.support.processes import frozen
from tests.support.queues import Queues
from tests.support.race import wait_until
from tests.support.sqs_events import batch_event
from tests.support.tables import count
from tests.support.team import set_coach

LONGEST = 6.5  # seconds: the budget of a request and a second for a busy machine


@contextmanager
def in_time(seconds: float = LONGEST) -> Iterator[None]:
    """Assert that what is done inside does not take longer."""
    begun = monotonic()
    yield
    assert monotonic() - begun < seconds


def booked_with(key: str) -> Answer:
    """Ask for an appointment under an idempotency key `k-N`, N half hours after the first."""
    start = NINE + int(key.removeprefix("k-")) * HALF
    return book(start, headers={"X-Idempotency-Key": key})


def check_unavailable(answer: Answer) -> None:
    """Assert that an answer tells to come again."""
    check_problem(answer, 503, "SERVICE_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0


def check_once_each(connection: Connection, keys: list[str]) -> None:
    """Ask again under each key, and again, and find one appointment for each and no other."""
    made = {}
    for key in keys:
        answer = booked_with(key)
        assert answer.status == 201, answer
        made[key] = answer.json["appointment_id"]
        assert booked_with(key).json["appointment_id"] == made[key]
    assert len(set(made.values())) == len(keys)
    # What was cut off may still be at work in the server that goes on.
    wait_until(lambda: other_sessions(connection) == 1)
    assert count(connection, "coach_appointments") == len(keys)


def other_sessions(connection: Connection) -> int:
    """Return how many sessions there are beside this one."""
    return connection.execute(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    ).rowcount


@pytest.mark.parametrize("idle_seconds", [60.0, 0.0], ids=["in use", "left alone"])
def test_a_database_that_hangs_is_503_in_time(
    team: Connection, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, idle_seconds: float
) -> None:
    """Whether it stops under a statement or was left alone before; each key books once afterwards."""
    monkeypatch.setattr(db, "_IDLE_SECONDS", idle_seconds)
    keys = ["k-0", "k-1", "k-2", "k-3"]
    assert booked_with(keys[0]).status == 201
    with frozen(postgres.pid):
        with in_time():
            check_unavailable(booked_with(keys[1]))
        with in_time():
            check_unavailable(booked_with(keys[2]))  # finds no connection and gets none
        with in_time(0.8):
            check_unavailable(booked_with(keys[3]))  # and is not the next to wait
    db.close()
    check_once_each(team, keys)


def test_a_key_cannot_be_looked_up_in_a_database_that_hangs(
    team: Connection, postgres: EmbeddedPostgres
) -> None:
    """Nobody is told that a key is unknown because it could not be looked for."""
    booked()
    keys.clear_cache()
    with frozen(postgres.pid), in_time():
        check_unavailable(ask("GET", "/api/appointments"))
    db.close()
    assert ask("GET", "/api/appointments").status == 200


def test_what_was_cut_off_is_not_read_as_the_next_answer(
    team: Connection, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose answer is still to come is not used again."""
    booked()
    monkeypatch.setattr("fairslot.http.api._LONGEST_SECONDS", 1.0)
    before = db._Session.connection  # noqa: SLF001 - the process's own connection has no other name
    assert before is not None
    with frozen(postgres.pid):
        check_unavailable(ask("GET", "/api/appointments"))
    assert before.closed
    monkeypatch.undo()
    assert ask("GET", "/api/coaches/distribution").json["max_deviation"] is not None


def test_health_names_what_hangs(team: Connection, cache: Redis, postgres: EmbeddedPostgres) -> None:
    """It says soon that the database is down, and that the cache is not."""
    assert ask("GET", "/health", key=None).status == 200
    with frozen(postgres.pid), in_time(4):
        answer = ask("GET", "/health", key=None)
    assert (answer.status, answer.headers["content-type"]) == (503, "application/json")
    assert (answer.json["database"], answer.json["cache"]) == ({"status": "down"}, {"status": "ok"})


def test_a_batch_is_answered_before_its_function_is_killed(
    team: Connection, postgres: EmbeddedPostgres
) -> None:
    """A function behind a queue says in its own time that every message stays."""
    booked()
    message = Attempt(
        delivery_id=uuid4(),
        event_id=uuid4(),
        kind="crm",
        type="appointment.created",
        attempt=1,
        at=datetime.now(UTC),
        outcome="delivered",
        latency_ms=1,
        answer={},
    ).to_json()
    with frozen(postgres.pid), in_time(4):
        answer = results.lambda_handler(batch_event(message, message), context(4.0))
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["0", "1"]


def test_a_cache_that_hangs_costs_nobody_a_booking(
    team: Connection, cache: Redis, valkey: EmbeddedValkey
) -> None:
    """Bookings are taken without it, once for each key, and health says so."""
    assert booked_with("k-9").status == 201
    with frozen(valkey.pid):
        with in_time(3):
            made = booked_with("k-0")
        assert made.status == 201
        assert booked_with("k-0").json == made.json
        with in_time(3):
            health = ask("GET", "/health", key=None)
    assert (health.status, health.json["status"], health.json["cache"]["status"]) == (200, "degraded", "down")
    check_once_each(team, ["k-9", "k-0", "k-1"])


def test_a_queue_that_hangs_costs_nobody_a_booking(
    team: Connection, queues: Queues, sqs: SqsStandIn, clock: Clock
) -> None:
    """Bookings are taken, only the first waits for the queue, and the sweep sends what they tell."""
    add_endpoint(team, "crm", "appointment.*")
    with frozen(sqs.pid):
        with in_time():
            assert booked_with("k-0").status == 201
        with in_time(1):
            assert booked_with("k-1").status == 201
    clock(datetime.now(UTC) + MINUTE)
    assert maintenance.lambda_handler({"task": "outbox"}, context())["sent"] == 2
    # The queue may still take what the first had sent before it stopped waiting: the same delivery twice.
    assert len({one["delivery_id"] for one in queues.take("DELIVERIES")}) == 2


def test_a_key_service_that_hangs_is_503_in_time(
    team: Connection, queues: Queues, sqs: SqsStandIn, environment: Environment
) -> None:
    """A secret that cannot be locked up makes no endpoint."""
    environment(WEBHOOK_KMS_KEY_ID=KMS_KEY)
    wish = {"url": "https://example.com/hook", "event_types": ["appointment.created"]}
    with frozen(sqs.pid), in_time():
        check_unavailable(ask("POST", "/api/webhook-endpoints", wish))
    assert count(team, "webhook_endpoints") == 0


def test_a_first_reading_that_nobody_makes_does_not_use_up_the_time(
    team: Connection, queues: Queues, sqs: SqsStandIn, environment: Environment
) -> None:
    """Neither a queue that hangs nor a long wait keeps the page from being answered."""
    environment(FIRST_SYNC_WAIT_SECONDS="60")
    set_coach(team, calendar_kind="calendar_api")
    with frozen(sqs.pid), in_time():
        answer = ask("GET", "/api/availability", query={"calendar_id": "cal", "start": NINE.isoformat()})
    assert answer.status == 200
