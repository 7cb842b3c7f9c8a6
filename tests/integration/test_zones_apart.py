"""The database has zones of its own, and it is told when they count days otherwise than ours."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from availability import maintenance
from fairslot import sync
from fairslot.db import Connection
from tests.gateway_events import context
from tests.world import NOW, add_calendar


def add_calendars(connection: Connection, **zones: str) -> None:
    """Make a calendar with a daily maximum in each zone."""
    for calendar_id, zone in zones.items():
        add_calendar(connection, calendar_id, [], time_zone=zone, max_per_day=4)


def test_zones_that_agree(connection: Connection) -> None:
    """Clocks that go back over midnight and days that begin at odd hours are no difference."""
    add_calendars(connection, a="Europe/Berlin", b="Atlantic/Azores", c="Africa/Cairo", d="Asia/Kathmandu")
    assert sync.zones_apart(connection, now=NOW) == []


def test_zones_that_differ(connection: Connection) -> None:
    """Postgres takes CET for an abbreviation without a summer time; a name can be known to one side alone."""
    add_calendars(connection, a="CET", b="UTC", c="Nowhere/Else", d="CET")
    add_calendar(connection, "unlimited", [], time_zone="EET")
    assert sync.zones_apart(connection, now=NOW) == ["CET", "Nowhere/Else"]


def test_a_blocked_date_has_a_zone_too(connection: Connection) -> None:
    """Not the daily maximum alone is meant in days; a calendar that is closed down does not count."""
    add_calendar(connection, "blocked", [], time_zone="MET", blocked_dates=["2026-12-24"])
    add_calendar(connection, "closed", [], time_zone="CET", max_per_day=1, active=False)
    assert sync.zones_apart(connection, now=NOW) == ["MET"]


@pytest.mark.parametrize(("zone", "number"), [("CET", 1), ("UTC", 0)])
def test_the_maintenance_tells(
    connection: Connection,
    environment: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    zone: str,
    number: int,
) -> None:
    """The hourly task counts them for the alarm and logs their names."""
    add_calendars(connection, a=zone)
    maintenance.lambda_handler({"task": "slots"}, context())
    lines: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["ZonesApart"] for line in lines if "ZonesApart" in line] == [[float(number)]]
    told = [record for record in caplog.records if record.message == "zones apart"]
    assert [record.__dict__["zones"] for record in told] == [[zone]] * number
