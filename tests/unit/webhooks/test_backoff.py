"""The waits between attempts: bounded, spread, and never shorter than the receiver asked for."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.webhooks.backoff import LONGEST_SECONDS, delay_seconds, retry_after_seconds

NOW = datetime(2026, 3, 2, 14, tzinfo=UTC)

attempts = st.integers(min_value=1, max_value=1_000)
seconds = st.floats(min_value=0.001, max_value=43_200)
waits = st.one_of(st.just(0.0), st.just(math.inf), st.floats(min_value=0, max_value=1e12))
places = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(attempt=attempts, base=seconds, cap=seconds, wait=waits, place=places)
def test_every_delay_is_one_that_the_queue_takes(
    attempt: int, base: float, cap: float, wait: float, place: float
) -> None:
    """Whatever the attempt, settings and receiver's wish: whole seconds within the queue's limit."""
    delay = delay_seconds(attempt=attempt, base=base, cap=cap, retry_after=wait, random=lambda: place)

    assert isinstance(delay, int)
    assert 1 <= delay <= LONGEST_SECONDS < 43_200


@given(attempt=attempts, base=seconds, cap=seconds, wait=waits, place=places)
def test_the_receivers_wish_is_a_lower_bound(
    attempt: int, base: float, cap: float, wait: float, place: float
) -> None:
    """Nobody who said when to come back is asked sooner, as far as the queue can wait."""
    delay = delay_seconds(attempt=attempt, base=base, cap=cap, retry_after=wait, random=lambda: place)

    assert delay >= min(wait, LONGEST_SECONDS)


@given(attempt=attempts, base=seconds, cap=seconds, place=places)
def test_the_jitter_stays_under_the_doubling_ceiling(
    attempt: int, base: float, cap: float, place: float
) -> None:
    """Without a wish the delay is within the ceiling, but for the rounding up to a second."""
    delay = delay_seconds(attempt=attempt, base=base, cap=cap, retry_after=0, random=lambda: place)

    assert delay <= min(cap, base * 2.0 ** (attempt - 1)) + 1


@given(attempt=st.integers(1, 11), place=places)
def test_a_later_attempt_waits_no_less_at_the_same_place(attempt: int, place: float) -> None:
    """The ceiling only grows."""
    now, later = (
        delay_seconds(attempt=number, base=5, cap=43_200, retry_after=0, random=lambda: place)
        for number in (attempt, attempt + 1)
    )

    assert later >= now


def test_the_delays_are_spread_over_the_whole_range() -> None:
    """Full jitter: the third wait (ceiling 20 s) takes every value, each about as often."""
    random = Random(1).random  # noqa: S311  # jitter is no secret
    delays = [
        delay_seconds(attempt=3, base=5, cap=43_200, retry_after=0, random=random) for _ in range(20_000)
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
