"""The database has zones of its own, and it is told when they count days otherwise than ours."""

from collections.abc import Callable
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from background import maintenance
from fairslot.coach_time.zones import zones_apart
from fairslot.domain.slots import day_of
from fairslot.platform.db import Connection
from tests.support.clock import NOW
from tests.support.lambda_context import context
from tests.support.logs import json_lines
from tests.support.team import add_calendar


@pytest.fixture
def edition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our edition of the zones has Nairobi an hour further west than the database has it."""

    def day_of_edition(zone: ZoneInfo, day: date) -> tuple[int, int]:
        first, count = day_of(zone, day)
        return (first + 4, count) if zone.key == "Africa/Nairobi" else (first, count)

    monkeypatch.setattr("fairslot.coach_time.zones.day_of", day_of_edition)


def add_calendars(connection: Connection, **zones: str) -> None:
    """Make a calendar with a daily maximum in each zone."""
    for calendar_id, zone in zones.items():
        add_calendar(connection, calendar_id, [], time_zone=zone, max_per_day=4)


def test_zones_that_agree(connection: Connection) -> None:
    """Clocks that go back over midnight and days that begin at odd hours are no difference."""
    add_calendars(connection, a="Europe/Berlin", b="Atlantic/Azores", c="Africa/Cairo", d="Asia/Kathmandu")
    assert zones_apart(connection, now=NOW) == []


def test_a_zone_may_be_called_as_an_abbreviation_is(connection: Connection) -> None:
    """Postgres would take these for offsets that know no summer time."""
    add_calendars(connection, a="CET", b="MET", c="EET", d="WET", e="EST", f="MST", g="HST", h="GMT")
    assert zones_apart(connection, now=NOW) == []


@pytest.mark.usefixtures("edition")
def test_zones_that_differ(connection: Connection) -> None:
    """By their editions; and a name can be known to one side alone."""
    add_calendars(connection, a="Africa/Nairobi", b="UTC", c="Nowhere/Else", d="Africa/Nairobi")
    add_calendar(connection, "unlimited", [], time_zone="Else/Where")
    assert zones_apart(connection, now=NOW) == ["Africa/Nairobi", "Nowhere/Else"]


@pytest.mark.usefixtures("edition")
def test_a_blocked_date_has_a_zone_too(connection: Connection) -> None:
    """Not the daily maximum alone is meant in days; a calendar that is closed down does not count."""
    add_calendar(connection, "blocked", [], time_zone="Africa/Nairobi", blocked_dates=["2026-12-24"])
    add_calendar(connection, "closed", [], time_zone="Nowhere/Else", max_per_day=1, active=False)
    assert zones_apart(connection, now=NOW) == ["Africa/Nairobi"]


@pytest.mark.usefixtures("edition")
@pytest.mark.parametrize(("zone", "number"), [("Africa/Nairobi", 1), ("UTC", 0)])
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
    lines = json_lines(capsys)
    assert [line["ZonesApart"] for line in lines if "ZonesApart" in line] == [[float(number)]]
    told = [record for record in caplog.records if record.message == "zones apart"]
    assert [record.__dict__["zones"] for record in told] == [[zone]] * number
