"""Backoff: how long a failed delivery waits for its next attempt."""

import math
from collections.abc import Callable, Sequence

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
