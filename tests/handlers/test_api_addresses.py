"""Limits by address: beside those of keys, and by the true address."""

from typing import Any

import pytest
from redis import Redis

from fairslot.access import keys
from fairslot.platform.db import Connection
from tests.support.fixtures import Environment
from tests.support.http import (
    KEY,
    Answer,
    add_key,
    ask,
    book,
    booked,
    booking_body,
    check_problem,
    request,
    send,
)
from tests.support.logs import json_lines
from tests.support.tables import table_digests

LIMIT = 6


@pytest.fixture
def limited(team: Connection, cache: Redis, environment: Environment) -> Connection:
    """The small team, in which an address may make few requests a minute, and few wrong ones."""
    environment(MAX_REQUESTS_PER_ADDRESS=str(LIMIT), MAX_UNKNOWN_KEYS_PER_MINUTE="2", ORIGIN_SECRETS="proof")
    return team


def ask_from(address: str, key: str = KEY, method: str = "GET", **more: Any) -> Answer:
    """Ask for a list of appointments, or for one, with a key from an address."""
    body = booking_body() if method == "POST" else {}
    made = request(method, "/api/appointments", *([body] if body else []), key=key, **more)
    made["requestContext"]["http"]["sourceIp"] = address
    return send(made)


def test_an_address_has_a_limit_beside_those_of_its_keys(limited: Connection) -> None:
    """It counts all keys of a tenant together; past it nothing is done, and another address goes on."""
    for number in range(3):
        add_key(limited, f"key-{number}")
    statuses = [ask_from("192.0.2.1", f"key-{number % 3}").status for number in range(LIMIT)]
    assert statuses == [200] * LIMIT
    before = table_digests(limited)
    for method in ("GET", "POST"):
        answer = ask_from("192.0.2.1", "key-0", method, headers={"X-Idempotency-Key": "k-1"})
        check_problem(answer, 429, "RATE_LIMIT_EXCEEDED")
        assert "address" in answer.json["message"]
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["x-ratelimit-limit"] == str(LIMIT)
        assert answer.headers["x-ratelimit-remaining"] == "0"
    assert table_digests(limited) == before
    for method in ("GET", "POST"):
        answer = ask_from("192.0.2.2", "key-0", method, headers={"X-Idempotency-Key": "k-1"})
        assert answer.status in {200, 201}


def test_what_the_address_refuses_costs_the_key_nothing(limited: Connection) -> None:
    """A key's own limit is not used up by what is refused for its address."""
    add_key(limited, "eight", rate_limit=8)
    for _ in range(LIMIT + 5):
        ask_from("192.0.2.1", "eight")
    assert ask_from("192.0.2.2", "eight").headers["x-ratelimit-remaining"] == "1"


def test_tenants_share_an_address(limited: Connection) -> None:
    """What one asks is not counted against another."""
    add_key(limited, "foreign", tenant_id="another")
    for _ in range(LIMIT + 1):
        ask_from("192.0.2.1", "foreign")
    assert ask_from("192.0.2.1").status == 200


@pytest.mark.parametrize("headers", [{}, {"X-Idempotency-Key": "k-1"}])
def test_it_is_no_further_round_trip(limited: Connection, cache: Redis, headers: dict[str, str]) -> None:
    """Before a booking's answer Valkey is asked once, as for the key alone."""
    booked()
    before = commands(cache)
    assert book(headers=headers).status == 201
    made = commands(cache)
    assert made.get("evalsha", 0) - before.get("evalsha", 0) == 1


def commands(cache: Redis) -> dict[str, int]:
    """Return how often clients have sent each command; what scripts call is counted with them."""
    stats = cache.info("commandstats")
    return {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}


def test_a_wrong_key_costs_ten_times_what_a_right_one_does(
    limited: Connection, look_ups: list[bytes]
) -> None:
    """A new key that is right is looked up, too, and costs a tenth."""
    for number in range(9):
        add_key(limited, f"new-{number}", tenant_id=f"tenant-{number}")
        assert ask_from("192.0.2.1", f"new-{number}").status == 200
    assert [ask_from("192.0.2.1", f"wrong-{number}").status for number in range(4)] == [401, 401, 429, 429]
    assert len(look_ups) == 11


def test_a_right_key_that_was_heard_of_costs_nothing(limited: Connection) -> None:
    """However often processes forget it."""
    for _ in range(25):
        keys.clear_cache()
        ask_from("192.0.2.1")
    assert ask_from("192.0.2.1", "wrong").status == 401


def test_a_client_cannot_choose_its_address(limited: Connection) -> None:
    """It stays who connects, whatever it says it is."""
    said = [
        {
            "X-Forwarded-For": f"198.51.100.{number}",
            "X-Real-IP": f"198.51.100.{number}",
            "X-Origin-Secret": guess,
        }
        for number, guess in enumerate(("", "proo", "proof2", "Proof"))
    ]
    statuses = [
        ask_from("192.0.2.1", f"wrong-{number}", headers=headers).status
        for number, headers in enumerate(said)
    ]
    assert statuses == [401, 401, 429, 429]


def test_behind_cloudfront_viewers_are_told_apart(limited: Connection) -> None:
    """And what they add themselves to X-Forwarded-For changes nothing."""

    def through(viewer: str, number: int) -> int:
        hops = f"10.0.0.{number}, {viewer}, 130.176.1.1"
        headers = {"X-Origin-Secret": "proof", "X-Forwarded-For": hops}
        return ask_from("130.176.1.1", f"wrong-{viewer}-{number}", headers=headers).status

    assert [through("203.0.113.1", number) for number in range(3)] == [401, 401, 429]
    assert [through("203.0.113.2", number) for number in range(3)] == [401, 401, 429]


@pytest.mark.parametrize("path", ["/api/appointments", "/nowhere"])
def test_where_cloudfront_is_the_only_way_in_others_are_refused(
    limited: Connection, environment: Environment, path: str
) -> None:
    """Before anybody looks at their key, whatever they say but the secret."""
    environment(ORIGIN_SECRETS="proof,old proof", ONLY_THROUGH_CLOUDFRONT="true")
    for headers in (
        {},
        {"X-Origin-Secret": ""},
        {"X-Origin-Secret": "proo"},
        {"X-Origin-Secret": "proof,old proof"},
    ):
        refused = send(request("GET", path, headers=headers, key="wrong"))
        check_problem(refused, 403, "FORBIDDEN")
        assert "CloudFront" in refused.json["message"]
    for proof in ("proof", "old proof"):
        assert send(request("GET", path, headers={"X-Origin-Secret": proof})).status in {200, 404}


def test_no_address_is_kept_or_told(
    limited: Connection, cache: Redis, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in Valkey nor in a log."""
    for number in range(LIMIT + 3):
        ask_from("192.0.2.77")
        ask_from("192.0.2.77", f"wrong-{number}")
    names = [str(name) for name in cache.keys("*")]
    assert any("addresses:" in name for name in names)
    assert any("unknown_keys:" in name for name in names)
    said = str(json_lines(capsys)) + str([one.__dict__ for one in caplog.records])
    for text in (*names, said):
        assert "192.0.2" not in text
        assert "proof" not in text


def test_without_a_cache_nothing_is_closed(team: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """Where none is configured no alarm is raised, either."""
    add_key(team, "newcomer")
    assert ask("GET", "/api/appointments", key="wrong").status == 401
    assert book(key="newcomer").status == 201
    assert not any("RateLimitUnavailable" in one for one in json_lines(capsys))
