"""While Valkey is down: changes are limited all the same, reads are open, and an alarm is raised."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis import Redis

from background import maintenance
from fairslot.access import key_form, keys
from fairslot.platform.db import Connection
from local.valkey import EmbeddedValkey
from tests.handlers.test_api_addresses import ask_from
from tests.support.api_processes import at_once
from tests.support.clock import NOW, stop_clock
from tests.support.fixtures import Connect, Environment
from tests.support.http import (
    KEY,
    Answer,
    add_key,
    ask,
    book,
    booking_body,
    check_problem,
    replace_key,
    request,
)
from tests.support.lambda_context import context
from tests.support.logs import json_lines
from tests.support.tables import count, table_digests

LIMIT = 6
WRONG = 2
READ, CHANGE = "GET", "POST"


@pytest.fixture
def uncached(
    team: Connection, cache: Redis, environment: Environment, valkey: EmbeddedValkey
) -> Iterator[Connection]:
    """The small team in which an address may make few requests, and few wrong ones; Valkey is killed."""
    environment(MAX_REQUESTS_PER_ADDRESS=str(LIMIT), MAX_UNKNOWN_KEYS_PER_MINUTE=str(WRONG))
    assert ask("GET", "/api/appointments").status == 200
    valkey.stop()
    yield team
    valkey.start()


def guess(address: str, number: int, method: str = CHANGE) -> list[int]:
    """Try so many wrong keys and return the statuses of the answers."""
    return [ask_from(address, f"wrong-{method}-{one}", method).status for one in range(number)]


def change(key: str) -> Answer:
    """Ask for a change that is refused for its body: it is counted like any."""
    return ask("POST", "/api/appointments", {}, key=key)


@pytest.mark.parametrize("headers", [{}, {"X-Idempotency-Key": "k-1"}])
def test_changes_of_a_key_stay_limited(uncached: Connection, headers: dict[str, str]) -> None:
    """Past the limit nothing is done and the answer says when to come again; another key goes on."""
    add_key(uncached, "two", rate_limit=2)
    keyed = [{name: f"{value}{number}" for name, value in headers.items()} for number in range(3)]
    assert [book(key="two", headers=one).status for one in keyed[:2]] == [201, 201]
    before = table_digests(uncached)
    answer = book(key="two", headers=keyed[2])
    check_problem(answer, 429, "RATE_LIMIT_EXCEEDED")
    assert answer.headers["x-ratelimit-limit"] == "2"
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert answer.headers["retry-after"] == answer.headers["x-ratelimit-reset"] == "60"
    assert table_digests(uncached) == before
    assert book().status == 201


def test_reads_are_open(uncached: Connection) -> None:
    """However many, of a key that is over its limit for changes too."""
    add_key(uncached, "one", rate_limit=1)
    assert [change("one").status for _ in range(2)] == [422, 429]
    statuses = [ask_from("192.0.2.1", "one", READ).status for _ in range(LIMIT + 3)]
    assert set(statuses) == {200}


def test_processes_count_together(uncached: Connection, environment: Environment) -> None:
    """However their changes fall together, as many are served as the limit allows."""
    environment(MAX_REQUESTS_PER_ADDRESS="1000")
    add_key(uncached, "twelve", rate_limit=12)
    asked = request("POST", "/api/appointments", {}, key="twelve")
    answers = [answer.status for part in at_once([[asked] * 6] * 4) for answer in part]
    assert sorted(answers) == [422] * 12 + [429] * 12


def test_changes_of_an_address_stay_limited(uncached: Connection) -> None:
    """All keys of a tenant together; what the address refuses costs a key nothing."""
    for number in range(3):
        add_key(uncached, f"key-{number}", rate_limit=5)
    statuses = [ask_from("192.0.2.1", f"key-{number % 3}", CHANGE).status for number in range(LIMIT)]
    assert set(statuses) <= {201, 409}
    for _ in range(4):
        answer = ask_from("192.0.2.1", "key-0", CHANGE)
        check_problem(answer, 429, "RATE_LIMIT_EXCEEDED")
        assert "address" in answer.json["message"]
        assert answer.headers["x-ratelimit-limit"] == str(LIMIT)
    assert ask_from("192.0.2.2", "key-0", CHANGE).headers["x-ratelimit-remaining"] == "2"


@pytest.mark.parametrize("method", [READ, CHANGE])
def test_who_guesses_can_change_nothing(uncached: Connection, look_ups: list[bytes], method: str) -> None:
    """Whether it tried reads or changes; past the limit its changes are not looked up, and its reads are."""
    add_key(uncached, "newcomer")
    assert guess("192.0.2.1", WRONG, method) == [401] * WRONG
    before = len(look_ups)
    for key in ("wrong-a", "newcomer"):
        answer = ask_from("192.0.2.1", key, CHANGE)
        check_problem(answer, 429, "RATE_LIMIT_EXCEEDED")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert len(look_ups) == before
    assert count(uncached, "coach_appointments") == 0
    assert ask_from("192.0.2.1", "wrong-b", READ).status == 401
    assert ask_from("192.0.2.2", "newcomer", CHANGE).status == 201


def test_who_is_known_goes_on_at_the_address_of_a_guesser(uncached: Connection) -> None:
    """Also in a process that has just started; with the key before a rotation, too, and not a revoked one."""
    add_key(uncached, "revoked")
    add_key(uncached, "old")
    for key in ("old", "revoked"):
        assert ask_from("192.0.2.2", key, READ).status == 200
    uncached.execute("UPDATE api_keys SET revoked_at = now() WHERE key_hash = %s", [keys.hash_key("revoked")])
    replace_key(uncached, "old", "new", until=NOW + timedelta(hours=1))
    assert guess("192.0.2.1", WRONG + 1)[-1] == 429
    for key, status in ((KEY, 201), ("old", 201), ("new", 201), ("revoked", 429)):
        keys.clear_cache()
        assert ask_from("192.0.2.1", key, CHANGE).status == status, key


def test_the_window_slides(uncached: Connection, environment: Environment) -> None:
    """As it does in Valkey: what the last minute used counts by what the window covers of it."""
    environment(MAX_REQUESTS_PER_ADDRESS="1000")
    add_key(uncached, "ten", rate_limit=10)
    assert [change("ten").status for _ in range(6)] == [422] * 6
    stop_clock(uncached, NOW + timedelta(seconds=90))
    answers = [change("ten") for _ in range(4)]
    assert [int(one.headers["x-ratelimit-remaining"]) for one in answers] == [6, 5, 4, 3]
    assert int(answers[-1].headers["x-ratelimit-reset"]) <= 10
    stop_clock(uncached, NOW + timedelta(seconds=150))
    assert change("ten").headers["x-ratelimit-remaining"] == "7"
    stop_clock(uncached, NOW + timedelta(seconds=500))
    assert change("ten").headers["x-ratelimit-remaining"] == "9"


def test_where_nothing_can_count_changes_are_closed_and_reads_open(
    uncached: Connection, connect: Connect, environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A change is told to come again and has no effect, and an alarm is raised."""
    add_key(uncached, "newcomer")
    before = table_digests(uncached)
    blocker = connect()
    blocker.execute("SET idle_in_transaction_session_timeout = 0")
    with blocker.transaction():
        blocker.execute("LOCK TABLE rate_counts")
        for key in (KEY, "newcomer"):
            answer = ask_from("192.0.2.1", key, CHANGE)
            check_problem(answer, 503, "SERVICE_UNAVAILABLE")
            told = [
                line["CountersUnavailable"] for line in json_lines(capsys) if "CountersUnavailable" in line
            ]
            assert told == [[1.0]]
            assert int(answer.headers["retry-after"]) > 0
            assert ask_from("192.0.2.1", key, READ).status == 200
        assert table_digests(uncached) == before
    assert ask_from("192.0.2.1", KEY, CHANGE).status == 201


def test_the_alarm_is_raised(uncached: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """By every request that Valkey did not count, once."""
    json_lines(capsys)
    for method in (READ, CHANGE):
        for key in (KEY, "wrong-1", "wrong-2", "wrong-3"):
            keys.clear_cache()
            ask_from("192.0.2.1", key, method)
    said = [one["RateLimitUnavailable"] for one in json_lines(capsys) if "RateLimitUnavailable" in one]
    assert said == [[1.0]] * 8


def test_no_address_is_kept_for_long(uncached: Connection) -> None:
    """It is a keyed digest, as in Valkey, and forgotten by the first sweep after two minutes."""
    guess("192.0.2.77", WRONG)
    ask_from("192.0.2.77", KEY, CHANGE)
    names = [row["name"] for row in uncached.execute("SELECT name FROM rate_counts")]
    assert {name.partition(":")[0] for name in names} == {"requests", "addresses", "unknown_keys"}
    assert "192.0.2" not in str(names)
    for seconds, left in ((119, len(names)), (121, 0)):
        stop_clock(uncached, NOW + timedelta(seconds=seconds))
        maintenance.lambda_handler({"task": "outbox"}, context(30.0))
        assert count(uncached, "rate_counts") == left


def test_what_can_be_no_key_does_not_reach_postgres(uncached: Connection, environment: Environment) -> None:
    """It is refused by its form, and not counted there."""
    environment(ANY_KEY_FORM="")
    for key in (key_form.make()[:-1], "k" * 8192):
        check_problem(ask("POST", "/api/appointments", booking_body(), key=key), 401, "AUTHENTICATION_FAILED")
    assert count(uncached, "rate_counts") == 0
