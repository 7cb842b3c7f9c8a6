"""The waits between attempts: bounded, spread, and never shorter than the receiver asked for."""

import itertools
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.dispatch.backoff import LONGEST_SECONDS, delay_seconds, retry_after_seconds
from fairslot.platform.settings import Settings

NOW = datetime(2026, 3, 2, 14, tzinfo=UTC)

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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, 0),
        ("", 0),
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("٣", 0),
        ("9" * 10_000, math.inf),
        ("Mon, 02 Mar 2026 14:01:30 GMT", 90),
        ("Monday, 02-Mar-26 14:01:30 GMT", 90),
        ("Mon Mar  2 14:01:30 2026", 90),
        ("Mon, 02 Mar 2026 15:01:30 +0100", 90),
        ("Mon, 02 Mar 2026 14:01:30 -0000", 90),
        ("Mon, 02 Mar 2026 13:59:59 GMT", 0),
        ("Mon, 99 Mar 2026 14:00:00 GMT", 0),
        ("Mon, 02 Mar 99999999999999999999 14:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_as_the_standard_says(value: str | None, expected: float) -> None:
    """Seconds or any of HTTP's three date formats; anything else asks for nothing."""
    assert retry_after_seconds(value, now=NOW) == expected


@given(st.integers(min_value=0, max_value=10_000_000))
def test_a_date_and_its_seconds_mean_the_same(wait: int) -> None:
    """Both forms of the header give one delay."""
    date = format_datetime(NOW + timedelta(seconds=wait), usegmt=True)

    assert retry_after_seconds(date, now=NOW) == retry_after_seconds(str(wait), now=NOW) == wait


PIECES = st.sampled_from(
    ["Mon", ",", "02", "Mar", "02-Mar-26", "9" * 20, "14:01:30", ":", "GMT", "-0000", "+9999", "am"]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=9).map(" ".join)))
def test_no_header_is_an_error(text: str) -> None:
    """A receiver can write what it likes."""
    assert retry_after_seconds(text, now=NOW) >= 0
