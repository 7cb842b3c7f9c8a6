"""How long the current work may still wait for its dependencies: one limit for the whole invocation.

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
RESERVED_SECONDS = 1.5


class _Limit:
    """When the current work must be done, by the monotonic clock; a process works on one thing at a time."""

    until: float = math.inf


def left() -> float:
    """Return the seconds that are left: zero or negative after the limit, infinite without one."""
    return _Limit.until - time.monotonic()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit the work inside to so many seconds, and to what an outer limit leaves."""
    before = _Limit.until
    _Limit.until = min(before, time.monotonic() + seconds)
    try:
        yield
    finally:
        _Limit.until = before


@contextmanager
def of(context: "LambdaContext", *, at_most: float = math.inf) -> Iterator[None]:
    """Limit the work inside to `at_most` seconds, and to what its invocation has left for waiting."""
    with within(min(at_most, context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS)):
        yield
