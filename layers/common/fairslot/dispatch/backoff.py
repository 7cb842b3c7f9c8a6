"""How long a failed delivery waits for its next attempt."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# SQS hides a message for 12 hours at most, counted from its receipt. It is received up to a batch window
# (5 minutes) and a function's longest run (15 minutes) before it is put off, hence the rest.
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

    The schedule's entry for the attempt, the last one for all later, less up to the share `jitter` of it;
    `random` gives the place in [0, 1). A jitter of 1 is the full jitter of Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015. What the receiver asked for by `retry_after` (0 for nothing) is the
    least, up to LONGEST_SECONDS, and the jitter comes on top: all who were told the same would otherwise come
    back in the same moment.
    """
    place = random()
    scheduled = schedule[min(attempt, len(schedule)) - 1] * (1 - jitter * place)
    asked = min(retry_after, LONGEST_SECONDS) * (1 + jitter * place)
    # Rounded up: SQS counts in whole seconds, and a receiver's wish is a lower bound.
    return max(1, math.ceil(min(max(scheduled, asked), LONGEST_SECONDS)))


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
