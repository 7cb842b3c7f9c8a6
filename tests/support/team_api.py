"""What an operator sends about coaches, calendars and teams."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.support.clock import NINE
from tests.support.http import Answer, ask, body_of
from tests.support.team import EVERY_DAY

COACH: dict[str, Any] = {"name": "Zed", "time_zone": "America/New_York", "working_hours": EVERY_DAY}
CALENDAR: dict[str, Any] = {"name": "Intro", "slot_duration": 30}
# A resource of each kind: its path and what puts it there.
RESOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "coach": ("/api/coaches/zed", COACH),
    "calendar": ("/api/calendars/intro", CALENDAR),
    "member": ("/api/calendars/empty/coaches/coach-01", {"weight": 2}),
    "absence": (
        "/api/coaches/coach-01/absences/01a2243d-356f-783f-b2f6-41b7f262b110",
        {"start": "2026-04-03T00:00:00Z", "end": "2026-04-04T00:00:00Z", "reason": "Leave"},
    ),
}


def put(path: str, body: Mapping[str, Any], *, status: int = 200, **more: Any) -> dict[str, Any]:
    """Put a resource; it has to be answered with a status."""
    return body_of(ask("PUT", path, body, **more), status)


def starts(calendar_id: str = "cal", **query: Any) -> dict[str, list[str]]:
    """Return the bookable starts of a calendar in the coming days, each with the coaches who are free."""
    answer = ask(
        "GET", "/api/availability", query={"calendar_id": calendar_id, "include": "coaches", **query}
    )
    return {one["start_time"]: one["coach_ids"] for one in body_of(answer)["slots"]}


def free(at: datetime = NINE, calendar_id: str = "cal") -> list[str]:
    """Return the coaches who are free at an instant."""
    return starts(calendar_id, days=20).get(f"{at:%Y-%m-%dT%H:%M:%SZ}", [])


def touched(answer: Answer) -> list[dict[str, Any]]:
    """Return the appointments that a refused change would touch."""
    assert answer.status == 409, answer
    assert answer.json["error"] == "APPOINTMENTS_AFFECTED"
    appointments: list[dict[str, Any]] = answer.json["plan"]["appointments"]
    return appointments
