"""Who is told of events: subscribers made, seen, changed and taken away by administrators."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fairslot.platform import signing_secrets
from fairslot.platform.db import Connection
from fairslot.platform.settings import settings
from tests.support.endpoints import PATH, URL, add_endpoint, get_endpoint, subscribe, subscribed
from tests.support.http import add_key, ask, booked, check_problem
from tests.support.queues import Queues
from tests.support.tables import count, one_row

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"url": "http://hooks.example.com/"}, "body.url"),
    ({"url": "https://user:pass@hooks.example.com/"}, "body.url"),
    ({"url": "https://hooks.example.com:22/"}, "body.url"),
    ({"url": "https://hooks.example.com:+443/"}, "body.url"),
    ({"url": "https://hooks.example.com:٤٤٣/"}, "body.url"),
    ({"url": "https://169.254.169.254/latest"}, "body.url"),
    ({"url": "https://2130706433/"}, "body.url"),
    ({"url": "http://127.0.0.1:8080/"}, "body.url"),
    ({"url": "ftp://hooks.example.com/"}, "body.url"),
    ({"url": ""}, "body.url"),
    ({"event_types": []}, "body.event_types"),
    ({"event_types": ["appointment"]}, "body.event_types.0"),
    ({"event_types": ["*", "appointment.c*"]}, "body.event_types.1"),
    ({"event_types": ["endpoint.test"]}, "body.event_types.0"),
    ({"headers": {"Authorization": "Bearer x"}}, "body.headers.Authorization"),
    ({"headers": {"webhook-id": "x"}}, "body.headers.webhook-id"),
    ({"headers": {"Content-Length": "1"}}, "body.headers.Content-Length"),
    ({"headers": {"Transfer-Encoding": "chunked"}}, "body.headers.Transfer-Encoding"),
    ({"headers": {"X-Idempotency-Key": "x"}}, "body.headers.X-Idempotency-Key"),
    ({"headers": {"X Team": "x"}}, "body.headers.X Team"),
    ({"headers": {"X-Team": "x\r\nX-Other: y"}}, "body.headers.X-Team"),
    ({"headers": {"X-Team": "x", "x-team": "y"}}, "body.headers"),
    ({"concurrency": 0}, "body.concurrency"),
    ({"rate_per_second": 0}, "body.rate_per_second"),
    ({"secret": "whsec_mine"}, "body.secret"),
]


def opened(connection: Connection, endpoint: dict[str, Any]) -> list[str]:
    """Return the secrets that an endpoint's messages carry, as the dispatcher opens them."""
    row = one_row(
        connection,
        "SELECT secret, older_secrets FROM webhook_endpoints WHERE endpoint_id = %s",
        (endpoint["endpoint_id"],),
    )
    context = signing_secrets.for_endpoint(UUID(endpoint["endpoint_id"]))
    return [
        signing_secrets.decrypt(one, context)
        for one in (row["secret"], *(old["secret"] for old in row["older_secrets"]))
    ]


def test_a_subscriber_is_made_and_its_secret_shown_once(team: Connection, kms: None) -> None:
    """The answer has the secret, the database its ciphertext, and no later answer either."""
    made = subscribed("appointment.*", "calendar.stale", description="Ours", headers={"X-Team": "blue"})
    assert (made["kind"], made["url"], made["enabled"], made["disabled_reason"]) == (
        "standard",
        URL,
        True,
        None,
    )
    assert made["event_types"] == ["appointment.*", "calendar.stale"]
    assert made["headers"] == {"X-Team": "blue"}
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 24
    assert opened(team, made) == [secret]
    assert get_endpoint(made) == made
    for table in ("webhook_endpoints", "changes"):
        kept = " ".join(str(row) for row in team.execute(f"SELECT * FROM {table}".encode()))
        assert secret not in kept
        assert secret.removeprefix("whsec_") not in kept


def test_a_repetition_makes_nothing_and_shows_no_secret(
    team: Connection, kms: None, cache: Any, queues: Queues
) -> None:
    """The same key gives the same endpoint with null for its secret, from the cache or without it."""
    key = {"Idempotency-Key": "k"}
    first = subscribe(sent=key).json
    for _ in range(2):
        again = subscribe(sent=key)
        assert again.status == 201
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json == first | {"secret": None}
        cache.flushall()
    assert count(team, "webhook_endpoints") == 1
    check_problem(subscribe("*", sent=key), 422, "IDEMPOTENCY_KEY_REUSED")


def test_an_administrator_needs_no_other_scope(team: Connection, kms: None) -> None:
    """A key for managing alone manages and does not book."""
    add_key(team, "admin", scopes=("admin",))
    assert subscribe(key="admin").status == 201
    assert ask("GET", "/api/deliveries", key="admin").status == 200
    check_problem(ask("GET", "/api/appointments", key="admin"), 403, "FORBIDDEN")


def test_an_address_of_another_tenant_can_be_had(team: Connection, kms: None) -> None:
    """Each tenant has its own endpoints."""
    add_key(team, "other-key", tenant_id="other")
    assert subscribe().status == subscribe(key="other-key").status == 201


def test_what_no_subscriber_can_have_is_refused(team: Connection, kms: None) -> None:
    """An address inside, an unknown type, a header of the connection's: 422 at its place, none is made."""
    for members, place in REFUSED:
        problem = check_problem(subscribe(**members), 422, "VALIDATION_ERROR")
        assert [one["loc"] for one in problem["details"]] == [place]
    assert count(team, "webhook_endpoints") == 0


def test_an_address_is_had_once(team: Connection, kms: None) -> None:
    """A second subscriber at the same address is refused; once the first is taken away it is not."""
    made = subscribed()
    check_problem(subscribe("*"), 409, "CONFLICT")
    other = subscribed(url=URL + "/2")
    check_problem(ask("PATCH", f"{PATH}/{other['endpoint_id']}", {"url": URL}), 409, "CONFLICT")
    assert ask("DELETE", f"{PATH}/{made['endpoint_id']}").status == 204
    check_problem(ask("GET", f"{PATH}/{made['endpoint_id']}"), 404, "NOT_FOUND")
    assert subscribe("*").status == 201


def test_partners_are_in_the_list_and_stay(team: Connection, kms: None) -> None:
    """The CRM and the calendar API are endpoints of their kinds: turned off, never moved or taken away."""
    add_endpoint(team, "crm", "appointment.*")
    add_endpoint(team, "calendar_api", "appointment.*")
    subscribed()
    listed = ask("GET", PATH).json["data"]
    assert [one["kind"] for one in listed] == ["crm", "calendar_api", "standard"]
    path = f"{PATH}/{listed[0]['endpoint_id']}"
    check_problem(ask("DELETE", path), 409, "CONFLICT")
    check_problem(ask("PATCH", path, {"url": URL}), 409, "CONFLICT")
    check_problem(ask("POST", path + "/rotate-secret"), 409, "CONFLICT")
    check_problem(ask("POST", path + "/test"), 409, "CONFLICT")
    off = ask("PATCH", path, {"enabled": False, "description": "Moving"}).json
    assert (off["enabled"], off["disabled_reason"], off["description"]) == (False, "by_request", "Moving")
    assert ask("PATCH", path, {"enabled": True}).json["disabled_reason"] is None


def test_a_change_changes_what_is_given(team: Connection, kms: None, queues: Queues) -> None:
    """Members that are left out stay, null clears a number, and messages follow the change."""
    made = subscribed(concurrency=5, rate_per_second=2.5, headers={"X-Team": "blue"})
    path = f"{PATH}/{made['endpoint_id']}"
    changed = ask(
        "PATCH", path, {"url": URL + "/new", "concurrency": None, "headers": {"X-Team": "red"}}
    ).json
    assert (changed["url"], changed["concurrency"], changed["rate_per_second"]) == (URL + "/new", None, 2.5)
    assert changed["event_types"] == ["appointment.*"]
    check_problem(ask("PATCH", path, {"url": None}), 422, "VALIDATION_ERROR")
    check_problem(ask("PATCH", path, {"url": "http://x.example.com"}), 422, "VALIDATION_ERROR")
    booked()
    (message,) = queues.take("DELIVERIES")
    assert (message["url"], message["headers"]) == (URL + "/new", {"X-Team": "red"})
    assert (message["concurrency"], message["rate_per_second"]) == (None, 2.5)
    assert message["endpoint_id"] == made["endpoint_id"]


def test_the_payload_says_nothing_of_the_customer(team: Connection, kms: None, queues: Queues) -> None:
    """A subscriber gets ids, times, status and version."""
    made = subscribed()
    booked(timezone="Europe/Paris")
    (message,) = queues.take("DELIVERIES")
    assert set(message["data"]) == {
        *("appointment_id", "calendar_id", "coach_id", "start_time", "end_time", "status", "version")
    }
    assert made["secret"] not in str(message)
    assert len(message.pop("secrets")) == 1  # ciphertext, which may contain any letters
    assert "Secret" not in str(message)
    assert "zoe" not in str(message)


def test_an_endpoint_gets_what_it_asked_for(team: Connection, kms: None, queues: Queues) -> None:
    """Types and patterns choose, and one that is turned off gets nothing."""
    first = subscribed("appointment.cancelled", url=URL + "/1")
    second = subscribed("*", url=URL + "/2")
    subscribed("endpoint.*", url=URL + "/3")
    subscribed(url=URL + "/4", enabled=False)
    made = booked()
    assert [one["endpoint_id"] for one in queues.take("DELIVERIES")] == [second["endpoint_id"]]
    ask("POST", f"/api/appointments/{made['appointment_id']}/cancel")
    told = {one["endpoint_id"] for one in queues.take("DELIVERIES")}
    assert told == {first["endpoint_id"], second["endpoint_id"]}


def test_both_secrets_sign_while_one_takes_the_others_place(
    team: Connection, kms: None, queues: Queues, clock: Any
) -> None:
    """For four days, longer than anything waits, both are in the messages; without an overlap one is."""
    clock(datetime.now(UTC))
    made = subscribed()
    path = f"{PATH}/{made['endpoint_id']}/rotate-secret"
    second = ask("POST", path).json
    until = datetime.fromisoformat(second["previous_secret_until"])
    assert timedelta(hours=95) < until - datetime.now(UTC) <= timedelta(hours=96)
    assert until - datetime.now(UTC) > timedelta(seconds=settings().webhook_give_up_seconds)
    assert opened(team, made) == [second["secret"], made["secret"]]
    ask("POST", f"{PATH}/{made['endpoint_id']}/test")
    assert len(queues.take("DELIVERIES")[0]["secrets"]) == 2
    team.execute(
        "UPDATE webhook_endpoints"
        " SET older_secrets = jsonb_set(older_secrets, '{0,until}', to_jsonb(now() - interval '1 second'))"
    )
    ask("POST", f"{PATH}/{made['endpoint_id']}/test")
    assert len(queues.take("DELIVERIES")[0]["secrets"]) == 1
    third = ask("POST", path, {"overlap_hours": 0}).json
    assert third["previous_secret_until"] is None
    assert opened(team, made) == [third["secret"]]


def test_a_test_event_goes_to_its_endpoint_alone(team: Connection, kms: None, queues: Queues) -> None:
    """Whatever types an endpoint asked for, it gets `endpoint.test`, and nobody else does."""
    made = subscribed("calendar.stale")
    subscribed("*", url=URL + "/other")
    sent = ask("POST", f"{PATH}/{made['endpoint_id']}/test")
    assert sent.status == 200
    (message,) = queues.take("DELIVERIES")
    assert (message["type"], message["endpoint_id"]) == ("endpoint.test", made["endpoint_id"])
    assert message["delivery_id"] == sent.json["delivery_id"]
    assert message["data"] == {"endpoint_id": made["endpoint_id"]}
    ask("PATCH", f"{PATH}/{made['endpoint_id']}", {"enabled": False})
    check_problem(ask("POST", f"{PATH}/{made['endpoint_id']}/test"), 409, "CONFLICT")


def test_without_a_key_no_secret_is_made(team: Connection, queues: Queues) -> None:
    """Where no KMS key is set, or KMS does not answer, no endpoint is made that could not sign."""
    check_problem(subscribe(), 503, "SERVICE_UNAVAILABLE")
    assert count(team, "webhook_endpoints") == 0
