"""Coaches, calendars and the teams that hold them."""

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from fairslot.coach_time.days import extend_days
from fairslot.platform.db import Connection
from local import demo
from tests.support.clock import NOW
from tests.support.tables import set_columns

TENANT = "default"
EVERY_DAY = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
ALWAYS = {day: [["00:00", "24:00"]] for day in EVERY_DAY}


def add_coach(
    connection: Connection,
    coach_id: str,
    *,
    score: float = 0.7,
    time_zone: str = "America/New_York",
    max_per_day: int = 10,
    working_hours: Mapping[str, Any] | None = None,
    kind: str = "none",
    tenant_id: str = TENANT,
) -> None:
    """Add a coach, whose external calendar is of this `kind`; the days come with `extend_days`."""
    connection.execute(
        demo.SQL["add_coach"],
        {
            "coach": coach_id,
            "tenant": tenant_id,
            "name": coach_id.title(),
            "time_zone": time_zone,
            "score": score,
            "max_per_day": max_per_day,
            "working_hours": Jsonb(working_hours or EVERY_DAY),
            "kind": kind,
            "url": None,
        },
    )


def add_calendar(
    connection: Connection,
    calendar_id: str,
    coaches: list[str],
    *,
    duration: int = 30,
    tenant_id: str = TENANT,
    **columns: Any,
) -> None:
    """Add a calendar and its team; `columns` are set on its row."""
    statements = demo.SQL
    values = {
        "calendar": calendar_id,
        "tenant": tenant_id,
        "name": calendar_id.title(),
        "duration": duration,
        "interval": 15,
    }
    connection.execute(statements["add_calendar"], values)
    if columns:
        set_calendar(connection, calendar_id, **columns)
    connection.execute(statements["join_team"], {"calendar": calendar_id, "coaches": coaches})


def add_team(
    connection: Connection, size: int, *, calendar_id: str = "cal", kind: str = "none", **calendar: Any
) -> list[str]:
    """Add a calendar, `size` coaches who hold it, and their days; return the coaches' ids."""
    coaches = [f"coach-{number:02}" for number in range(1, size + 1)]
    for coach_id in coaches:
        add_coach(connection, coach_id, kind=kind)
    add_calendar(connection, calendar_id, coaches, **calendar)
    extend_days(connection, now=NOW)
    return coaches


def set_coach(connection: Connection, coach_id: str | None = None, **columns: Any) -> None:
    """Set columns of one coach, or of every coach."""
    set_columns(connection, "coaches", {"coach_id": coach_id}, columns)


def set_attributes(connection: Connection, coach_id: str, **attributes: Any) -> None:
    """Set the attributes of a coach."""
    set_coach(connection, coach_id, attributes=Jsonb(attributes))


def set_calendar(connection: Connection, calendar_id: str | None = None, **columns: Any) -> None:
    """Set columns of one calendar, or of every calendar."""
    set_columns(connection, "calendars", {"calendar_id": calendar_id}, columns)


def set_member(connection: Connection, calendar_id: str, coach_id: str, **columns: Any) -> None:
    """Set columns of a coach's place in a team."""
    where = {"calendar_id": calendar_id, "coach_id": coach_id}
    set_columns(connection, "coach_calendars", where, columns)


def set_days(connection: Connection, coach_id: str | None = None, **columns: Any) -> None:
    """Set columns of the days of one coach, or of every coach."""
    set_columns(connection, "coach_slots", {"coach_id": coach_id}, columns)


def close_days(connection: Connection, *, coach_id: str | None = None, local_date: str | None = None) -> None:
    """Have the coaches' own calendars busy on all of their days, or on those meant."""
    where = {"coach_id": coach_id, "local_date": local_date}
    set_columns(connection, "coach_slots", where, {"external": "0" * 104})
