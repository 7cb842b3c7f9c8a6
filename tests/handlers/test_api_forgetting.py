"""Forgetting a customer over HTTP: everything of theirs goes, everywhere, and what the team needs stays."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis

from fairslot.booking import contacts
from fairslot.platform.db import Connection
from tests.support.attempts import record_attempt
from tests.support.clock import HOUR, NINE
from tests.support.endpoints import add_endpoint
from tests.support.fixtures import Clock
from tests.support.http import (
    Answer,
    add_key,
    ask,
    body_of,
    book,
    booked,
    check_problem,
    get_appointment,
)
from tests.support.queues import Queues
from tests.support.tables import count, one_row, table_digests
from tests.support.team_api import touched
from tools import replay

EMAIL = "zoe@example.com"
PATH = f"/api/contacts/{EMAIL}"
CANCEL = {"appointments": "cancel"}
# What is theirs, as booking_body() and `about` say it.
THEIRS = ("zoe", "zoë", "sciatica", "secret plan", "europe/lisbon", "crm-77")
ABOUT: dict[str, Any] = {
    "notes": "sciatica",
    "metadata": {"a": "secret plan"},
    "timezone": "Europe/Lisbon",
}
LATER = NINE + timedelta(days=1)


def forget(email: str = EMAIL, *, key: str = "test-key-123", **query: str) -> Answer:
    """Ask to have a customer forgotten."""
    return ask("DELETE", f"/api/contacts/{email}", query=query, key=key)


def everything(connection: Connection) -> str:
    """Return every row of every table as text, in lower case."""
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    rows = [
        f"{table['relname']} {row['text']}"
        for table in tables
        for row in connection.execute(f"SELECT t::text AS text FROM {table['relname']} AS t".encode())
    ]
    return "\n".join(rows).lower()


def found(text: str) -> list[str]:
    """Return the lines in which something of theirs is."""
    return [line for line in text.splitlines() if any(word in line for word in THEIRS)]


def cached(cache: Redis) -> str:
    """Return every text that the cache has, in lower case."""
    strings = [name for name in cache.scan_iter("*") if cache.type(name) == b"string"]
    return "\n".join(f"{name!r} {cache.get(name)!r}" for name in strings).lower()


def act(made: dict[str, Any], action: str, body: object, key: str) -> Answer:
    """Change an appointment under a key."""
    path = f"/api/appointments/{made['appointment_id']}/{action}"
    return ask("POST", path, body, headers={"X-Idempotency-Key": key})


def live(team: Connection, queues: Queues, clock: Clock) -> list[Answer]:
    """Have the customer leave traces everywhere; return the answers that were given under keys."""
    add_endpoint(team, "crm", "appointment.*")
    first = booked(**ABOUT, headers={"X-Idempotency-Key": "book"})
    second = booked(NINE + HOUR, **ABOUT)
    third = booked(LATER, **ABOUT)
    for number, message in enumerate(queues.take("DELIVERIES")):
        record_attempt(team, message, response_excerpt=EMAIL, **_result(number))
    answers = [
        act(third, "reschedule", {"start_time": (LATER + HOUR).isoformat()}, "move"),
        act(third, "reschedule", {"start_time": (LATER + HOUR).isoformat()}, "stay"),
        act(third, "reassign", {"reason": "zoe asked for it"}, "hand over"),
    ]
    failed = one_row(team, "SELECT delivery_id FROM webhook_deliveries WHERE status = 'failed'")
    key = {"X-Idempotency-Key": "again"}
    answers.append(ask("POST", f"/api/deliveries/{failed['delivery_id']}/replay", headers=key))
    event: dict[str, Any] = {
        "appointment_id": first["appointment_id"],
        "who": {"e": EMAIL.upper()},
        "reason": "sciatica",
    }
    event["event_type"] = "appointment.updated"
    ask("POST", "/api/webhooks/calendar", event, headers={"X-Idempotency-Key": "event"})
    absence = {"start": "2026-04-03T00:00:00Z", "end": "2026-04-04T00:00:00Z", "reason": f"with {EMAIL}"}
    assert ask("POST", "/api/coaches/coach-01/absences", absence).status == 201
    ask("PATCH", "/api/calendars/cal", {"description": f"ask {EMAIL}"})
    ask("PATCH", "/api/calendars/cal", {"description": ""})
    # Two appointments have begun; the keys are as young as before.
    clock(NINE + 2 * HOUR)
    team.execute("UPDATE changes SET key_until = key_until + interval '3 days'")
    answers += [
        act(first, "outcome", {"outcome": "completed"}, "came"),
        act(second, "cancel", {"by": "coach", "reason": "zoe is ill"}, "cancel"),
    ]
    assert [one.status for one in answers] == [200] * len(answers)
    return answers


def _result(number: int) -> dict[str, Any]:
    if number == 0:
        return {"answer": {"crm_id": "crm-77"}}
    return {"error": "http_400" if number == 1 else "timeout"}


@pytest.fixture
def traces(team: Connection, cache: Redis, queues: Queues, clock: Clock) -> list[Answer]:
    """The customer has left traces everywhere."""
    return live(team, queues, clock)


def test_nothing_is_left_of_a_forgotten_customer(
    team: Connection, cache: Redis, queues: Queues, traces: list[Answer]
) -> None:
    """In no column of any table, in no answer of the cache, and in no message that is made afterwards."""
    assert {line.split()[0] for line in found(everything(team))} >= {
        "audit_entries",
        "changes",
        "coach_absences",
        "coach_appointments",
        "inbound_events",
        "webhook_attempts",
    }
    assert not found(cached(cache))
    queues.take("DELIVERIES")
    assert body_of(forget("ZOE@Example.com", **CANCEL)) == {"appointments": 3, "cancelled": 1}
    assert not found(everything(team))
    assert not found(cached(cache))
    assert not found(json.dumps(queues.take("DELIVERIES"), ensure_ascii=False).lower())


def test_what_the_team_needs_stays(team: Connection, traces: list[Answer]) -> None:
    """Appointments with their times and ends, decisions that replay, and the distribution."""
    before = [*map(dict, team.execute("SELECT * FROM distribution_log ORDER BY calendar_id, seq"))]
    assert body_of(forget(**CANCEL))["appointments"] == 3
    after = [*map(dict, team.execute("SELECT * FROM distribution_log ORDER BY calendar_id, seq"))]
    assert after[: len(before)] == before
    with team.transaction():
        assert replay.replay(team, "cal") == len(after)
    listed = ask("GET", "/api/appointments").json["data"]
    assert sorted(one["status"] for one in listed) == ["cancelled", "cancelled", "completed"]
    assert {one["contact_email"] for one in listed} == {None}


def test_a_known_key_is_answered_without_the_customer(
    team: Connection, cache: Redis, traces: list[Answer]
) -> None:
    """And nothing is done a second time: the answer is the same but for what was theirs."""
    made = book(headers={"X-Idempotency-Key": "book"}, **ABOUT)
    third = traces[0].json
    assert forget(**CANCEL).status == 200
    before = table_digests(team)
    assert book(headers={"X-Idempotency-Key": "book"}, **ABOUT).json == made.json
    moved = act(third, "reschedule", {"start_time": (LATER + HOUR).isoformat()}, "move")
    assert moved.headers.get("idempotent-replayed") == "true", moved
    nobody = dict.fromkeys(("contact_name", "contact_email", "notes", "timezone", "crm_contact_id"))
    assert moved.json == {**third, **nobody, "metadata": {}}
    stayed = act(third, "reschedule", {"start_time": (LATER + HOUR).isoformat()}, "stay")
    assert stayed.json == {**traces[1].json, **nobody, "metadata": {}}
    again = ask(
        "POST",
        f"/api/deliveries/{traces[3].json['delivery_id']}/replay",
        headers={"X-Idempotency-Key": "again"},
    )
    assert [one["response_excerpt"] for one in again.json["attempts"]] == [None]
    assert table_digests(team) == before


@pytest.mark.parametrize("character", [*"%/?#`+&='{}", "%41", "é"])
def test_an_address_may_have_any_characters(team: Connection, character: str) -> None:
    """Escaped twice; escaped once where the gateway and the routes let it through."""
    for escape in (_twice, quote) if character in {"%", "+", "é"} else (_twice,):
        email = f"zoe{character}x@example.com"
        booked(contact_email=email)
        assert body_of(forget(escape(email), **CANCEL)) == {"appointments": 1, "cancelled": 1}
        assert not found(everything(team))


def _twice(email: str) -> str:
    return quote(quote(email, safe=""), safe="")


def test_appointments_to_come_refuse_it(team: Connection, clock: Clock) -> None:
    """They are listed; one that is past or cancelled is none of them."""
    booked(NINE)
    coming = [booked(LATER)["appointment_id"], booked(LATER + HOUR)["appointment_id"]]
    ask("POST", f"/api/appointments/{booked(LATER + 2 * HOUR)['appointment_id']}/cancel")
    clock(NINE + HOUR)
    before = table_digests(team)
    refused = touched(forget())
    assert [one["appointment_id"] for one in refused] == coming
    assert not found(json.dumps(refused).lower())
    assert table_digests(team) == before
    check_problem(forget(appointments="keep"), 400, "VALIDATION_ERROR")


def test_it_is_in_the_audit_without_the_address(team: Connection) -> None:
    """By a keyed hash, which is the same for the same address; done again it changes nothing."""
    booked()
    assert body_of(forget(**CANCEL)) == {"appointments": 1, "cancelled": 1}
    forgotten, cancelled, _ = ask("GET", "/api/audit").json["data"]
    assert (forgotten["resource"], forgotten["action"]) == ("contact", "forgotten")
    assert forgotten["after"] == {"appointments": 1}
    assert forgotten["route"] == "/api/contacts/{email}"
    assert forgotten["request_id"] == cancelled["request_id"]
    before = table_digests(team)
    assert body_of(forget()) == {"appointments": 0, "cancelled": 0}
    assert table_digests(team) == before
    booked(contact_email="ZOE@example.com")
    forget(**CANCEL)
    assert ask("GET", "/api/audit").json["data"][0]["resource_id"] == forgotten["resource_id"]


def test_nobody_else_is_forgotten(team: Connection) -> None:
    """Neither who has another address nor who has the same with another tenant."""
    add_key(team, "theirs", tenant_id="other")
    ana = booked(contact_email="ana@example.com")
    zoe = booked(NINE + HOUR)
    assert ask("POST", f"/api/appointments/{booked(LATER)['appointment_id']}/cancel").status == 200
    before = table_digests(team)
    assert body_of(forget(key="theirs", **CANCEL)) == {"appointments": 0, "cancelled": 0}
    assert table_digests(team) == before
    assert forget(**CANCEL).status == 200
    assert get_appointment(ana)["contact_email"] == "ana@example.com"
    assert get_appointment(zoe)["contact_email"] is None


def test_a_long_history_is_forgotten_in_portions(team: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its own entry; what was interrupted goes on."""
    monkeypatch.setattr(contacts, "PORTION", 2)
    for number in range(5):
        booked(NINE + number * HOUR)
    assert body_of(forget(**CANCEL)) == {"appointments": 5, "cancelled": 5}
    entries = ask("GET", "/api/audit", query={"resource": "contact"}).json["data"]
    assert [one["after"]["appointments"] for one in entries] == [1, 2, 2]
    assert not found(everything(team))


def test_the_same_key_is_one_forgetting(team: Connection, cache: Redis) -> None:
    """The answer is kept, and a booking after it is not forgotten by the repetition."""
    booked()
    key = {"X-Idempotency-Key": "k"}
    first = ask("DELETE", PATH, query=CANCEL, headers=key)
    made = booked()
    for _ in range(2):
        cache.flushall()
        assert ask("DELETE", PATH, query=CANCEL, headers=key).json == first.json
    assert get_appointment(made)["contact_email"] == EMAIL


def test_what_is_no_address_is_not_found(team: Connection) -> None:
    """As every id that is none."""
    check_problem(forget("nobody"), 404, "NOT_FOUND")
    check_problem(forget(f"{EMAIL}%00"), 404, "NOT_FOUND")
    assert count(team, "audit_entries") == 0
