"""Calendar events of types that we do not know: whatever they say, they are kept and acknowledged."""

from typing import Any

import pytest

from fairslot.platform.db import Connection
from tests.handlers.test_api_calendar_events import PATH, outcome
from tests.support.http import ask, check_problem
from tests.support.tables import count


@pytest.mark.parametrize(
    "members",
    [
        {"coach_id": 5},
        {"appointment_id": "nothing", "coach_id": ["a"], "reason": {"code": 7}},
        {"start_time": "tomorrow", "end_time": 0},
        {"start_time": "2026-03-03T15:00:00Z", "end_time": "2026-03-03T14:00:00Z"},
        {"reason": "r" * 1001, "coach_id": "", "_unread": {"event_type": "coach.unavailable"}},
        {},
    ],
)
def test_an_unknown_type_is_kept_whatever_its_members_are(team: Connection, members: dict[str, Any]) -> None:
    """Names that we use may mean something else there: it is kept exactly as it came, and acknowledged."""
    event = {"event_type": "foo.bar", **members}
    answer = ask("POST", PATH, event, headers={"X-Idempotency-Key": "k"})
    assert outcome(team, answer) == "noted"
    row = team.execute("SELECT type, body FROM inbound_events").fetchone()
    assert row == {"type": "foo.bar", "body": event}
    again = ask("POST", PATH, event, headers={"X-Idempotency-Key": "k"})
    assert (again.json, again.headers["idempotent-replayed"]) == (answer.json, "true")


@pytest.mark.parametrize("event_type", [5, None, "", "e" * 101, ["foo.bar"]])
def test_a_type_is_a_short_text(team: Connection, event_type: object) -> None:
    """What has no readable type is refused, and the answer says where."""
    answer = ask("POST", PATH, {"event_type": event_type, "coach_id": 5}, headers={"X-Idempotency-Key": "k"})
    problem = check_problem(answer, 422, "VALIDATION_ERROR")
    assert "body.event_type" in [one["loc"] for one in problem["details"]]
    assert count(team, "inbound_events") == 0
