"""What the scheduled tasks measure in the database."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from background import maintenance, sync
from fairslot.platform import gauges
from fairslot.platform.db import Connection
from tests.support.bookings import book
from tests.support.clock import NOW
from tests.support.endpoints import add_subscriber
from tests.support.lambda_context import context
from tests.support.logs import json_lines
from tests.support.sources import add_source
from tests.support.team import add_team

HOUR = timedelta(hours=1)


def measured(connection: Connection) -> gauges.EachMinute:
    """Return how things stand at NOW."""
    return gauges.each_minute(connection, now=NOW)


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what was emitted since the last call, each under its one dimension."""
    found: dict[str, Any] = {}
    for line in json_lines(capsys):
        for described in line.get("_aws", {}).get("CloudWatchMetrics", []):
            assert (described["Namespace"], described["Dimensions"]) == ("Fairslot", [["service"]])
            assert line["service"] == "fairslot"
            found |= {one["Name"]: line[one["Name"]][0] for one in described["Metrics"]}
    return found


def test_nothing_stands_still_in_an_empty_system(connection: Connection) -> None:
    """No calendar has an age, and nobody is owed anything."""
    assert measured(connection) == gauges.EachMinute(0, 0, 0, 0.0, 0)
    assert gauges.fairness_deviation(connection) == 0.0


def test_stale_calendars_and_the_oldest(connection: Connection) -> None:
    """Of coaches who are active and have a calendar: never read counts from the first request."""
    add_team(connection, 4)
    coaches = [row["coach_id"] for row in connection.execute("SELECT coach_id FROM coaches ORDER BY 1")]
    connection.execute("UPDATE coaches SET calendar_kind = 'calendar_api'")
    connection.execute("UPDATE coaches SET active = false WHERE coach_id = %s", [coaches[3]])
    for coach, first, last in (
        (coaches[0], NOW - 3 * HOUR, NOW - timedelta(minutes=1)),
        (coaches[1], NOW - 3 * HOUR, NOW - HOUR),
        (coaches[2], NOW - 2 * HOUR, None),
        (coaches[3], NOW - 9 * HOUR, None),
    ):
        connection.execute(
            "UPDATE calendar_sources SET first_requested_at = %s, synced_at = %s WHERE coach_id = %s",
            [first, last, coach],
        )
    now = measured(connection)
    assert (now.calendars_stale, now.calendars_ended, now.calendar_age) == (2, 0, 7200.0)


def test_a_calendar_that_is_not_read_any_more_is_not_stale(connection: Connection) -> None:
    """It counts by itself, each of a coach's, and one that is only written does not."""
    add_team(connection, 1)
    old: dict[str, Any] = {"first_requested_at": NOW - 9 * HOUR, "synced_at": NOW - HOUR}
    add_source(connection, "coach-01", ended="disconnected", **old)
    add_source(connection, "coach-01", kind="google", **old)
    add_source(connection, "coach-01", kind="microsoft", reads=False, writes=True, **old)
    now = measured(connection)
    assert (now.calendars_stale, now.calendars_ended, now.calendar_age) == (1, 1, 3600.0)


def test_endpoints_count_for_a_day_after_failures_turned_them_off(connection: Connection) -> None:
    """One that its owner turned off, or that has been off for long, is no news."""
    for reason, hours in (("failing", 1), ("gone", 23), ("failing", 25), ("by_request", 1)):
        name = f"{reason.replace('_', '-')}-{hours}"
        add_subscriber(connection, name, "*")
        connection.execute(
            "UPDATE webhook_endpoints SET enabled = false, disabled_reason = %s, disabled_at = %s"
            " WHERE description = %s",
            [reason, NOW - timedelta(hours=hours), name],
        )
    assert measured(connection).endpoints_disabled == 2


def test_fairness_is_the_coach_furthest_from_a_fair_share(connection: Connection) -> None:
    """After one booking of three coaches, one has had two thirds of a booking more than a third."""
    add_team(connection, 3)
    book(connection)
    assert gauges.fairness_deviation(connection) == pytest.approx(2 / 3, abs=1e-5)


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (
            "outbox",
            {
                "OutboxRuns",
                "DeliveriesPending",
                "DeliveriesNotQueued",
                "CalendarsStale",
                "CalendarsEnded",
                "CalendarAge",
                "EndpointsDisabled",
                "BlocksUnconfirmed",
            },
        ),
        ("slots", {"SlotsRuns", "FairnessDeviation", "ZonesApart"}),
    ],
)
def test_a_task_tells_what_it_measured_and_that_it_ended(
    connection: Connection,
    environment: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    task: str,
    names: set[str],
) -> None:
    """Under the names and the dimension that alarms look at."""
    maintenance.lambda_handler({"task": task}, context())
    assert emitted(capsys).keys() >= names


def test_a_sync_tells_that_it_ended(
    connection: Connection, environment: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where there is nothing to read."""
    sync.lambda_handler({}, context())
    assert emitted(capsys)["SyncRuns"] == 1


def test_a_task_that_fails_is_not_counted(
    connection: Connection,
    environment: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its heartbeat is missing then, which is what raises the alarm."""
    monkeypatch.setattr(gauges, "each_minute", lambda *_, **__: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        maintenance.lambda_handler({"task": "outbox"}, context())
    told = emitted(capsys)
    assert "BlocksUnconfirmed" in told
    assert "OutboxRuns" not in told
