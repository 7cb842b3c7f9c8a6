"""Retry-After in every form that the standard has, and nothing that is written there is an error."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.platform.retry_after import retry_after_seconds

NOW = datetime(2026, 3, 2, 14, tzinfo=UTC)


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
