"""Calendar events that come signed instead of with a key: whose they are, and what is not taken."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from standardwebhooks import Webhook

from fairslot.platform import signing_secrets
from fairslot.platform.db import Connection
from tests.support.clock import NOW
from tests.support.fixtures import Clock, Environment
from tests.support.http import KEY, NOTHING, Answer, add_key, ask, body_of, booked, check_problem
from tests.support.queues import Queues
from tests.support.tables import count, table_digests

PATH = "/api/webhooks/calendar"
SECRET = f"{PATH}/secret"


def rotated(**body: Any) -> dict[str, Any]:
    """Return the source with a new secret."""
    return body_of(ask("POST", SECRET, body or NOTHING))


def tell(
    source: dict[str, Any],
    event: dict[str, Any],
    *,
    key: str = "event-1",
    at: datetime = NOW,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """Send an event signed by the public library; `headers` and `body` win over what was signed."""
    signed = json.dumps(event).encode()
    sent = {
        "webhook-id": key,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(source["secret"]).sign(key, at, signed.decode()),
        **(headers or {}),
    }
    query = {"source": source["source_id"]}
    return ask("POST", PATH, body or signed, query=query, headers=sent, key=None)


def cancellation() -> dict[str, Any]:
    """Return an event that cancels an appointment made for it."""
    return {"event_type": "appointment.cancelled", "appointment_id": booked()["appointment_id"]}


def cancelled(connection: Connection) -> int:
    """Return how many appointments are cancelled."""
    return connection.execute("SELECT FROM coach_appointments WHERE status = 'cancelled'").rowcount


def test_a_signed_event_needs_no_key(team: Connection, kms: None) -> None:
    """It is kept and acted on for the source's tenant, and its webhook-id is the idempotency key."""
    source, event = rotated(), cancellation()
    first = tell(source, event)
    assert (first.status, first.json["received"]) == (200, True)
    assert cancelled(team) == 1
    again = tell(source, event, at=NOW + timedelta(minutes=4))
    assert (again.json, again.headers["idempotent-replayed"]) == (first.json, "true")
    assert count(team, "inbound_events") == 1
    check_problem(tell(source, cancellation()), 422, "IDEMPOTENCY_KEY_REUSED")


def test_unknown_types_are_kept_and_acknowledged(team: Connection, kms: None) -> None:
    """What we do not know today may matter tomorrow."""
    assert tell(rotated(), {"event_type": "calendar.painted", "colour": "blue"}).status == 200
    row = team.execute("SELECT outcome, body ->> 'colour' AS colour FROM inbound_events").fetchone()
    assert row == {"outcome": "noted", "colour": "blue"}


def test_what_is_signed_otherwise_is_nobodys(team: Connection, kms: None) -> None:
    """Another secret, body, id, time or source: 401, and nothing is kept."""
    source, event = rotated(), cancellation()
    stranger = source | {"secret": signing_secrets.make()}
    before = table_digests(team)
    for answer in (
        tell(stranger, event),
        tell(source, event, body=json.dumps(event | {"reason": "mine"}).encode()),
        tell(source, event, headers={"webhook-id": "event-2"}),
        tell(source, event, headers={"webhook-id": ""}),
        tell(source, event, headers={"webhook-id": "i" * 256}),
        tell(source, event, headers={"webhook-timestamp": str(int(NOW.timestamp()) + 1)}),
        tell(source, event, headers={"webhook-timestamp": "now"}),
        tell(source, event, headers={"webhook-timestamp": "9" * 400}),
        tell(source, event, headers={"webhook-timestamp": "-1"}),
        tell(source, event, headers={"webhook-signature": ""}),
        tell(source, event, headers={"webhook-signature": "v1,ключ v1a,x"}),
        tell(source, event, at=NOW - timedelta(seconds=301)),
        tell(source, event, at=NOW + timedelta(seconds=301)),
        tell(source | {"source_id": str(uuid4())}, event),
        tell(source | {"source_id": "everybody"}, event),
        tell(source | {"source_id": ""}, event),
    ):
        check_problem(answer, 401, "AUTHENTICATION_FAILED")
    assert table_digests(team) == before
    assert tell(source, event, at=NOW - timedelta(seconds=299)).status == 200


def test_a_source_has_one_rate_limit_however_its_id_is_written(
    team: Connection, cache: Redis, kms: None
) -> None:
    """Requests are counted by the source, not by the spelling of its id."""
    source = rotated()
    spellings = [source["source_id"], source["source_id"].upper(), source["source_id"].replace("-", "")]
    left = [
        int(
            tell(source | {"source_id": one}, {"event_type": "x"}, key=f"event-{number}").headers[
                "x-ratelimit-remaining"
            ]
        )
        for number, one in enumerate(spellings)
    ]
    assert left == [left[0], left[0] - 1, left[0] - 2]


def test_invalid_signatures_are_counted_by_address(
    team: Connection, cache: Redis, kms: None, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit nothing is looked up or decrypted for an address, until it has waited."""
    environment(MAX_UNKNOWN_KEYS_PER_MINUTE="3")
    source = rotated()
    wrong = {"webhook-signature": "v1,AAAA"}
    statuses = [tell(source, {"event_type": "x"}, headers=wrong).status for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    monkeypatch.setattr(signing_secrets, "decrypt", pytest.fail)
    check_problem(tell(source, {"event_type": "x"}), 429, "RATE_LIMIT_EXCEEDED")


def test_who_overhears_an_event_cannot_send_it_again(team: Connection, kms: None) -> None:
    """Another idempotency key beside the signed one is refused; the same one is no harm."""
    source, event = rotated(), cancellation()
    other = tell(source, event, headers={"X-Idempotency-Key": "another"})
    check_problem(other, 400, "VALIDATION_ERROR")
    assert count(team, "inbound_events") == 0
    assert tell(source, event, headers={"X-Idempotency-Key": "event-1"}).status == 200


def test_a_signature_opens_nothing_else(team: Connection, kms: None) -> None:
    """Only calendar events can be signed."""
    source = rotated()
    body = {"event_type": "x"}
    stamp = str(int(NOW.timestamp()))
    sent = {
        "webhook-id": "k",
        "webhook-timestamp": stamp,
        "webhook-signature": Webhook(source["secret"]).sign("k", NOW, json.dumps(body)),
    }
    query = {"source": source["source_id"]}
    for path in ("/api/appointments", "/api/holds", SECRET, "/api/webhook-endpoints"):
        answer = ask("POST", path, body, query=query, headers=sent, key=None)
        check_problem(answer, 401, "AUTHENTICATION_FAILED")


def test_a_signature_and_a_key_are_none(team: Connection, kms: None) -> None:
    """Two at once are refused, even if each is good; where no signature is taken it is no credential."""
    source = rotated()
    for both in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
        check_problem(tell(source, {"event_type": "x"}, headers=both), 401, "AUTHENTICATION_FAILED")
    unsigned = ask("GET", "/api/appointments", headers={"webhook-signature": "v1,x"})
    assert unsigned.status == 200


def test_both_secrets_are_good_while_one_takes_the_others_place(
    team: Connection, kms: None, clock: Clock
) -> None:
    """The source keeps its id; for the overlap either secret signs, afterwards only the new one."""
    old = rotated()
    new = rotated(overlap_hours=2)
    assert (new["source_id"], new["previous_secret_until"]) == (old["source_id"], "2026-03-02T14:00:00Z")
    assert (
        tell(old, {"event_type": "x"}, key="1").status
        == tell(new, {"event_type": "x"}, key="2").status
        == 200
    )
    later = NOW + timedelta(hours=2)
    clock(later)
    check_problem(tell(old, {"event_type": "x"}, key="3", at=later), 401, "AUTHENTICATION_FAILED")
    assert tell(new, {"event_type": "x"}, key="3", at=later).status == 200


def test_the_secret_is_managed(team: Connection, kms: None) -> None:
    """It is shown once, kept as ciphertext, taken away for good, and no other tenant's business."""
    add_key(team, "other-key", tenant_id="other")
    check_problem(ask("GET", SECRET), 404, "NOT_FOUND")
    made = ask("POST", SECRET, headers={"Idempotency-Key": "k"}).json
    again = ask("POST", SECRET, headers={"Idempotency-Key": "k"})
    assert (again.json, again.headers["idempotent-replayed"]) == (made | {"secret": None}, "true")
    assert made["secret"] not in str(team.execute("SELECT * FROM inbound_sources").fetchall())
    shown = ask("GET", SECRET).json
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    check_problem(ask("GET", SECRET, key="other-key"), 404, "NOT_FOUND")
    check_problem(ask("DELETE", SECRET, key="other-key"), 404, "NOT_FOUND")
    assert ask("DELETE", SECRET).status == 204
    check_problem(ask("DELETE", SECRET), 404, "NOT_FOUND")
    check_problem(tell(made, {"event_type": "x"}), 401, "AUTHENTICATION_FAILED")


def test_without_kms_a_signed_event_is_tried_again(
    team: Connection, kms: None, environment: Callable[..., None]
) -> None:
    """When secrets cannot be opened nobody is let in, and the sender is told to come back."""
    source = rotated()
    signing_secrets.clear_cache()
    environment(AWS_ENDPOINT_URL_KMS="http://127.0.0.1:1")
    answer = tell(source, {"event_type": "x"})
    check_problem(answer, 503, "SERVICE_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0
    assert count(team, "inbound_events") == 0


@pytest.mark.parametrize(
    "members", [{"start_time": "2026-03-03T14:00:00Z", "end_time": "2026-03-03T17:00:00Z"}]
)
def test_duplicates_and_another_order_act_once(
    team: Connection, kms: None, queues: Queues, members: dict[str, Any]
) -> None:
    """Whatever comes twice, late or in another order has one effect for each key, and the end is the same."""
    source, event = rotated(), cancellation()
    away = {"event_type": "coach.unavailable", "coach_id": "coach-01", **members}
    for key, body in (("a", away), ("b", event), ("a", away), ("b", event), ("b", event), ("a", away)):
        assert tell(source, body, key=key).status == 200
    kept = team.execute("SELECT key, outcome FROM inbound_events ORDER BY key").fetchall()
    assert [row["key"] for row in kept] == ["a", "b"]
    assert kept[1]["outcome"] == "cancelled"
    assert cancelled(team) == 1
    assert {"coach-01"}.isdisjoint({booked()["coach_id"], booked()["coach_id"]})
