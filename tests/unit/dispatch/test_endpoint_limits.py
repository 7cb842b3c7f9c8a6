"""One endpoint's cap, rate and circuit breaker, by a clock that the test turns."""

import asyncio
import math
from collections import Counter
from dataclasses import dataclass

import pytest

from fairslot.dispatch import endpoint_limits
from fairslot.dispatch.endpoint_limits import EndpointLimiter, HeldBackError


@dataclass
class Clock:
    """Says what it was set to."""

    now: float = 1_000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


def attempt(
    limiter: EndpointLimiter,
    *,
    answers: bool,
    asked: float = 0.0,
    rate: float | None = None,
    silent: bool = True,
) -> str:
    """Make one attempt; return `passed`, or why it was not made."""

    async def run() -> str:
        try:
            async with limiter.slot(concurrency=None, rate=rate, seconds=5):
                if answers:
                    limiter.answered(asked)
                else:
                    limiter.failed(silent=silent)
                return "passed"
        except HeldBackError as held_back:
            return f"{held_back.reason} {held_back.seconds:g}"

    return asyncio.run(run())


def test_an_endpoint_that_hangs_is_left_alone_for_longer_and_longer(clock: Clock) -> None:
    """After three attempts in a row; then one tries, and each failure doubles the pause."""
    limiter = EndpointLimiter(clock=clock)
    assert [attempt(limiter, answers=False) for _ in range(4)] == ["passed"] * 3 + ["circuit_open 15.2"]
    for pause in (30, 60, 120, 240, 300, 300):
        clock.now = limiter.open_until
        assert attempt(limiter, answers=False) == "passed"
        assert attempt(limiter, answers=True) == f"circuit_open {pause}.2"
    clock.now = limiter.open_until
    assert [attempt(limiter, answers=True) for _ in range(5)] == ["passed"] * 5
    assert [attempt(limiter, answers=False) for _ in range(4)] == ["passed"] * 3 + ["circuit_open 15.2"]


def test_an_endpoint_that_answers_with_errors_is_left_alone_too(clock: Clock) -> None:
    """After twenty attempts in a row, as an error costs less than silence; then each goes on with it."""
    limiter = EndpointLimiter(clock=clock)
    failing = [attempt(limiter, answers=False, silent=False) for _ in range(21)]
    assert failing == ["passed"] * 20 + ["circuit_open 15.2"]
    clock.now = limiter.open_until
    assert attempt(limiter, answers=False, silent=False) == "passed"
    assert attempt(limiter, answers=True) == "circuit_open 30.2"
    clock.now = limiter.open_until
    assert [attempt(limiter, answers=True) for _ in range(3)] == ["passed"] * 3
    again = [attempt(limiter, answers=False, silent=False) for _ in range(21)]
    assert again == ["passed"] * 20 + ["circuit_open 15.2"]


def test_errors_and_silence_together_are_failures(clock: Clock) -> None:
    """Whoever answers now and then is not silent, and fails all the same."""
    limiter = EndpointLimiter(clock=clock)
    for _ in range(10):
        assert attempt(limiter, answers=False, silent=True) == "passed"
        assert attempt(limiter, answers=False, silent=False) == "passed"
    assert attempt(limiter, answers=True) == "circuit_open 15.2"


def test_an_answer_between_two_failures_keeps_it_open(clock: Clock) -> None:
    """Failures now and then are each delivery's own."""
    limiter = EndpointLimiter(clock=clock)
    for _ in range(10):
        assert [attempt(limiter, answers=answers) for answers in (False, False, True)] == ["passed"] * 3


def test_ten_that_fail_together_count_as_one_reason_to_pause(clock: Clock) -> None:
    """They were under way when the breaker opened."""
    limiter = EndpointLimiter(clock=clock)
    for _ in range(10):
        limiter.failed(silent=True)
    assert attempt(limiter, answers=True) == "circuit_open 15.2"


def test_those_who_wait_come_back_one_by_one(clock: Clock) -> None:
    """However many there are, they do not all come back to a pause's end; an answer forgets the row."""
    limiter = EndpointLimiter(clock=clock, broken=True, open_until=clock.now + 10)
    assert [attempt(limiter, answers=True) for _ in range(3)] == [f"circuit_open 10.{n}" for n in (2, 4, 6)]
    clock.now = limiter.open_until
    assert attempt(limiter, answers=True, asked=1) == "passed"
    assert attempt(limiter, answers=True) == "circuit_open 1.2"


def test_who_would_come_back_too_late_for_the_queue_comes_evenly_all_the_same(clock: Clock) -> None:
    """SQS keeps a message back for 15 minutes: a longer row is folded into the second half of them."""
    limiter = EndpointLimiter(clock=clock, broken=True, open_until=clock.now + 300)
    returns = [float(attempt(limiter, answers=True).removeprefix("circuit_open ")) for _ in range(20_000)]
    assert max(returns) <= 900
    assert min(returns) > 300
    seconds = Counter(int(one) for one in returns)
    # Of 20,000 there are 17,000 too many for the first row: no second sees much more than its share of them.
    assert max(seconds.values()) <= 5 * math.ceil(17_000 / (450 * 5)) + 10
    assert min(seconds[one] for one in range(460, 890)) >= 35


def test_while_one_tries_the_others_wait(clock: Clock) -> None:
    """The end of the pause does not let a crowd in."""

    async def run() -> None:
        async with limiter.slot(concurrency=None, rate=None, seconds=5):
            with pytest.raises(HeldBackError, match="circuit_open"):
                async with limiter.slot(concurrency=None, rate=None, seconds=5):
                    pass
            limiter.answered()
        async with limiter.slot(concurrency=None, rate=None, seconds=5):
            pass

    limiter = EndpointLimiter(clock=clock, broken=True, open_until=clock.now)
    asyncio.run(run())


def test_an_endpoint_that_asks_to_be_left_alone_is(clock: Clock) -> None:
    """By all deliveries, and for five minutes at the most: then one asks again."""
    limiter = EndpointLimiter(clock=clock)
    assert attempt(limiter, answers=True, asked=20) == "passed"
    assert attempt(limiter, answers=True) == "circuit_open 20.2"
    clock.now += 20
    assert attempt(limiter, answers=True, asked=1e9) == "passed"
    assert attempt(limiter, answers=True) == "circuit_open 300.2"


def test_a_rate_is_kept_by_short_waits_or_by_coming_back(clock: Clock) -> None:
    """Two seconds are waited for; longer waits are the queue's, and each has its own turn there."""
    limiter = EndpointLimiter(clock=clock)
    assert [attempt(limiter, answers=True, rate=10) for _ in range(3)] == ["passed"] * 3
    assert limiter.next_at == pytest.approx(1_000.3)
    limiter.next_at = 1_010.0
    assert [attempt(limiter, answers=True, rate=10) for _ in range(3)] == [
        f"over_limit 10.{n}" for n in (1, 2, 3)
    ]
    clock.now = 1_010.0
    assert attempt(limiter, answers=True, rate=10) == "passed"
    limiter.next_at = 1_020.0
    assert attempt(limiter, answers=True, rate=10) == "over_limit 10.1", "an answer does not forget this row"


def test_no_more_than_the_cap_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others follow when one ends, and come back later when none does."""
    monkeypatch.setattr(endpoint_limits, "WAIT_SECONDS", 0.05)
    most, under_way = 0, 0
    waits: list[float] = []

    async def one(limiter: EndpointLimiter, ends: asyncio.Event) -> str:
        nonlocal most, under_way
        try:
            async with limiter.slot(concurrency=2, rate=None, seconds=5):
                under_way += 1
                most = max(most, under_way)
                await ends.wait()
                under_way -= 1
                return "passed"
        except HeldBackError as held_back:
            waits.append(held_back.seconds)
            return held_back.reason

    async def run(*, quick: bool) -> list[str]:
        limiter, ends = EndpointLimiter(), asyncio.Event()
        tasks = [asyncio.create_task(one(limiter, ends)) for _ in range(5)]
        if quick:
            ends.set()
        else:
            await asyncio.wait(tasks, timeout=1, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*(task for task in tasks[2:]))
            ends.set()
        done = await asyncio.gather(*tasks)
        assert limiter.busy == 0
        return list(done)

    assert asyncio.run(run(quick=True)) == ["passed"] * 5
    assert asyncio.run(run(quick=False)) == ["passed"] * 2 + ["over_limit"] * 3
    assert [round(one, 1) for one in waits] == [0.2, 0.4, 0.6], "they come back one by one"
    assert most == 2
