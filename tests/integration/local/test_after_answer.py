"""Bookings of the real function: their events are published after the answer, and never lost."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pytest

from fairslot.coach_time.days import extend_days
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox, publishing
from local.function_env import ROOT
from local.pools import Pool
from local.sqs import SqsStandIn
from tests.integration.local.conftest import MakePool, eventually
from tests.support.clock import MINUTE
from tests.support.endpoints import add_endpoint
from tests.support.http import KEY, add_key, booking_body, request
from tests.support.processes import frozen
from tests.support.queues import Queues
from tests.support.team import ALWAYS, add_calendar, add_coach

pytestmark = pytest.mark.anyio

QUEUE_SECONDS = 3.0  # what a queue that hangs costs whoever waits for it

type MakeFunction = Callable[..., Pool]


@pytest.fixture
def function(
    make_pool: MakePool, connection: Connection, database_url: str, sqs: SqsStandIn, queues: Queues
) -> MakeFunction:
    """Make the booking function, with a coach who is always free and a partner who is told."""
    add_key(connection, KEY)
    add_endpoint(connection, "crm", "appointment.*")
    add_coach(connection, "coach", time_zone="UTC", max_per_day=1_000, working_hours=ALWAYS)
    add_calendar(connection, "cal", ["coach"])
    extend_days(connection, now=datetime.now(UTC))

    def make(**variables: str) -> Pool:
        given = {
            "LAMBDA_TASK_ROOT": str(ROOT / "functions"),
            "DATABASE_URL": database_url,
            "AFTER_ANSWER": "true",
            "ANY_KEY_FORM": "true",
            **sqs.environment,
            **queues.urls,
            **variables,
        }
        return make_pool("booking.app.lambda_handler", max_processes=1, **given)

    return make


async def book(pool: Pool, hour: int) -> dict[str, Any]:
    """Book an hour of tomorrow that must be free."""
    tomorrow = datetime.now(UTC).replace(hour=hour, minute=0, second=0, microsecond=0) + 1_440 * MINUTE
    event = request("POST", "/api/appointments", booking_body(tomorrow))
    answer = await pool.invoke(json.dumps(event).encode())
    assert answer.error is None, answer
    got: dict[str, Any] = json.loads(answer.payload)
    assert got["statusCode"] == 201, got
    return got


def unpublished(connection: Connection) -> int:
    """Return how many events have no delivery yet or one that is not on the queue."""
    deliveries = "SELECT event_id FROM webhook_deliveries WHERE published_at IS NULL"
    return connection.execute(
        f"SELECT change_id FROM changes WHERE NOT told UNION ALL {deliveries}".encode()
    ).rowcount


def sweep(connection: Connection) -> int:
    """Sweep the outbox, a minute from now."""
    now = datetime.now(UTC) + MINUTE
    return outbox.sweep_all(connection, send=publishing.send_deliveries, now=now, deadline=monotonic() + 30)


async def test_events_are_published_after_the_answer(
    function: MakeFunction, connection: Connection, queues: Queues
) -> None:
    """By the process that has answered, without the sweep."""
    pool = function()
    await book(pool, 9)
    await eventually(lambda: unpublished(connection) == 0)
    assert len(queues.take("DELIVERIES")) == 1


@pytest.mark.parametrize("after", ["true", "false"])
async def test_a_slow_queue_delays_no_answer_unless_it_is_asked_in_line(
    function: MakeFunction, sqs: SqsStandIn, connection: Connection, after: str
) -> None:
    """The next request waits as long as it would have waited before, and those that follow do not."""
    pool = function(AFTER_ANSWER=after)
    await book(pool, 9)
    await eventually(lambda: unpublished(connection) == 0)
    took = []
    with frozen(sqs.pid):
        for hour in (10, 11, 12):
            begun = monotonic()
            await book(pool, hour)
            took.append(monotonic() - begun)
    waits = [0, 1] if after == "false" else [1, 0]
    assert took[waits[0]] >= QUEUE_SECONDS - 1 > took[waits[1]]
    assert took[waits[0]] < QUEUE_SECONDS + 2
    assert took[2] < 1
    assert unpublished(connection) == 3


async def test_a_process_that_dies_before_it_publishes_leaves_it_to_the_sweep(
    function: MakeFunction, sqs: SqsStandIn, connection: Connection, queues: Queues
) -> None:
    """The booking is answered, its event is not on the queue, and the sweep sends it."""
    pool = function()
    await book(pool, 9)
    await eventually(lambda: unpublished(connection) == 0)
    queues.take("DELIVERIES")
    with frozen(sqs.pid):
        answer = await book(pool, 10)
        (pid,) = pool.pids
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: pid not in pool.pids)
    assert unpublished(connection) == 1
    assert await asyncio.to_thread(sweep, connection) == 1
    made = json.loads(answer["body"])["appointment_id"]
    # The queue may have got what the process was sending when it died: the same delivery twice.
    assert {one["data"]["appointment_id"] for one in queues.take("DELIVERIES")} == {made}
    assert (await book(pool, 11))["statusCode"] == 201


async def test_work_that_fails_is_logged_and_costs_no_answer(
    function: MakeFunction, connection: Connection, tmp_path: Any
) -> None:
    """A database that refuses the note of what was sent: the event is sent again by the sweep."""
    connection.execute("ALTER TABLE webhook_deliveries ADD CONSTRAINT never CHECK (published_at IS NULL)")
    pool = function()
    first = await book(pool, 9)
    second = await book(pool, 10)
    assert first["statusCode"] == second["statusCode"] == 201
    log = tmp_path / "function.log"
    await eventually(lambda: log.read_text().count('"AfterAnswerFailed":[1') == 2)
    assert log.read_text().count("work after the answer failed") == 2
    assert len(pool.pids) == 1
