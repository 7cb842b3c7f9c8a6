"""The waits between attempts: bounded, spread, and never shorter than the receiver asked for."""

import itertools
import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from fairslot.dispatch.backoff import LONGEST_SECONDS, delay_seconds
from fairslot.platform.settings import Settings

DEFAULT = [float(part) for part in Settings.model_fields["webhook_schedule_seconds"].default.split(",")]

attempts = st.integers(min_value=1, max_value=1_000)
schedules = st.lists(st.floats(min_value=0, max_value=99_999), min_size=1, max_size=20)
shares = st.floats(min_value=0, max_value=1)
waits = st.one_of(st.just(0.0), st.just(math.inf), st.floats(min_value=0, max_value=1e12))
places = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(attempt=attempts, schedule=schedules, jitter=shares, wait=waits, place=places)
def test_every_delay_is_one_that_the_queue_takes(
    attempt: int, schedule: list[float], jitter: float, wait: float, place: float
) -> None:
    """Whatever the settings and the receiver's wish: whole seconds that the queue takes."""
    delay = delay_seconds(
        attempt=attempt, schedule=schedule, jitter=jitter, retry_after=wait, random=lambda: place
    )

    assert isinstance(delay, int)
    assert 1 <= delay <= LONGEST_SECONDS < 43_200
    assert delay >= min(wait, LONGEST_SECONDS)


@given(attempt=attempts, schedule=schedules, jitter=shares, place=places)
def test_the_schedule_holds_but_for_the_jitter(
    attempt: int, schedule: list[float], jitter: float, place: float
) -> None:
    """Without a wish the wait is the schedule's, at most the jitter's share less."""
    delay = delay_seconds(
        attempt=attempt, schedule=schedule, jitter=jitter, retry_after=0, random=lambda: place
    )

    planned = min(schedule[min(attempt, len(schedule)) - 1], LONGEST_SECONDS)
    assert delay <= max(planned + 1, 1)
    assert delay >= planned * (1 - jitter) - 1


def test_the_default_attempts_take_three_days_at_the_least() -> None:
    """0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, then every 12 h, as near as the queue can."""
    last = Settings.model_fields["webhook_max_attempts"].default
    for at, least, most in ((0.0, 72, 90), (0.5, 72, 90), (0.999, 68, 72)):
        waited = sum(
            delay_seconds(
                attempt=number,
                schedule=DEFAULT,
                jitter=0.2,
                retry_after=0,
                random=itertools.repeat(at).__next__,
            )
            for number in range(1, last)
        )
        assert least * 3600 <= waited <= most * 3600


def test_the_delays_are_spread_over_the_whole_range() -> None:
    """Full jitter: a wait of 20 s takes every value, each about as often."""
    random = Random(1).random  # noqa: S311  # jitter is no secret
    delays = [
        delay_seconds(attempt=3, schedule=[5, 10, 20], jitter=1, retry_after=0, random=random)
        for _ in range(20_000)
    ]

    counts = [delays.count(delay) for delay in range(1, 21)]
    assert sum(counts) == len(delays)
    assert min(counts) > 850
    assert max(counts) < 1_150
