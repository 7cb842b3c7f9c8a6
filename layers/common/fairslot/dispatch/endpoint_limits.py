"""What keeps one endpoint from delaying the others: a cap, a rate and a breaker for each, in a process.

A process is given a batch of deliveries and is busy until the slowest has ended, so an endpoint that hangs
costs everybody its time limit, and one that answers with errors costs them its retries, of every event. After
some such attempts in a row nothing is sent to it for a while, then one attempt tries whether it is back;
meanwhile its deliveries go back on the queue, and none counts as tried.
See Nygard, "Release It!", "Circuit Breaker".
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from fairslot.platform.queue import LONGEST_DELAY_SECONDS
from fairslot.platform.settings import settings

# Attempts in a row that got no answer before the endpoint is left alone.
SILENCES = 3
# Attempts in a row that failed in any way: an error costs a hundredth of a silence. A shaky receiver, half of
# whose answers are errors, comes to that once in a million.
FAILURES = 20
# How many attempts at one endpoint a process has under way at once where the endpoint says nothing else.
CONCURRENCY = 10
# How long a delivery may hold its batch up to keep to a cap or a rate.
WAIT_SECONDS = 2.0
# Of the deliveries that are held back, so many a second come back to see: each receipt and each record costs
# the others about as much as a delivery does.
RETURNS_PER_SECOND = 5.0
MOST_KEPT = 10_000

# Why nothing was sent.
REASONS = frozenset({"circuit_open", "over_limit"})


class HeldBackError(Exception):
    """Nothing may be sent now.

    `reason` is one of REASONS, `seconds` when to look again: above 0, and at most a queue's longest delay.
    """

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds


@dataclass(slots=True)
class RetryStagger:
    """Those who are to come back one after another; `last` is when the last of them does."""

    last: float = 0.0

    def join(self, now: float, *, begins: float, apart: float) -> float:
        """Return the seconds until one more comes back, behind the others, and not before the row begins."""
        self.last = max(self.last, begins) + apart
        if self.last > now + LONGEST_DELAY_SECONDS:
            # The queue keeps nothing back for longer. The rest joins in between those of the second half, so
            # that they come back evenly, though faster than one by one.
            self.last = now + LONGEST_DELAY_SECONDS / 2
        return self.last - now


@dataclass(slots=True)
class EndpointLimiter:
    """What a process knows of one endpoint; instants are `clock`'s seconds."""

    clock: Callable[[], float] = monotonic
    failures: int = 0
    silences: int = 0
    broken: bool = False
    pause: float = 0.0
    closed_until: float = 0.0
    trying: bool = False
    busy: int = 0
    next_at: float = 0.0
    paused: RetryStagger = field(default_factory=RetryStagger)
    crowded: RetryStagger = field(default_factory=RetryStagger)
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @asynccontextmanager
    async def slot(
        self, *, concurrency: int | None, rate: float | None, seconds: float
    ) -> AsyncIterator[None]:
        """Pass through for one attempt that takes up to so many seconds. Raises ClosedError."""
        self._check()
        await self._keep_rate(rate)
        await self._take_place(concurrency or CONCURRENCY)
        try:
            self._check()
            if self.broken:  # the pause is over: the others wait for what comes of this one
                self.closed_until = self.clock() + seconds
                self.trying = True
            yield
        finally:
            self._leave_place()

    def answered(self, asked: float = 0.0) -> None:
        """Note that it answered as it should, and asked to be left alone for so many seconds."""
        self.failures = self.silences = 0
        self.broken = False
        self.trying = False
        self.pause = 0.0
        self.paused = RetryStagger()
        self.closed_until = (
            self.clock() + min(asked, settings().webhook_longest_pause_seconds) if asked else 0.0
        )

    def failed(self, *, silent: bool) -> None:
        """Note that an attempt failed, and whether without an answer."""
        self.failures += 1
        self.silences = self.silences + 1 if silent else 0
        if not self.broken and self.silences < SILENCES and self.failures < FAILURES:
            return
        # Those that were under way together with the one that broke it do not make the pause longer.
        if not self.broken or self.trying:
            self.pause = min(
                self.pause * 2 or settings().webhook_pause_seconds, settings().webhook_longest_pause_seconds
            )
        self.broken, self.trying = True, False
        self.closed_until = self.clock() + self.pause

    def _check(self) -> None:
        now = self.clock()
        if now < self.closed_until:
            seconds = self.paused.join(now, begins=self.closed_until, apart=1 / RETURNS_PER_SECOND)
            raise HeldBackError("circuit_open", seconds)

    async def _keep_rate(self, rate: float | None) -> None:
        if rate is None:
            return
        now = self.clock()
        wait = max(self.next_at - now, 0.0)
        if wait > WAIT_SECONDS:
            # Each at its own turn: who comes back before it is sent away again.
            raise HeldBackError("over_limit", self.crowded.join(now, begins=self.next_at, apart=1 / rate))
        self.next_at = now + wait + 1 / rate
        await asyncio.sleep(wait)

    async def _take_place(self, places: int) -> None:
        if self.busy < places:
            self.busy += 1
            return
        place = asyncio.get_running_loop().create_future()
        self.waiting.append(place)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await place
        except TimeoutError:
            # No place became free in all that time: the endpoint takes no more than this.
            apart = max(WAIT_SECONDS / places, 1 / RETURNS_PER_SECOND)
            now = self.clock()
            raise HeldBackError("over_limit", self.crowded.join(now, begins=now, apart=apart)) from None
        finally:
            if place in self.waiting:
                self.waiting.remove(place)

    def _leave_place(self) -> None:
        """Give the place to whoever waits longest."""
        while self.waiting:
            place = self.waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.busy -= 1


_gates: dict[str, EndpointLimiter] = {}


def limiter(key: str) -> EndpointLimiter:
    """Return an endpoint's gate in this process."""
    if len(_gates) >= MOST_KEPT and key not in _gates:
        clear_cache()
    return _gates.setdefault(key, EndpointLimiter())


def clear_cache() -> None:
    """Forget all endpoints that nothing is under way to."""
    for key in [key for key, one in _gates.items() if not one.busy]:
        del _gates[key]
