"""Backoff: how long a failed delivery waits for its next attempt."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# SQS hides a message for 12 hours at most, counted from its receipt, which is up to a batch window (5
# minutes) and a function's longest run (15 minutes) before its visibility is changed.
LONGEST_SECONDS = 43_200 - 1_200


def delay_seconds(
    *,
    attempt: int,
    schedule: Sequence[float],
    jitter: float,
    retry_after: float,
    random: Callable[[], float],
) -> int:
    """Return the whole seconds, 1 to LONGEST_SECONDS, from a failed attempt to the next; `attempt` is from 1.

    It is the schedule's entry for the attempt (the last one for all later), less a random part of up to
    `jitter` of it; `random` returns a number in [0, 1). A jitter of 1 is the full jitter of Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. `retry_after` (0 for none) is the minimum,
    up to LONGEST_SECONDS, with the jitter on top: everything that got the same Retry-After would otherwise
    return at the same moment.
    """
    part = random()
    scheduled = schedule[min(attempt, len(schedule)) - 1] * (1 - jitter * part)
    asked = min(retry_after, LONGEST_SECONDS) * (1 + jitter * part)
    # Rounded up: SQS counts in whole seconds, and Retry-After is a minimum.
    return max(1, math.ceil(min(max(scheduled, asked), LONGEST_SECONDS)))


def retry_after_seconds(value: str | None, *, now: datetime) -> float:
    """Read a Retry-After header (seconds or a date: RFC 9110, 10.2.3); 0 where it is missing or malformed."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # Not by value: int() refuses thousands of digits.
        return float(text) if len(text) < 16 else math.inf  # noqa: PLR2004
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    # RFC 5322's "-0000" gives a naive datetime, which is in UTC.
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
