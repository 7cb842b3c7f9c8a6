"""How long the work at hand may still wait for what it depends on: one budget for all of an invocation.

See docs/decisions/0046-what-hangs-is-unavailable.md.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# What a function needs after its last wait, to answer before it is killed.
_RESERVED_SECONDS = 1.5


class _Budget:
    """When the work at hand has to be done, by the monotonic clock; a process does one thing at a time."""

    until: float = math.inf


def left() -> float:
    """Return the seconds that are left, none or fewer when the time is up, infinite without a budget."""
    return _Budget.until - time.monotonic()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give the work inside so many seconds, and never more than the work around it has."""
    before = _Budget.until
    _Budget.until = min(before, time.monotonic() + seconds)
    try:
        yield
    finally:
        _Budget.until = before


@contextmanager
def of(context: "LambdaContext", *, at_most: float = math.inf) -> Iterator[None]:
    """Give the work inside what its invocation has left, less what answering takes, or `at_most` seconds."""
    with within(min(at_most, context.get_remaining_time_in_millis() / 1000 - _RESERVED_SECONDS)):
        yield
