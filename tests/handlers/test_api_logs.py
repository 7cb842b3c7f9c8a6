"""Nothing personal and no secret in what the functions log, also when things go wrong."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from tests.support.api_processes import logged
from tests.support.clock import NOW
from tests.support.endpoints import add_endpoint
from tests.support.fixtures import Environment
from tests.support.http import KEY, add_key, booked, booking_body, request
from tests.support.queues import Queues
from tests.support.sqs_events import batch_event
from tests.support.tables import one_row

PERSON: dict[str, Any] = {
    "contact_name": "Zoë Geheimnis",
    "contact_email": "zoe.geheimnis@example.com",
    "notes": "allergic to peanuts",
    "metadata": {"diagnosis": "sciatica"},
}
IDEMPOTENCY_KEY = "order-of-geheimnis"
# Parts of it all, so that no spelling gets by.
PRIVATE = [
    "Geheimnis",
    "geheimnis",
    "peanuts",
    "diagnosis",
    "sciatica",
    "4711",
    "moved away",
    KEY,
    "stranger",
]
KEYED = {"X-Idempotency-Key": IDEMPOTENCY_KEY}
BOOKING = "booking.app"


def book(**more: Any) -> tuple[str, dict[str, Any]]:
    """Return the call that books for the person."""
    body = booking_body(**{**PERSON, **more.pop("members", {})})
    return BOOKING, request("POST", "/api/appointments", body, **{"headers": KEYED, **more})


def check_log(log: Path, *said: str) -> str:
    """Assert that the log says what it has to and nothing private; return it."""
    text = log.read_text("utf-8")
    for private in PRIVATE:
        spellings = {private, json.dumps(private)[1:-1], repr(private)[1:-1]}
        assert not [one for one in spellings if one in text], private
    for one in said:
        assert one in text, f"{one} is not in the log:\n{text}"
    return text


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where what is said is kept."""
    return tmp_path / "log"


def test_a_day_of_requests(
    team: Connection, cache: Redis, queues: Queues, environment: Environment, log: Path
) -> None:
    """Bookings, repetitions, refusals of every kind and events leave only numbers and kinds."""
    add_endpoint(team, "crm", "appointment.*")
    add_key(team, "stranger-of-zoe", scopes=(), rate_limit=2)
    path = f"/api/appointments/{booked(**PERSON)['appointment_id']}"
    reason = {"reason": "moved away"}
    calls = [
        book(),
        book(),
        book(members={"notes": "peanuts again"}),
        book(members={"contact_email": "geheimnis"}),
        book(members={"Geheimnis": 1}),
        book(members={"timezone": "Geheimnis/sciatica"}),
        book(members={"calendar_id": "Geheimnis"}),
        book(headers={"X-Idempotency-Key": "order-of" * 100}),
        *(book(headers={}) for _ in range(3)),
        *(book(key="stranger-of-zoe") for _ in range(3)),
        book(key="stranger-unknown"),
        book(key=None, headers={"Authorization": "Bearer stranger"}),
        (BOOKING, request("POST", "/api/appointments", b'{"contact_name": "Geheimnis"', headers=KEYED)),
        (BOOKING, request("GET", "/api/appointments", query={"coach_id": "Geheimnis", "cursor": "sciatica"})),
        (BOOKING, request("GET", path)),
        (BOOKING, request("POST", f"{path}/cancel", reason)),
        (BOOKING, request("POST", f"{path}/cancel", reason)),
        (
            BOOKING,
            request("POST", "/api/webhooks/calendar", {"event_type": "sciatica", **PERSON}, headers=KEYED),
        ),
        ("availability.app", request("GET", "/api/availability", query={"timezone": "Geheimnis"})),
    ]
    answers = logged(calls, log)
    statuses = [answer["statusCode"] for answer in answers]
    assert set(statuses) == {200, 201, 400, 401, 403, 404, 409, 422, 429}
    check_log(log, '"Answers2xx"', '"Answers4xx"')


def test_unexpected_errors(team: Connection, cache: Redis, log: Path) -> None:
    """An error whose own text quotes the customer's row is told by its kind and its place."""
    team.execute("ALTER TABLE coach_appointments ADD CONSTRAINT no_zoe CHECK (contact_name NOT LIKE 'Zoë%')")
    answers = logged([book(), book(), ("availability.app", request("GET", "/health"))], log)
    assert [answer["statusCode"] for answer in answers] == [500, 500, 200]
    assert all(private not in str(answers) for private in PRIVATE)
    check_log(log, "CheckViolation", '"UnexpectedError"', "create_appointment")


def test_a_table_that_is_gone(team: Connection, log: Path) -> None:
    """Errors of the schema are told in the same way."""
    team.execute("ALTER TABLE coach_slots RENAME TO gone")
    (answer,) = logged([book()], log)
    assert answer["statusCode"] == 500
    check_log(log, "UndefinedTable")


def test_parts_that_are_down(team: Connection, environment: Environment, log: Path) -> None:
    """Without cache, queue and auth service, and then without the database, the log names what is missing."""
    add_endpoint(team, "crm", "appointment.*")
    dead = "http://127.0.0.1:1"
    environment(
        REDIS_URL="redis://:sciatica@127.0.0.1:1/0",
        DELIVERIES_QUEUE_URL=f"{dead}/0/deliveries",
        AWS_ENDPOINT_URL=dead,
        AWS_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="peanuts",
        AWS_SECRET_ACCESS_KEY="peanuts",
    )
    assert [answer["statusCode"] for answer in logged([book()], log)] == [201]
    check_log(log, "the cache does not answer", "CacheUnavailable", "publishing deferred to the sweep")
    environment(AUTH_SERVICE_URL=dead)
    assert [answer["statusCode"] for answer in logged([book()], log)] == [503]
    environment(AUTH_SERVICE_URL="", DATABASE_URL="postgresql://geheimnis:peanuts@127.0.0.1:1/zoe")
    assert [answer["statusCode"] for answer in logged([book()], log)] == [503]
    check_log(log)


def test_messages_that_fail(team: Connection, log: Path) -> None:
    """A queue's message that cannot be handled is told by its id, and its error by its kind."""
    add_endpoint(team, "crm", "appointment.*")
    booked(**PERSON)
    delivery = one_row(team, "SELECT delivery_id, event_id FROM webhook_deliveries")
    attempt = {
        "delivery_id": str(delivery["delivery_id"]),
        "event_id": str(delivery["event_id"]),
        "kind": "crm",
        "type": "appointment.created",
        "attempt": 1,
        "at": NOW.isoformat(),
        "outcome": "delivered",
        "latency_ms": 1,
        "response_excerpt": "hello Geheimnis",
        "answer": {"crm_id": "crm-7"},
    }
    team.execute(
        "ALTER TABLE coach_appointments ADD CONSTRAINT no_crm CHECK (crm_contact_id IS DISTINCT FROM 'crm-7')"
    )
    bodies = [json.dumps(attempt), json.dumps({**attempt, "attempt": "peanuts"}), "Geheimnis"]
    returned = logged([("background.results", batch_event(*bodies))], log)
    assert [one["itemIdentifier"] for one in returned[0]["batchItemFailures"]] == ["0", "1", "2"]
    check_log(log, "CheckViolation", "MessageError", '"message_id"')


def test_the_sweep_that_fails(team: Connection, queues: Queues, log: Path) -> None:
    """An event that cannot be acted on is told by its kind, and does not keep others from their turn."""
    made = [booked(**PERSON) for _ in range(2)]
    for one in made:
        team.execute(
            "INSERT INTO inbound_events (tenant_id, key, fingerprint, type, body, received_at)"
            " VALUES ('default', %s, '', 'appointment.cancelled', %s, now() - interval '1 day')",
            (
                f"order-of-{uuid4()}",
                json.dumps({"appointment_id": one["appointment_id"], "reason": "moved away"}),
            ),
        )
    team.execute(
        "ALTER TABLE coach_appointments ADD CONSTRAINT stays"
        f" CHECK (status <> 'cancelled' OR appointment_id <> '{made[0]['appointment_id']}')"
    )
    team.execute("DROP FUNCTION public.clock_timestamp")
    logged([("background.maintenance", {"task": "outbox"})], log)
    check_log(log, "CheckViolation")
    assert team.execute("SELECT FROM coach_appointments WHERE status = 'cancelled'").rowcount == 1
