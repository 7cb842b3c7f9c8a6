"""Every route under requests made of the contract itself: no 500, and every answer as described."""

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from fairslot.platform.db import Connection
from tests.support.api_fuzz import Operation, operations
from tests.support.clock import DAY, HALF, NINE
from tests.support.connecting import PUBLIC_URL, SECRET
from tests.support.endpoints import URL, add_endpoint, subscribed
from tests.support.http import ask, booked, send
from tests.support.invariants import check_invariants
from tests.support.queues import Queues
from tests.support.team import add_calendar, add_coach

OPERATIONS = list(operations())
# Of a hundred requests made by chance a few are right, and now and then none is.
ROUNDS = 4
_ABSENCES = "/api/coaches/coach-01/absences"
ABSENCE = {"start": "2026-04-03T00:00:00Z", "end": "2026-04-04T00:00:00Z"}


def known_values() -> dict[str, list[Any]]:
    """Return what exists, and some that does not, by the names under which requests speak of it."""
    starts = [
        (NINE + timedelta(days=day, minutes=15 * quarter)).isoformat()
        for day in range(20)
        for quarter in range(0, 40, 3)
    ]
    held = [
        ask("POST", "/api/holds", {"calendar_id": "cal", "start_time": start}).json["hold_id"]
        for start in starts[-14::-28]
    ]
    made = [booked(NINE + step * HALF)["appointment_id"] for step in range(16)]
    return {
        "appointment_id": [*made, str(uuid4())],
        "hold_id": [*held, str(uuid4())],
        "calendar_id": ["cal", "cal", "cal", "nowhere"],
        "coach_id": ["coach-01", "coach-02", "coach-03", "nobody"],
        "start_time": [*starts, "2026-03-03T14:05:00Z"],
        "end_time": ["2026-04-03T14:00:00Z"],
        "start": ["2026-03-02T00:00:00Z", "2026-03-04T12:34:56.789+05:45"],
        "end": ["2026-03-05T00:00:00Z", "2026-03-09T12:34:56.789+05:45"],
        "timezone": ["America/New_York", "Asia/Kathmandu", "Mars/Olympus"],
        "contact_email": ["zoe@example.com", "zoë@example.com", "zoe"],
        "event_type": ["appointment.cancelled", "coach.unavailable", "coach.calendar_changed", "else"],
        "X-Idempotency-Key": ["key-1", "key-2", *map(str, range(40))],
        "Idempotency-Key": ["key-1"],
        "source": [str(uuid4())],
        # A lower maximum than what is booked is allowed, and would not pass check_invariants.
        "per_day": [10, 50, 104, 105],
        "per_week": [40, 100, -1],
        "per_month": [40, 100, -1],
        "minutes_per_week": [2400, 9600, 10**9],
        "before": [0, 15, 30, 45, 20],
        "after": [0, 15, 30, 45, 20],
        "notice": [0, 60, 1440, -1],
        "score": [0.5, 0.9, 1, 1.1],
        "time_zone": ["America/New_York", "America/Chicago", "Mars/Olympus"],
        "working_hours": [
            None,
            {},
            {"mon": [["09:00", "17:00"]]},
            {"mon": [["09:00", "17:00"]], "tue": None},
        ],
        "overrides": [[], [{"date": "2026-03-03"}], [{"date": "2026-03-04", "hours": [["22:00", "02:00"]]}]],
        "blocked_dates": [[], ["2026-03-04"], ["2026-03-04", "2026-03-04"]],
        "attributes": [{}, {"language": ["de", "en"], "tier": 2, "remote": True}, {"tier": 2.5}],
        "requires": [[], [], ["language:de"], ["tier:2", "remote:true"], ["language"]],
        "calendars": [["cal"], ["cal", "nowhere"]],
        "email": ["ann@example.com", "ann", None],
        "slug": ["intro", "intro-1", "In tro", None],
        "name": ["Ann", "Ann \u202e"],
        "slot_duration": [15, 30, 45, 50],
        "bookings": [1, -0.5, 0.000001, 0, 0.0000001, 2000],
        "kind": ["normal", "normal", "weekend"],
        "hour_kinds": [[], [{"name": "weekend", "days": ["sat"]}], [{"name": "late"}]],
        "ledger": ["keep", "settle"],
        "if-match": ["*", '"tag"', "tag"],
        "if-none-match": ["*"],
        "cursor": ["WyJjYWwiLCAiMTk2OTQwMSJd", "W10="],
    }


def known_sources() -> dict[str, list[Any]]:
    """Give a coach external calendars, and return what requests can say of them."""
    bodies = [{"kind": "google", "calendar_ref": ref} for ref in ("a", "b", "c", "d")]
    made = [ask("POST", "/api/coaches/coach-01/sources", body).json["source_id"] for body in bodies]
    return {
        "coach_id": ["coach-01"],
        "source_id": [*made, str(uuid4())],
        "kind": ["google", "microsoft", "caldav", "else"],
        "url": ["https://calendars.example.com/", "http://127.0.0.1/", None],
        "calendar_ref": ["a", "other", None],
        "username": [None],
        "password": [None],
    }


def known_deliveries(connection: Connection) -> dict[str, list[Any]]:
    """Return the same of endpoints and of deliveries that have failed."""
    urls = [f"{URL}/{number}" for number in range(8)]
    endpoints = [subscribed(url=url)["endpoint_id"] for url in urls]
    for _ in range(3):
        booked(NINE + timedelta(days=30))
    connection.execute("UPDATE webhook_deliveries SET status = 'failed', finished_at = created_at")
    deliveries = connection.execute("SELECT delivery_id::text FROM webhook_deliveries").fetchall()
    return {
        "endpoint_id": [*endpoints, str(uuid4())],
        "delivery_id": [*(row["delivery_id"] for row in deliveries), str(uuid4())],
        "url": [*urls, *(f"{URL}/new/{number}" for number in range(40)), "https://127.0.0.1/"],
        "event_types": [["*"], ["appointment.*"], ["appointment.created", "calendar.stale"], ["nothing"]],
        "since": ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00+05:45"],
    }


def add_idle(connection: Connection, values: dict[str, list[Any]]) -> None:
    """Add four coaches to the team and a calendar, all without appointments."""
    idle = [f"idle-{number}" for number in range(4)]
    for coach_id in idle:
        add_coach(connection, coach_id)
    add_calendar(connection, "idle", values["coach_id"][:3])
    connection.execute(
        "INSERT INTO coach_calendars SELECT 'cal', coach_id FROM coaches ON CONFLICT DO NOTHING"
    )
    values["coach_id"] += idle
    values["calendar_id"].append("idle")


def made_ready(
    operation: Operation, team: Connection, request: pytest.FixtureRequest
) -> dict[str, list[Any]]:
    """Make what an operation is about; return what requests can say of it."""
    add_endpoint(team, "crm", "appointment.*")
    values = known_values()
    if "webhook-endpoints" in operation.path or "deliveries" in operation.path:
        request.getfixturevalue("kms")
        values |= known_deliveries(team)
    if operation.path.endswith("/calendar/secret"):
        request.getfixturevalue("kms")
        assert ask("POST", operation.path).status == 200
    if "absence_id" in operation.path:
        made = [ask("POST", _ABSENCES, ABSENCE).json["absence_id"] for _ in range(3)]
        values |= {"coach_id": ["coach-01"], "absence_id": [*made, str(uuid4())]}
    if "/sources" in operation.path or operation.name == "create_connection":
        request.getfixturevalue("kms")
        request.getfixturevalue("environment")(PUBLIC_URL=PUBLIC_URL, CONNECT_SECRETS=SECRET)
        values |= known_sources()
    if "key_id" in operation.path:
        keys = [ask("POST", "/api/keys", {"scopes": ["read"]}).json["key_id"] for _ in range(8)]
        values |= {"key_id": [*keys, str(uuid4())]}
    if operation.name in {"delete_coach", "delete_calendar", "delete_member"}:  # some without appointments
        add_idle(team, values)
    if operation.name == "report_outcome":  # of what has begun
        request.getfixturevalue("clock")(NINE + DAY)
    return values


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_whatever_is_asked_is_answered(
    team: Connection, cache: Redis, queues: Queues, operation: Operation, request: pytest.FixtureRequest
) -> None:
    """No request ends in 500; each answer fits the contract; the books still balance."""
    values = made_ready(operation, team, request)
    statuses: Counter[int] = Counter()

    @settings(max_examples=100)
    @given(made=operation.requests(values))
    def run(made: dict[str, Any]) -> None:
        answer = send(made)
        statuses[answer.status] += 1
        operation.check(answer)

    for _ in range(ROUNDS):
        if min(statuses, default=500) >= 300:
            run()
    check_invariants(team)
    assert min(statuses) < 300, f"nothing got through: {statuses}"


@pytest.mark.parametrize("key", [None, "nobody"])
def test_whatever_a_stranger_asks_is_refused(team: Connection, key: str | None) -> None:
    """Without a known key every request to every route that is not open is 401."""
    closed = [operation for operation in OPERATIONS if operation.described.get("security") != []]

    @settings(max_examples=60)
    @given(
        made=st.sampled_from(closed).flatmap(lambda operation: operation.requests({"calendar_id": ["cal"]}))
    )
    def run(made: dict[str, Any]) -> None:
        headers = {name: value for name, value in made["headers"].items() if name != "x-api-key"}
        answer = send({**made, "headers": headers | ({"x-api-key": key} if key else {})})
        assert answer.status == 401
        assert answer.json["error"] == "AUTHENTICATION_FAILED"

    run()
