"""The whole system as a person starts it, on free ports, with partners that fail as partners do."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.function_env import PYTHONPATH
from local.processes import free_port
from tests.support.http import booking_body

ROOT = Path(__file__).parents[2]
KEY = "prod-key-789"
FAULTS = {"CRM_FAILURE_RATE": "0.3", "CALENDAR_FAILURE_RATE": "0.1"}
QUICK = {"CRM_LATENCY_MS": "20-120", "CALENDAR_LATENCY_MS": "20-120"}
CALM = QUICK | {"CRM_FAILURE_RATE": "0", "CRM_HANG_RATE": "0", "CALENDAR_FAILURE_RATE": "0"}
GUESSES = 20  # that an address may try in a minute where a test floods the stack


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running stack: its process, what it said, and how to talk to its parts."""

    process: subprocess.Popen[str]
    said: list[str]
    data: Path
    api: httpx.Client
    calendar: httpx.Client
    crm: httpx.Client

    @property
    def state(self) -> dict[str, Any]:
        """What the stack tells of its parts."""
        state: dict[str, Any] = json.loads((self.data / "stack.json").read_text("utf-8"))
        return state


def start(data: Path, variables: Mapping[str, str], module: str = "local.stack") -> Stack:
    """Start a stack and wait until it says that it is ready."""
    environment = {
        name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_RATE", "_PORT"))
    }
    environment |= {
        "PYTHONPATH": PYTHONPATH,
        "PORT": str(free_port()),
        "CALENDAR_PORT": str(free_port()),
        "CRM_PORT": str(free_port()),
        "FAIRSLOT_DATA": str(data),
        **variables,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                said.append(line.rstrip())
                if line.startswith("ready"):
                    ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    ready.wait(60)
    if not any(line.startswith("ready") for line in said):
        _end(process, signal.SIGTERM)
        pytest.fail("\n".join(said))
    addresses = json.loads((data / "stack.json").read_text("utf-8"))
    return Stack(
        process=process,
        said=said,
        data=data,
        api=httpx.Client(base_url=addresses["gateway"], headers={"X-API-Key": KEY}, timeout=30),
        calendar=httpx.Client(base_url=addresses["partners"]["calendar_api"], timeout=30),
        crm=httpx.Client(base_url=addresses["partners"]["crm"], timeout=30),
    )


def stop(stack: Stack, number: signal.Signals = signal.SIGTERM) -> int:
    """Stop a stack and return its exit code."""
    for client in (stack.api, stack.calendar, stack.crm):
        client.close()
    return _end(stack.process, number)


@contextmanager
def running(data: Path, variables: Mapping[str, str]) -> Iterator[Stack]:
    """Start a stack, and stop it at the end if the test has not done so."""
    stack = start(data, variables)
    try:
        yield stack
    finally:
        if stack.process.poll() is None:
            stop(stack)


def _end(process: subprocess.Popen[str], number: signal.Signals) -> int:
    """Send a signal and return the exit code; kill the process if it does not end."""
    process.send_signal(number)
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()  # what it has started ends with it
        process.wait()
        raise


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until a condition holds; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.25)


def starts(stack: Stack, calendar_id: str = "cal-1", days: int = 14) -> list[dict[str, Any]]:
    """List a calendar's bookable starts."""
    answer = stack.api.get("/api/availability", params={"calendar_id": calendar_id, "days": days})
    assert answer.status_code == 200, answer.text
    slots: list[dict[str, Any]] = answer.json()["slots"]
    return slots


def wait_until_read(stack: Stack) -> None:
    """Wait until the coaches' calendars are read."""
    wait_until(lambda: len(starts(stack)) > 200, 30, "the calendars are read")


def book(
    stack: Stack, start_time: str, calendar_id: str = "cal-1", *, key: str = "", **members: str
) -> httpx.Response:
    """Book for a customer, under a key of its own unless told."""
    return stack.api.post(
        "/api/appointments",
        headers={"X-Idempotency-Key": key or str(uuid4())},
        json=booking_body(start_time, calendar_id=calendar_id, **members),
    )


def tell(stack: Stack, kind: str, coach_id: str, **members: str) -> None:
    """Tell of a change in a coach's calendar."""
    answer = stack.api.post(
        "/api/webhooks/calendar",
        headers={"X-Idempotency-Key": str(uuid4())},
        json={"event_type": kind, "coach_id": coach_id, **members},
    )
    assert (answer.status_code, answer.json()["received"]) == (200, True), answer.text


def appointments(stack: Stack) -> dict[str, dict[str, Any]]:
    """Return every appointment by its id."""
    page = stack.api.get("/api/appointments", params={"limit": 200}).json()
    return {one["appointment_id"]: one for one in page["data"]}


def blocks(stack: Stack) -> list[dict[str, Any]]:
    """List what is blocked in the external calendars."""
    found: list[dict[str, Any]] = stack.calendar.get("/blocks").json()["blocks"]
    return found


def crm_paths(stack: Stack, appointment_id: str) -> list[str]:
    """Return the paths on which the CRM was told of an appointment, each as often as it took effect."""
    log = stack.crm.get("/webhooks/log").json()["webhooks"]
    return [one["path"] for one in log if one["body"]["appointment_id"] == appointment_id]
