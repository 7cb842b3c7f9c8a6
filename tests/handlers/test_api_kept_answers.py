"""What is kept for an idempotency key is what was answered, in Postgres and in Valkey."""

import json
from typing import Any

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from tests.support.attempts import record_attempt
from tests.support.clock import NINE
from tests.support.endpoints import add_endpoint, subscribed
from tests.support.http import NOTHING, Answer, ask, book, booked
from tests.support.queues import Queues
from tests.support.tables import one_row

KEY = {"X-Idempotency-Key": "key-1"}
PATH = "/api/appointments"
PERSONAL = {"cancel", "reschedule", "reassign", "outcome", "replay"}
WISH = {"calendar_id": "cal", "start_time": NINE.isoformat()}


def kept(connection: Connection, cache: Redis) -> list[Any]:
    """Return the kept answers: the database's, and those of the cache."""
    row = one_row(
        connection, "SELECT engine.answer_of(type, after, answer) AS answer FROM changes WHERE key = 'key-1'"
    )
    records = [
        cache.get(name)
        for name in cache.scan_iter("*")
        if cache.type(name) == b"string" and not name.startswith((b"known_keys:", b"key_version:"))
    ]
    answers = [json.loads(json.loads(one)["data"]) for one in records if isinstance(one, bytes)]
    assert answers
    return [row["answer"], *answers]


def change(connection: Connection, queues: Queues, name: str) -> Answer:
    """Make one change under KEY, by its name."""
    match name:
        case "book":
            return book(headers=KEY, notes="sciatica", metadata={"a": 1})
        case "hold":
            return ask("POST", "/api/holds", WISH, headers=KEY)
        case "release":
            hold_id = ask("POST", "/api/holds", WISH).json["hold_id"]
            return ask("DELETE", f"/api/holds/{hold_id}", headers=KEY)
        case "replay":
            add_endpoint(connection, "crm", "appointment.*")
            booked()
            (message,) = queues.take("DELIVERIES")
            record_attempt(connection, message, "timeout")
            return ask("POST", f"/api/deliveries/{message['delivery_id']}/replay", headers=KEY)
        case "rotate source" | "delete source":
            path = "/api/webhooks/calendar/secret"
            if name == "rotate source":
                return ask("POST", path, headers=KEY)
            ask("POST", path)
            return ask("DELETE", path, headers=KEY)
        case "delete endpoint" | "test" | "recover":
            method, action = ("DELETE", "") if name == "delete endpoint" else ("POST", f"/{name}")
            body = {"since": NINE.isoformat()} if name == "recover" else NOTHING
            endpoint_id = subscribed()["endpoint_id"]
            return ask(method, f"/api/webhook-endpoints/{endpoint_id}{action}", body, headers=KEY)
    path = f"{PATH}/{booked(notes='sciatica')['appointment_id']}/{name}"
    if name == "outcome":
        connection.execute(
            "UPDATE coach_appointments SET start_time = start_time - interval '3 days',"
            " end_time = end_time - interval '3 days',"
            " takes = tstzrange(lower(takes) - interval '3 days', upper(takes) - interval '3 days')"
        )
    bodies: dict[str, Any] = {
        "reschedule": {"start_time": NINE.replace(hour=17).isoformat()},
        "outcome": {"outcome": "completed"},
    }
    return ask("POST", path, bodies.get(name, NOTHING), headers=KEY)


@pytest.mark.parametrize(
    "name",
    [
        "book",
        "hold",
        "release",
        "cancel",
        "reschedule",
        "reassign",
        "outcome",
        "replay",
        "rotate source",
        "delete source",
        "delete endpoint",
        "test",
        "recover",
    ],
)
def test_what_is_kept_is_what_was_answered(
    team: Connection, cache: Redis, queues: Queues, kms: None, name: str
) -> None:
    """No more, no less; a secret is answered once and kept nowhere, and metadata is kept as its text.

    Of an answer with a customer's data the cache has nothing.
    """
    answer = change(team, queues, name)
    assert answer.status in {200, 201, 204}, answer
    said = answer.json if answer.body else {}
    said.pop("secret", None)
    stored, *remembered = kept(team, cache)
    if name in PERSONAL:
        assert remembered == [{}]
        remembered = []
    for one in (stored, *remembered):
        if isinstance(one.get("metadata"), str):
            one["metadata"] = json.loads(one["metadata"])
        assert one == said


def test_who_books_is_not_kept_with_the_key(team: Connection, cache: Redis) -> None:
    """The answer to a booking names nobody, and neither does what is kept of it."""
    assert book(headers=KEY, notes="sciatica", metadata={"a": "secret plan"}).status == 201
    text = json.dumps(kept(team, cache))
    for word in ("Zo", "zoe@example.com", "sciatica", "secret plan"):
        assert word not in text
    row = str(one_row(team, "SELECT * FROM changes WHERE key = 'key-1'"))
    assert "zoe@example.com" in row, "the event names the customer"
    for word in ("sciatica", "secret plan"):
        assert word not in row
