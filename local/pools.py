"""A function's processes: started on demand up to a limit; further requests wait in order."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.logs import Log, Warn, ignore
from local.runtime_api import Answer, GoneError, Sandbox, failure

# A start takes most of a second of a processor: a dozen at once hold everybody up, and each other so long
# that some are not ready in time. What nobody waits for can start one after another.
_STARTS_AT_ONCE = 2


class InitError(Exception):
    """A process that was started for a request failed to start; holds the answer to that request."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.payload.decode("utf-8", "replace"))
        self.answer = answer


class Pool:
    """At most `max_processes` processes of one function; `seconds` is the function's timeout.

    With `behind` they let others run first, for a function whose answer nobody waits for.
    Their output goes into `log`; `warn` learns if that cannot be written.
    """

    def __init__(
        self,
        handler: str,
        environment: Mapping[str, str],
        log: Path,
        *,
        max_processes: int,
        seconds: float,
        behind: bool = False,
        warn: Warn = ignore,
    ) -> None:
        self.max_processes = max_processes
        self._behind = behind
        self._handler = handler
        self._environment = environment
        self._log = Log(log, warn)
        self._seconds = seconds
        self._all: set[Sandbox] = set()
        self._idle: list[Sandbox] = []
        self._waiting: deque[asyncio.Future[Sandbox]] = deque()
        self._starts: set[asyncio.Task[None]] = set()
        self._runs: set[asyncio.Task[Any]] = set()
        self._stopped = False

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [one.pid for one in self._all if one.pid is not None]

    async def invoke(self, event: bytes) -> Answer:
        """Run the function once and return its answer, or its failure.

        A cancelled call leaves the queue; an invocation that has begun runs to its end. A pool that is
        stopped fails at once.
        """
        while not self._stopped:
            try:
                sandbox = await self._take()
            except InitError as error:
                return error.answer
            run = self._keep(self._run(sandbox, event))
            with suppress(GoneError):
                return await asyncio.shield(run)
        return failure("Sandbox.Stopped", "the function's processes are stopped")

    async def warm(self) -> Answer | None:
        """Start a process if there is none; return the failure if it does not start."""
        if not self._all:
            try:
                self._offer(await self._take())
            except InitError as error:
                return error.answer
        return None

    async def stop(self, seconds: float = 0.0) -> None:
        """Let what runs, also after its answer, finish for `seconds`; then end all processes."""
        deadline = time.monotonic() + seconds
        while self._runs and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait(set(self._runs), timeout=left)
        self._stopped = True
        for waiter in self._waiting:
            waiter.cancel()
        starts = list(self._starts)  # never cancelled: one that is half done would leave a listener behind
        await asyncio.gather(*(one.stop() for one in list(self._all)))
        await asyncio.gather(*starts)

    async def _take(self) -> Sandbox:
        if self._idle:
            return self._idle.pop()
        waiter: asyncio.Future[Sandbox] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._grow()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._offer(waiter.result())
            raise

    def _grow(self) -> None:
        if self._stopped:
            return
        wanted = sum(not waiter.done() for waiter in self._waiting) - len(self._starts)
        room = self.max_processes - len(self._all)
        if self._behind:
            room = min(room, _STARTS_AT_ONCE - len(self._starts))
        for _ in range(min(wanted, room)):
            sandbox = Sandbox(
                self._handler,
                self._environment,
                self._log,
                behind=self._behind,
                on_idle=self._offer,
                on_end=self._remove,
            )
            self._all.add(sandbox)
            start = asyncio.create_task(self._start(sandbox))
            self._starts.add(start)
            start.add_done_callback(self._has_started)

    async def _start(self, sandbox: Sandbox) -> None:
        failed = await sandbox.start()
        if failed is None:
            return
        self._all.discard(sandbox)
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_exception(InitError(failed))
        await sandbox.stop()

    def _has_started(self, start: asyncio.Task[None]) -> None:
        self._starts.discard(start)
        self._grow()  # for requests that came while it was failing

    def _offer(self, sandbox: Sandbox) -> None:
        """Give an idle process to the request that has waited longest."""
        if self._stopped or sandbox not in self._all:
            return
        waiter = self._next_waiter()
        if waiter is None:
            self._idle.append(sandbox)
        else:
            waiter.set_result(sandbox)

    def _next_waiter(self) -> asyncio.Future[Sandbox] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def _remove(self, sandbox: Sandbox) -> None:
        self._all.discard(sandbox)
        if sandbox in self._idle:
            self._idle.remove(sandbox)
        self._grow()

    async def _run(self, sandbox: Sandbox, event: bytes) -> Answer:
        began = time.perf_counter()
        answer = await sandbox.invoke(event, self._seconds)
        self._report(answer, (time.perf_counter() - began) * 1000)
        self._keep(sandbox.settled())
        return answer

    def _keep[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin something that `stop` waits for."""
        run = asyncio.create_task(work)
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        return run

    def _report(self, answer: Answer, milliseconds: float) -> None:
        """Write the line with which Lambda ends an invocation in a function's log."""
        record = {"requestId": answer.request_id, "metrics": {"durationMs": round(milliseconds, 3)}}
        status = {"status": "failure", "errorType": answer.error} if answer.error else {"status": "success"}
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "type": "platform.report",
            "record": {**record, **status},
        }
        self._log.line(json.dumps(line))
