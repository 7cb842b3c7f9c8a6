"""EventBridge's schedules.

Each fires right after the start, so that nobody waits for the first sync, and then at its rate.
Runs may overlap, as with EventBridge. A failed run is not retried before the next one is due.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from local.gateway import Invokable
from local.logs import Warn, ignore, start_task
from local.schedules import interval
from local.sqs import ACCOUNT, REGION
from local.template import Schedule


class Scheduler:
    """Invokes functions on schedule; `log` gets failed runs, `warn` what should not happen."""

    def __init__(
        self,
        schedules: Sequence[tuple[Schedule, Invokable]],
        log: Callable[[str], None],
        *,
        warn: Warn = ignore,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._schedules = [(one, interval(one.expression), function) for one, function in schedules]
        self._log_line = log
        self._warn = warn
        self._clock = clock
        self._sleep = sleep
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Fire each schedule now, and from now on at its rate."""
        for schedule, every, function in self._schedules:
            self._spawn(self._watch(schedule, every, function), schedule)

    async def stop(self) -> None:
        """Stop firing; running invocations go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None], schedule: Schedule) -> None:
        task = start_task(work, f"the schedule {schedule.name}", self._warn)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, schedule: Schedule, every: timedelta, function: Invokable) -> None:
        due = self._clock()
        while True:
            self._spawn(self._fire(schedule, due, function), schedule)
            now = self._clock()
            due += every
            if due < now:  # the machine slept: what was missed is missed
                due = now + every
            await self._sleep((due - now).total_seconds())

    async def _fire(self, schedule: Schedule, due: datetime, function: Invokable) -> None:
        answer = await function.invoke(json.dumps(event(schedule, due)).encode())
        if answer.error is not None:
            text = answer.payload.decode("utf-8", "replace")
            self._log_line(f"{schedule.name} failed: {text[:300]}")


def event(schedule: Schedule, due: datetime) -> Any:
    """Return what the function gets: the schedule's own input, or EventBridge's event."""
    if schedule.payload is not None:
        return schedule.payload
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": due.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{schedule.name}"],
        "detail": {},
    }
