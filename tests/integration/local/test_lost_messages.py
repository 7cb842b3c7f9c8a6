"""The queues' stand-in is killed with deliveries on it: they go on at once, not once they are overdue."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from tests.integration.local.endings import wait_for, wait_for_end
from tests.integration.local.test_stack import Stack

KEY = "prod-key-789"
# From the kill to the last delivery.
SILENT_SECONDS = 30.0
FAILING = {
    "CRM_FAILURE_RATE": "1",
    "CALENDAR_FAILURE_RATE": "0",
    "CRM_LATENCY_MS": "1",
    "CALENDAR_LATENCY_MS": "1",
}


@contextmanager
def running(data: Path, **variables: str) -> Iterator[Stack]:
    """Run a stack whose CRM fails until it is told otherwise."""
    stack = Stack(data, **FAILING | variables)
    try:
        stack.ready()
        yield stack
    finally:
        stack.process.send_signal(signal.SIGINT)
        stack.process.communicate()


def book(state: Any, count: int) -> None:
    """Book so many appointments."""
    with httpx.Client(
        base_url=state["gateway"], headers={"X-API-Key": KEY}, trust_env=False, timeout=30
    ) as api:

        def starts() -> list[Any]:
            return api.get("/api/availability?calendar_id=cal-1&limit=200").json()["slots"]  # type: ignore[no-any-return]

        # An hour apart, so that none takes another's last free coach.
        wait_for(lambda: len(starts()) > 4 * count)
        for slot in starts()[::4][:count]:
            body = {"calendar_id": "cal-1", "contact_email": "kim@example.com", "contact_name": "Kim"}
            answer = api.post(
                "/api/appointments",
                headers={"X-Idempotency-Key": str(uuid4())},
                json=body | {"start_time": slot["start_time"]},
            )
            assert answer.status_code == 201, answer.text


def deliveries(state: Any, condition: str) -> int:
    """Count the CRM's deliveries of which a condition holds."""
    with psycopg.connect(state["database_url"]) as connection:
        row = connection.execute(
            "SELECT count(*) FROM webhook_deliveries JOIN webhook_endpoints USING (endpoint_id)"
            f" WHERE kind = 'crm' AND {condition}".encode()
        ).fetchone()
    return int(row[0]) if row else 0


def mend(state: Any) -> None:
    """Let the CRM answer as it should."""
    httpx.post(f"{state['partners']['crm']}/control", json={"failure_rate": 0}, trust_env=False)


def test_deliveries_go_on_when_the_queues_come_back(tmp_path: Path) -> None:
    """What waited for its next attempt, and what was booked while the queues were away."""
    with running(tmp_path) as stack:
        state = stack.state()
        book(state, 4)
        wait_for(lambda: deliveries(state, "next_attempt_at IS NOT NULL") == 4)
        os.kill(state["pids"]["sqs"], signal.SIGKILL)
        killed = time.monotonic()
        wait_for_end(state["pids"]["sqs"])
        book(state, 2)
        mend(state)
        wait_for(lambda: deliveries(state, "status = 'delivered'") == 6)
        assert time.monotonic() - killed < SILENT_SECONDS


def test_deliveries_go_on_when_everything_was_killed(tmp_path: Path) -> None:
    """The stack that starts next knows that the queues did not stop in good order."""
    with running(tmp_path) as stack:
        state = stack.state()
        book(state, 4)
        wait_for(lambda: deliveries(state, "next_attempt_at IS NOT NULL") == 4)
        stack.process.send_signal(signal.SIGSTOP)  # or it would start them again
        os.kill(state["pids"]["sqs"], signal.SIGKILL)
        stack.process.send_signal(signal.SIGKILL)
        stack.process.wait()
        for pid in state["pids"].values():
            wait_for_end(pid)
    with running(tmp_path, CRM_FAILURE_RATE="0") as again:
        began = time.monotonic()
        wait_for(lambda: deliveries(again.state(), "status = 'delivered'") == 4)
        assert time.monotonic() - began < SILENT_SECONDS


def test_nothing_is_sent_again_that_the_queues_have(tmp_path: Path) -> None:
    """Where they stopped in good order, what they saved is there again and no other message beside it."""
    with running(tmp_path) as stack:
        book(stack.state(), 1)
        wait_for(lambda: deliveries(stack.state(), "next_attempt_at IS NOT NULL") == 1)
        sent = published(stack.state())
    with running(tmp_path, CRM_FAILURE_RATE="0") as again:
        wait_for(lambda: deliveries(again.state(), "status = 'delivered'") == 1)
        assert published(again.state()) == sent


def published(state: Any) -> Any:
    """Return when the CRM's only delivery was sent to the queue."""
    with psycopg.connect(state["database_url"]) as connection:
        return connection.execute(
            "SELECT published_at FROM webhook_deliveries JOIN webhook_endpoints USING (endpoint_id)"
            " WHERE kind = 'crm'"
        ).fetchall()
