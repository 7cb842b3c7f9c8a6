"""When schedules fire."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.schedules import Cron, ScheduleError, parse

START = datetime(2026, 11, 23, 20, 17, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "minutes"),
    [("rate(1 minute)", 1), ("rate(5 minutes)", 5), ("rate(1 hour)", 60), ("rate(2 days)", 2880)],
)
def test_a_rate_fires_so_long_after_it_fired(expression: str, minutes: int) -> None:
    """The next time is the last one and the interval."""
    assert parse(expression).after(START) == START + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("cron(0 10 * * ? *)", "2026-11-24T10:00"),
        ("cron(15 12 * * ? *)", "2026-11-24T12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-24T18:00"),
        ("cron(0 8 1 * ? *)", "2026-12-01T08:00"),
        ("cron(0/15 * * * ? *)", "2026-11-23T20:30"),
        ("cron(0/5 8-17 ? * SUN *)", "2026-11-29T08:00"),
        ("cron(0 0 29 FEB ? *)", "2028-02-29T00:00"),
        ("cron(30 20,21 ? * 2 2026)", "2026-11-23T20:30"),
    ],
)
def test_a_cron_expression_fires_as_the_documentation_says(expression: str, due: str) -> None:
    """EventBridge counts from Sunday, 1, and in UTC."""
    assert parse(expression).after(START) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "expression",
    [
        "rate(5 minute)",
        "rate(1 minutes)",
        "rate(0 minutes)",
        "rate(5 seconds)",
        "cron(0 10 * * *)",
        "cron(0 10 * * * *)",
        "cron(0 10 ? * ? *)",
        "cron(60 10 * * ? *)",
        "cron(0 10 L * ? *)",
        "cron(5-1 10 * * ? *)",
        "cron(0/0 10 * * ? *)",
        "every day",
    ],
)
def test_what_eventbridge_would_refuse_is_refused(expression: str) -> None:
    """A schedule that would fail the deployment fails here first."""
    with pytest.raises(ScheduleError):
        parse(expression)


def test_a_year_that_is_over_never_comes() -> None:
    """The search for the next time ends."""
    with pytest.raises(ScheduleError):
        parse("cron(0 0 1 1 ? 2025)").after(START)


@given(
    minutes=st.frozensets(st.integers(0, 59), min_size=1),
    hours=st.frozensets(st.integers(0, 23), min_size=1),
    weekdays=st.frozensets(st.integers(1, 7), min_size=1),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_the_next_time_is_the_first_minute_that_fits(
    minutes: frozenset[int], hours: frozenset[int], weekdays: frozenset[int], start: datetime
) -> None:
    """Skipping whole days and hours finds what a walk from minute to minute finds."""
    every = frozenset(range(1, 32)), frozenset(range(1, 13))
    cron = Cron(minutes, hours, *every, weekdays, frozenset({2026, 2027}))
    at = start.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while not (at.minute in minutes and at.hour in hours and at.isoweekday() % 7 + 1 in weekdays):
        at += timedelta(minutes=1)
    assert cron.after(start) == at
