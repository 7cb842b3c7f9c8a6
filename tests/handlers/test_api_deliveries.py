"""What was sent, what failed and why; sent again one by one, or all since an instant."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from background import maintenance
from fairslot.platform.db import Connection
from tests.support.attempts import record_attempt
from tests.support.clock import HOUR, MINUTE, NINE, NOW, SECOND
from tests.support.endpoints import PATH, URL, add_endpoint, get_delivery, subscribed
from tests.support.http import NOTHING, ask, body_of, booked, check_problem
from tests.support.lambda_context import context
from tests.support.queues import Queues

DELIVERIES = "/api/deliveries"


@pytest.fixture
def crm(team: Connection, queues: Queues) -> str:
    """The small team and the CRM, which is told of appointments; the id of its endpoint."""
    add_endpoint(team, "crm", "appointment.*")
    found: str = ask("GET", PATH).json["data"][0]["endpoint_id"]
    return found


def page(**query: Any) -> dict[str, Any]:
    """Return a page of deliveries."""
    return body_of(ask("GET", DELIVERIES, query=query))


def ids(found: dict[str, Any]) -> list[str]:
    """Return the ids of a page's deliveries."""
    return [one["delivery_id"] for one in found["data"]]


def turn(endpoint_id: str, *, on: bool) -> None:
    """Turn an endpoint on or off."""
    assert ask("PATCH", f"{PATH}/{endpoint_id}", {"enabled": on}).status == 200


def test_a_delivery_shows_every_attempt(team: Connection, crm: str, queues: Queues) -> None:
    """Status, latency, error and the first bytes of the answer, in the order of the attempts."""
    made = booked()
    (message,) = queues.take("DELIVERIES")
    later = NOW + timedelta(seconds=5)
    record_attempt(
        team,
        message,
        "http_503",
        outcome="retrying",
        status_code=503,
        response_excerpt="{}",
        next_attempt_at=later,
    )
    found = get_delivery(message)
    assert (found["status"], found["next_attempt_at"]) == ("pending", "2026-03-02T12:00:05Z")
    record_attempt(team, message, "timeout", attempt=2, at=later)
    found = get_delivery(message)
    assert {name: found[name] for name in ("delivery_id", "event_id", "event_type", "version")} == {
        "delivery_id": message["delivery_id"],
        "event_id": message["event_id"],
        "event_type": "appointment.created",
        "version": 1,
    }
    assert (found["appointment_id"], found["endpoint_id"]) == (made["appointment_id"], crm)
    assert (found["status"], found["reason"], found["next_attempt_at"]) == ("failed", "timeout", None)
    assert found["attempts"] == [
        {
            "round": 1,
            "attempt": 1,
            "at": "2026-03-02T12:00:00Z",
            "status_code": 503,
            "latency_ms": 7,
            "error": "http_503",
            "response_excerpt": "{}",
        },
        {
            "round": 1,
            "attempt": 2,
            "at": "2026-03-02T12:00:05Z",
            "status_code": None,
            "latency_ms": 7,
            "error": "timeout",
            "response_excerpt": "",
        },
    ]
    assert page()["data"] == [found]


def test_filters_choose(team: Connection, crm: str, queues: Queues) -> None:
    """Endpoint, status, event type, appointment and time each leave out the rest, also together."""
    first, second = booked(), booked()
    ask("POST", f"/api/appointments/{first['appointment_id']}/cancel")
    created, other, cancelled = (one["delivery_id"] for one in queues.take("DELIVERIES"))
    record_attempt(
        team, {"delivery_id": other, "event_id": str(uuid4()), "kind": "crm", "type": "x"}, "timeout"
    )
    assert ids(page()) == [cancelled, other, created]
    assert ids(page(status="failed")) == [other]
    assert ids(page(event_type="appointment.cancelled")) == [cancelled]
    assert ids(page(appointment_id=first["appointment_id"])) == [cancelled, created]
    assert ids(page(appointment_id=second["appointment_id"], status="pending")) == []
    assert ids(page(endpoint_id=crm)) == [cancelled, other, created]
    assert ids(page(endpoint_id=str(uuid4()))) == []
    soon = (datetime.now(UTC) + MINUTE).isoformat()
    assert ids(page(start=soon)) == []
    assert ids(page(end=soon)) == [cancelled, other, created]
    for query in (
        {"status": "lost"},
        {"endpoint_id": "x"},
        {"cursor": "x"},
        {"limit": 0},
        {"start": "today"},
    ):
        check_problem(ask("GET", DELIVERIES, query=query), 400, "VALIDATION_ERROR")


def test_pages_follow_one_another(team: Connection, crm: str, queues: Queues, kms: None) -> None:
    """Cursors lead through the deliveries of all endpoints, the newest first, each once."""
    subscribed()
    for _ in range(3):
        booked()
    everything = ids(page())
    assert len(everything) == 6
    assert everything == sorted(everything, reverse=True)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        found = page(limit=4, **cursor)
        seen += ids(found)
        if found["next_cursor"] is None:
            break
        cursor = {"cursor": found["next_cursor"]}
    assert seen == everything


@pytest.mark.parametrize("error", [None, "http_500"])
def test_a_replay_is_another_round(
    team: Connection, crm: str, queues: Queues, clock: Any, error: str | None
) -> None:
    """The same ids go out again, whether it failed or not; the attempts of both rounds are shown."""
    booked()
    (message,) = queues.take("DELIVERIES")
    record_attempt(team, message, error, at=NOW - MINUTE)
    path = f"{DELIVERIES}/{message['delivery_id']}/replay"
    again = ask("POST", path, headers={"Idempotency-Key": "k"})
    assert again.status == 200
    assert (again.json["status"], again.json["reason"], again.json["next_attempt_at"]) == (
        "pending",
        None,
        None,
    )
    (sent,) = queues.take("DELIVERIES")
    assert sent == message | {"round": 2}
    check_problem(ask("POST", path), 409, "CONFLICT")
    twice = ask("POST", path, headers={"Idempotency-Key": "k"})
    assert (twice.headers["idempotent-replayed"], twice.json) == ("true", again.json)
    assert queues.take("DELIVERIES") == []
    record_attempt(team, message, "http_500", attempt=2, at=NOW - timedelta(seconds=30))
    assert get_delivery(message)["status"] == "pending", "a late result of the first round decides nothing"
    record_attempt(team, sent, at=NOW + SECOND)
    found = get_delivery(message)
    attempts = [(one["round"], one["attempt"]) for one in found["attempts"]]
    assert (found["status"], attempts) == ("delivered", [(1, 1), (1, 2), (2, 1)])


def test_nothing_is_sent_to_what_is_turned_off(team: Connection, crm: str, queues: Queues) -> None:
    """Neither a replay nor a recovery goes to an endpoint that is off."""
    booked()
    (message,) = queues.take("DELIVERIES")
    record_attempt(team, message, "timeout")
    turn(crm, on=False)
    check_problem(ask("POST", f"{DELIVERIES}/{message['delivery_id']}/replay"), 409, "CONFLICT")
    since = {"since": "2026-01-01T00:00:00Z"}
    check_problem(ask("POST", f"{PATH}/{crm}/recover", since), 409, "CONFLICT")
    assert queues.take("DELIVERIES") == []


def test_an_endpoint_gets_all_that_it_missed(team: Connection, crm: str, queues: Queues) -> None:
    """What failed since the instant and what happened while it was off goes out once; the rest stays."""
    begun = datetime.now(UTC) - SECOND
    for _ in range(3):
        booked()
    failed, fine, open_ = queues.take("DELIVERIES")
    record_attempt(team, failed, "timeout")
    record_attempt(team, fine)
    turn(crm, on=False)
    missed = booked(NINE + HOUR)
    turn(crm, on=True)
    path = f"{PATH}/{crm}/recover"
    future = (datetime.now(UTC) + MINUTE).isoformat()
    assert ask("POST", path, {"since": future}).json == {"deliveries": 0}
    answer = ask("POST", path, {"since": begun.isoformat()}, headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.json) == (200, {"deliveries": 2})
    sent = {one["delivery_id"]: one for one in queues.take("DELIVERIES")}
    assert sent.pop(failed["delivery_id"]) == failed | {"round": 2, "revision": 3}
    ((again),) = sent.values()
    assert again["data"]["appointment_id"] == missed["appointment_id"]
    assert open_["delivery_id"] not in sent
    assert ask("POST", path, {"since": begun.isoformat()}).json == {"deliveries": 0}
    check_problem(ask("POST", path, {}), 422, "VALIDATION_ERROR")
    check_problem(ask("POST", path, NOTHING), 422, "VALIDATION_ERROR")


def test_a_large_recovery_is_finished_by_the_sweep(
    team: Connection, crm: str, queues: Queues, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first go out at once; the rest follows within the minute."""
    monkeypatch.setattr("fairslot.webhooks.endpoints.RECOVER_AT_ONCE", 1)
    for _ in range(3):
        booked()
    for message in queues.take("DELIVERIES"):
        record_attempt(team, message, "timeout")
    since = {"since": (datetime.now(UTC) - MINUTE).isoformat()}
    assert ask("POST", f"{PATH}/{crm}/recover", since).json == {"deliveries": 3}
    assert len(queues.take("DELIVERIES")) == 1
    clock(datetime.now(UTC) + MINUTE)
    assert maintenance.lambda_handler({"task": "outbox"}, context())["sent"] == 2
    assert len(queues.take("DELIVERIES")) == 2


def test_what_waits_for_an_endpoint_that_is_off_is_given_up(
    team: Connection, queues: Queues, kms: None, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stays pending for ever: turned off it fails with a reason, taken away it is cancelled."""
    monkeypatch.setattr("fairslot.webhooks.outbox.publish", lambda *_, **__: None)
    off, gone = subscribed(url=URL + "/1"), subscribed(url=URL + "/2")
    booked()
    turn(off["endpoint_id"], on=False)
    assert ask("DELETE", f"{PATH}/{gone['endpoint_id']}").status == 204
    clock(datetime.now(UTC) + MINUTE)
    assert maintenance.lambda_handler({"task": "outbox"}, context())["sent"] == 0
    assert queues.take("DELIVERIES") == []
    found = {one["endpoint_id"]: (one["status"], one["reason"]) for one in page()["data"]}
    assert found == {
        off["endpoint_id"]: ("failed", "endpoint_disabled"),
        gone["endpoint_id"]: ("cancelled", "endpoint_disabled"),
    }
    assert {UUID(one) for one in found} == {UUID(off["endpoint_id"]), UUID(gone["endpoint_id"])}


def test_a_page_is_cut_by_its_bytes(team: Connection, crm: str, queues: Queues) -> None:
    """Deliveries with many attempts and what was answered to each come in several pages, each once."""
    for _ in range(3):
        booked()
    team.execute(
        "INSERT INTO webhook_attempts (delivery_id, attempt, at, outcome, response_excerpt, round)"
        " SELECT delivery_id, number, now(), 'retrying', repeat('\"', 500), 1"
        " FROM webhook_deliveries, generate_series(1, 900) AS number"
    )
    found: list[str] = []
    query: dict[str, Any] = {}
    for _ in range(3):
        answer = ask("GET", DELIVERIES, query=query)
        assert len(answer.body) < 2 * 1024 * 1024
        found += ids(answer.json)
        query["cursor"] = answer.json["next_cursor"]
    assert len(found) == len(set(found)) == 3
    assert query["cursor"] is None
