"""The Retry-After header: how long whoever answered asks to wait."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


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
