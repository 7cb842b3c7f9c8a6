"""Schedules on a clock of the test's own."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.runtime_api import Answer
from local.scheduler import Scheduler
from local.template import Schedule
from tests.integration.local.conftest import eventually

pytestmark = pytest.mark.anyio


class Clock:
    """Time passes only in sleep, and stops after some sleeps."""

    def __init__(self, sleeps: int) -> None:
        self.now = datetime(2026, 11, 23, 20, 17, 30, tzinfo=UTC)
        self._left = sleeps

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once, or never when it has stopped."""
        if self._left == 0:
            await asyncio.Event().wait()
        self._left -= 1
        self.now += timedelta(seconds=seconds)


class Noted:
    """A function that notes with what it was run."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.events: list[Any] = []
        self._answer = answer or Answer(b"null")

    async def invoke(self, event: bytes) -> Answer:
        """Note it."""
        self.events.append(json.loads(event))
        return self._answer


async def run(schedule: Schedule, sleeps: int, answer: Answer | None = None) -> tuple[Noted, list[str]]:
    """Run a schedule for so many sleeps and return what it did."""
    clock, notes = Clock(sleeps), list[str]()
    function = Noted(answer)
    scheduler = Scheduler([(schedule, function)], notes.append, clock=lambda: clock.now, sleep=clock.sleep)
    scheduler.start()
    await eventually(lambda: len(function.events) == sleeps + 1)
    await scheduler.stop()
    return function, notes


async def test_a_rate_fires_at_once_and_then_at_its_rate() -> None:
    """Counted from when it was due, not from when the run was over."""
    function, _ = await run(Schedule("Plan", "rate(5 minutes)"), 2)
    times = [event["time"] for event in function.events]
    assert times == ["2026-11-23T20:17:30Z", "2026-11-23T20:22:30Z", "2026-11-23T20:27:30Z"]


async def test_an_input_is_the_event() -> None:
    """As the template writes it."""
    function, _ = await run(Schedule("Tidy", "rate(1 hour)", {"task": "slots"}), 1)
    assert function.events == [{"task": "slots"}] * 2


async def test_without_an_input_the_event_is_eventbridges() -> None:
    """Its time is the time that was due, in whole seconds of UTC."""
    function, _ = await run(Schedule("Plan", "rate(5 minutes)"), 1)
    first, second = function.events
    assert (first["source"], first["detail-type"], first["detail"]) == ("aws.events", "Scheduled Event", {})
    assert (first["time"], second["time"]) == ("2026-11-23T20:17:30Z", "2026-11-23T20:22:30Z")


async def test_a_run_that_fails_is_noted_and_the_next_comes() -> None:
    """In the words of the function."""
    function, notes = await run(Schedule("Tidy", "rate(1 minute)"), 1, Answer(b'"gone wrong"', "Unhandled"))
    assert len(function.events) == 2
    assert notes[0] == 'Tidy failed: "gone wrong"'
