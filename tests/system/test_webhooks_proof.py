"""Webhooks on the running stack, with real processes: nothing is lost, and nobody delays anybody."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from fairslot import outbox, relay, secrets
from fairslot.settings import settings
from fairslot.webhooks import queue
from local.template import Template
from tests.subscriber_process import Subscribers, subscribers
from tests.system.conftest import CALM, ROOT, Stack, start, stop, wait_until
from tests.system.test_journey import starts
from tests.webhook_checker import faults, pending

# The whole proof is `FAIRSLOT_PROOF_EVENTS=5000`; what runs every time is the same with fewer.
EVENTS = int(os.environ.get("FAIRSLOT_PROOF_EVENTS", "150"))
ATTEMPTS = 5
SECRET = secrets.make()


@dataclass(frozen=True)
class World:
    """A stack, its database and its subscribers."""

    stack: Stack
    database: psycopg.Connection[Any]
    others: Subscribers

    def subscribe(self, *paths: str, types: str = "appointment.*") -> dict[str, UUID]:
        """Make an endpoint for each path, `behaviour/name`, or address; all share a secret."""
        made = {path: uuid4() for path in paths}
        for path, endpoint_id in made.items():
            self.database.execute(
                "INSERT INTO webhook_endpoints"
                " (endpoint_id, tenant_id, kind, url, event_types, secret, description)"
                " SELECT %s, tenant_id, 'standard', %s, %s, %s, %s FROM webhook_endpoints WHERE kind = 'crm'",
                [
                    endpoint_id,
                    path if "://" in path else f"{self.others.url}/{path}",
                    [types],
                    secrets.encrypt(SECRET, secrets.for_endpoint(endpoint_id)),
                    path.rpartition("/")[2],
                ],
            )
        return made

    def unsubscribe(self, *endpoints: UUID) -> None:
        """Turn endpoints off, so that later events are not theirs."""
        self.database.execute(
            "UPDATE webhook_endpoints SET enabled = false WHERE endpoint_id = ANY (%s)", [list(endpoints)]
        )

    def emit(self, count: int, endpoints: Sequence[UUID]) -> None:
        """Write so many events and a delivery of each for every endpoint, and have them sent."""
        self.database.execute(
            "WITH made AS (INSERT INTO webhook_events (tenant_id, type, version, data)"
            "  SELECT 'default', 'appointment.updated', number, jsonb_build_object('appointment_id', number)"
            "    FROM generate_series(1, %s) AS number RETURNING event_id)"
            " INSERT INTO webhook_deliveries (event_id, endpoint_id)"
            " SELECT event_id, endpoint_id FROM made CROSS JOIN unnest(%s::uuid[]) AS endpoint_id",
            [count, list(endpoints)],
        )
        while self.sweep():
            pass

    def sweep(self) -> int:
        """Do what maintenance does every minute."""
        url = self.stack.state["database_url"]
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as other:
            return outbox.sweep(other, send=relay.send_deliveries, now=datetime.now(UTC), limit=100)

    def settle(self, endpoints: Sequence[UUID], seconds: float) -> None:
        """Wait until every delivery has ended, sweeping meanwhile."""

        def ended() -> bool:
            self.sweep()
            return pending(self.database, endpoints) == 0

        wait_until(ended, seconds, "every delivery has ended")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A calm stack whose queues give messages of killed functions back soon."""
    few = {"WEBHOOK_MAX_ATTEMPTS": str(ATTEMPTS), "WEBHOOK_TIMEOUT_SECONDS": "2", "CRM_HANG_RATE": "0"}
    stack = start(tmp_path_factory.mktemp("proof") / "data", CALM | few)
    with pytest.MonkeyPatch.context() as patch:
        state = stack.state
        template = Template(ROOT / "template.yaml", {}, state["sqs_endpoint"])
        environment = {
            "AWS_ENDPOINT_URL": state["sqs_endpoint"],
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "WEBHOOK_KMS_KEY_ID": template.key_aliases[0],
            "DELIVERIES_QUEUE_URL": state["queues"]["DeliveriesQueue"],
            "OUTBOX_GRACE_SECONDS": "0",
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        _forget()
        import boto3

        sqs = boto3.client("sqs")
        for name in ("DeliveriesQueue", "ResultsQueue"):
            sqs.set_queue_attributes(QueueUrl=state["queues"][name], Attributes={"VisibilityTimeout": "8"})
        sqs.close()
        with (
            psycopg.connect(state["database_url"], autocommit=True) as database,
            subscribers(tmp_path_factory.mktemp("subscribers") / "taken", SECRET) as others,
        ):
            yield World(stack, database, others)
    _forget()
    stop(stack)


def test_subscribers_that_misbehave_end_among_the_failures(world: World) -> None:
    """One hangs, one drips, one sends gigabytes, one cuts the line; the good ones get everything."""
    bad = world.subscribe("hang/hang", "drip/drip", "reset/reset", "http://127.0.0.1:1/refusing")
    good = world.subscribe("ok/good", "flaky/flaky", "gigabytes/gigabytes")
    everybody = [*bad.values(), *good.values()]
    began = time.monotonic()
    world.emit(10, everybody)
    wait_until(
        lambda: len({event for name, event, _ in world.others.taken() if name == "good"}) == 10,
        20,
        "good got all",
    )
    assert time.monotonic() - began < 10
    world.settle(everybody, 90)
    # What answers 200 has taken it, however much it then sends: 64 KiB are read.
    deaf = {good["gigabytes/gigabytes"]}
    assert faults(world.database, set(everybody) - deaf, world.others.taken()) == []
    outcomes = dict(
        world.database.execute(
            "SELECT endpoint_id, array_agg(DISTINCT status) FROM webhook_deliveries"
            " WHERE endpoint_id = ANY (%s) GROUP BY 1",
            [everybody],
        ).fetchall()
    )
    assert {tuple(outcomes[one]) for one in bad.values()} == {("failed",)}
    assert {tuple(outcomes[one]) for one in good.values()} == {("delivered",)}
    world.unsubscribe(*everybody)


def test_nothing_is_lost_when_processes_are_killed(world: World) -> None:
    """Booking, dispatcher and results get kill -9 amid bookings: every event arrives and is recorded."""
    endpoints = [*world.subscribe("ok/a", "flaky/b").values()]
    wait_until(lambda: len(starts(world.stack)) > 60, 60, "the calendars are read")
    times = [one["start_time"] for one in starts(world.stack)][::5][:40]
    with killing(world.stack) as killed, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda at: book_patiently(world.stack, at), times))
        wait_until(lambda: len(killed) >= 20, 30, "enough were killed")
    booked = [answer for answer in answers if answer == 201]
    assert len(booked) >= 30
    world.settle(endpoints, 90)
    assert faults(world.database, endpoints, world.others.taken()) == []
    row = world.database.execute(
        "SELECT count(DISTINCT event_id) FROM webhook_deliveries WHERE endpoint_id = %s", [endpoints[0]]
    ).fetchone()
    assert row is not None
    assert row[0] >= len(booked)
    world.unsubscribe(*endpoints)


def test_what_comes_twice_and_shuffled_is_told_by_id_and_version(world: World) -> None:
    """Every message three times over in any order: each event is recorded once, under its own version."""
    (endpoint,) = world.subscribe("ok/twice").values()
    world.emit(20, [endpoint])
    rows = world.database.execute(
        "SELECT message::text FROM delivery_messages JOIN webhook_deliveries USING (delivery_id)"
        " WHERE endpoint_id = %s",
        [endpoint],
    ).fetchall()
    messages = [row[0] for row in rows] * 2
    random.shuffle(messages)
    relay.send_deliveries(messages)
    world.settle([endpoint], 60)
    wait_until(
        lambda: sum(name == "twice" for name, *_ in world.others.taken()) >= 60,
        30,
        "all three rounds arrived",
    )
    assert faults(world.database, [endpoint], world.others.taken()) == []
    world.unsubscribe(endpoint)


@pytest.mark.timeout(120 + 2 * EVENTS)
@pytest.mark.timeout(600)  # the waits in it have bounds of their own
def test_two_dead_subscribers_of_ten_delay_nobody(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The other eight are done within twice the time that they take alone."""
    alone = _seconds(world, "alone")
    together = _seconds(world, "together", "hang/dead", "http://127.0.0.1:1/refusing-too")
    with capsys.disabled():
        rate = 8 * EVENTS / alone
        print(  # noqa: T201  # a measurement
            f"\n{EVENTS} events to eight: {alone:.1f} s ({rate:.0f}/s); with two dead: {together:.1f} s"
        )
    assert together < 2 * alone


def _seconds(world: World, name: str, *dead: str) -> float:
    """Return how long it takes until eight subscribers have all events, which others fail to get."""
    alive = world.subscribe(*(f"ok/{name}-{number}" for number in range(8)))
    gone = world.subscribe(*dead)
    seen: set[str] = set()
    with world.others.file.open(encoding="utf-8") as taken:
        taken.seek(0, os.SEEK_END)

        def all_there() -> bool:
            # Only what is new: reading everything each time costs more than the deliveries.
            seen.update(line for line in taken if line.startswith(f"{name}-"))
            return len(seen) == 8 * EVENTS

        began = time.monotonic()
        world.emit(EVENTS, [*gone.values(), *alive.values()])
        wait_until(all_there, 120 + EVENTS, "the eight have all")
    took = time.monotonic() - began
    wait_until(lambda: pending(world.database, [*alive.values()]) == 0, 60 + EVENTS, "all is recorded")
    assert faults(world.database, [*alive.values()], world.others.taken()) == []
    world.unsubscribe(*alive.values(), *gone.values())
    return took


@contextmanager
def killing(stack: Stack) -> Iterator[list[int]]:
    """Kill a process of one of three functions every now and then; yields whom."""
    ended = threading.Event()
    killed: list[int] = []

    def run() -> None:
        names = ("BookingFunction", "DispatchFunction", "ResultsFunction")
        while not ended.wait(random.uniform(0.05, 0.5)):  # noqa: S311  # chance, not a secret
            for pid in processes(stack, random.choice(names))[:1]:  # noqa: S311
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    killer = threading.Thread(target=run)
    killer.start()
    yield killed
    ended.set()
    killer.join()


def processes(stack: Stack, function: str) -> list[int]:
    """Return the processes that a function of this stack has now."""
    marks = {f"AWS_LAMBDA_FUNCTION_NAME={function}".encode(), f"HOME={stack.data}".encode()}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if marks <= set((entry / "environ").read_bytes().split(b"\0")):
                    found.append(int(entry.name))
    return found


def book_patiently(stack: Stack, at: str) -> int:
    """Book as a good client does: under the same key again after a 5xx."""
    key = str(uuid4())
    body = {
        "calendar_id": "cal-1",
        "start_time": at,
        "contact_email": "customer@example.com",
        "contact_name": "A Customer",
    }
    deadline = time.monotonic() + 30
    while True:
        answer = stack.api.post("/api/appointments", headers={"X-Idempotency-Key": key}, json=body)
        if (answer.status_code < 500 and answer.json().get("error") != "IDEMPOTENCY_IN_PROGRESS") or (
            time.monotonic() > deadline
        ):
            return answer.status_code


def _forget() -> None:
    settings.cache_clear()
    secrets.forget()
    queue.forget_client()
