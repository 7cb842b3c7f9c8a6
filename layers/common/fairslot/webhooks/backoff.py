"""How long a failed delivery waits for its next attempt."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# SQS hides a message for 12 hours at most, counted from its receipt. It is received up to a batch window
# (5 minutes) and a function's longest run (15 minutes) before it is put off, hence the rest.
LONGEST_SECONDS = 43_200 - 1_200


def delay_seconds(
    *,
    attempt: int,
    base: float,
    cap: float,
    retry_after: float,
    random: Callable[[], float],
) -> int:
    """Return the whole seconds, 1 to LONGEST_SECONDS, from a failed attempt to the next; `attempt` is from 1.

    Exponential with full jitter: uniform between 0 and min(cap, base · 2^(attempt - 1)), `random`
    giving the place in [0, 1); see Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
    2015. `retry_after` is what the receiver asked for (0 for nothing) and is waited first, up to
    LONGEST_SECONDS: all who were told the same would otherwise come back in the same moment.
    """
    # Past 2^64 the cap has long decided, and a float would overflow near 2^1024.
    ceiling = min(cap, base * 2.0 ** min(attempt - 1, 64))
    # Rounded up: SQS counts in whole seconds, and a receiver's wish is a lower bound.
    return max(1, math.ceil(min(retry_after + random() * ceiling, LONGEST_SECONDS)))


def retry_after_seconds(value: str | None, *, now: datetime) -> float:
    """Read a Retry-After header (seconds or a date: RFC 9110, 10.2.3); 0 where nothing readable is asked."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # By length: int() refuses thousands of digits.
        return float(text) if len(text) < 16 else math.inf  # noqa: PLR2004
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    # RFC 5322's "-0000" gives a naive datetime that is in UTC all the same.
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
