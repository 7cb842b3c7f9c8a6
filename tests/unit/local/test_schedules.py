"""When schedules fire."""

from datetime import timedelta

import pytest

from local.schedules import ScheduleError, interval


@pytest.mark.parametrize(
    ("expression", "minutes"),
    [("rate(1 minute)", 1), ("rate(5 minutes)", 5), ("rate(1 hour)", 60), ("rate(2 days)", 2880)],
)
def test_a_rate_is_an_interval(expression: str, minutes: int) -> None:
    """A rate has a count and a unit."""
    assert interval(expression) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "expression",
    [
        "rate(5 minute)",
        "rate(1 minutes)",
        "rate(0 minutes)",
        "rate(5 seconds)",
        "cron(0 10 * * ? *)",
        "every day",
    ],
)
def test_what_eventbridge_would_refuse_is_refused(expression: str) -> None:
    """A schedule that would fail the deployment, or that would not run here, fails here first."""
    with pytest.raises(ScheduleError):
        interval(expression)
