"""Limits per endpoint, so that one does not delay the others: concurrency, rate and a circuit breaker.

A process gets a batch of deliveries and is busy until the slowest has ended. An endpoint that hangs costs all
of them its time limit; one that answers with errors costs them the retries of every event. After some
failures in a row the circuit opens: nothing is sent for a while, then one attempt probes the endpoint.
Deliveries that are held back meanwhile are requeued, and none counts as an attempt. See Nygard, "Release
It!", "Circuit Breaker".
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from fairslot.platform.queue import LONGEST_DELAY_SECONDS
from fairslot.platform.settings import settings

# Timeouts and broken connections in a row that open the circuit.
SILENCES = 3
# Failures of any kind in a row that open the circuit: an error costs a hundredth of a timeout. An endpoint
# that fails every other time gets there once in a million.
FAILURES = 20
# Concurrent attempts per endpoint and process where the endpoint sets no other number.
CONCURRENCY = 10
# How long a delivery may keep its batch waiting for its turn.
WAIT_SECONDS = 2.0
# The most deliveries held back that return per second: each costs the others about as much as a delivery.
RETURNS_PER_SECOND = 5.0
MOST_KEPT = 10_000

# Why nothing was sent.
REASONS = frozenset({"circuit_open", "over_limit"})


class HeldBackError(Exception):
    """Nothing may be sent now.

    `reason` is one of REASONS; `seconds` is when to retry, above 0 and at most a queue's longest delay.
    """

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds


@dataclass(slots=True)
class RetryStagger:
    """Spreads retries out in time; `last` is when the last one is due."""

    last: float = 0.0

    def delay(self, now: float, *, begins: float, apart: float) -> float:
        """Return the seconds until one more retry, `apart` from the one before and not before `begins`."""
        self.last = max(self.last, begins) + apart
        if self.last > now + LONGEST_DELAY_SECONDS:
            # The queue delays no longer. The others are spread over the second half of that time, evenly but
            # closer together.
            self.last = now + LONGEST_DELAY_SECONDS / 2
        return self.last - now


@dataclass(slots=True)
class EndpointLimiter:
    """What a process knows of one endpoint; instants are seconds of `clock`.

    `open_until`: nothing is sent before. `broken`: too many failures in a row. `probing`: one attempt is
    under way to see whether the endpoint is back. `pause`: how long the circuit was open last. `busy`:
    attempts under way. `waiting`: those waiting for one of them to end. `next_at`: when the rate allows the
    next attempt.
    """

    clock: Callable[[], float] = monotonic
    failures: int = 0
    silences: int = 0
    broken: bool = False
    pause: float = 0.0
    open_until: float = 0.0
    probing: bool = False
    busy: int = 0
    next_at: float = 0.0
    open_retries: RetryStagger = field(default_factory=RetryStagger)
    limit_retries: RetryStagger = field(default_factory=RetryStagger)
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @asynccontextmanager
    async def slot(
        self, *, concurrency: int | None, rate: float | None, seconds: float
    ) -> AsyncIterator[None]:
        """Hold a slot for one attempt that takes up to `seconds`. Raises HeldBackError."""
        self._check_circuit()
        await self._keep_rate(rate)
        await self._take_slot(concurrency or CONCURRENCY)
        try:
            self._check_circuit()
            if self.broken:  # the pause is over: the others wait for the result of this one
                self.open_until = self.clock() + seconds
                self.probing = True
            yield
        finally:
            self._release_slot()

    def answered(self, retry_after: float = 0.0) -> None:
        """Note that the endpoint answered as it should, and asked for a pause of `retry_after` seconds."""
        self.failures = self.silences = 0
        self.broken = False
        self.probing = False
        self.pause = 0.0
        self.open_retries = RetryStagger()
        longest = settings().webhook_longest_pause_seconds
        self.open_until = self.clock() + min(retry_after, longest) if retry_after else 0.0

    def failed(self, *, silent: bool) -> None:
        """Note that an attempt failed, and whether without an answer."""
        self.failures += 1
        self.silences = self.silences + 1 if silent else 0
        if not self.broken and self.silences < SILENCES and self.failures < FAILURES:
            return
        # Attempts that were under way when the circuit opened do not make the pause longer.
        if not self.broken or self.probing:
            self.pause = min(
                self.pause * 2 or settings().webhook_pause_seconds, settings().webhook_longest_pause_seconds
            )
        self.broken, self.probing = True, False
        self.open_until = self.clock() + self.pause

    def _check_circuit(self) -> None:
        now = self.clock()
        if now < self.open_until:
            seconds = self.open_retries.delay(now, begins=self.open_until, apart=1 / RETURNS_PER_SECOND)
            raise HeldBackError("circuit_open", seconds)

    async def _keep_rate(self, rate: float | None) -> None:
        if rate is None:
            return
        now = self.clock()
        wait = max(self.next_at - now, 0.0)
        if wait > WAIT_SECONDS:
            # Each gets a turn of its own: who returned before it would be held back again.
            seconds = self.limit_retries.delay(now, begins=self.next_at, apart=1 / rate)
            raise HeldBackError("over_limit", seconds)
        self.next_at = now + wait + 1 / rate
        await asyncio.sleep(wait)

    async def _take_slot(self, slots: int) -> None:
        if self.busy < slots:
            self.busy += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn
        except TimeoutError:
            # No slot became free in all that time: the endpoint takes no more than this.
            apart = max(WAIT_SECONDS / slots, 1 / RETURNS_PER_SECOND)
            now = self.clock()
            seconds = self.limit_retries.delay(now, begins=now, apart=apart)
            raise HeldBackError("over_limit", seconds) from None
        finally:
            if turn in self.waiting:
                self.waiting.remove(turn)

    def _release_slot(self) -> None:
        """Pass the slot on to whoever has waited longest."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.busy -= 1


_limiters: dict[str, EndpointLimiter] = {}


def limiter(key: str) -> EndpointLimiter:
    """Return the limiter of an endpoint in this process."""
    if len(_limiters) >= MOST_KEPT and key not in _limiters:
        clear_cache()
    return _limiters.setdefault(key, EndpointLimiter())


def clear_cache() -> None:
    """Forget all endpoints without an attempt under way."""
    for key in [key for key, one in _limiters.items() if not one.busy]:
        del _limiters[key]
