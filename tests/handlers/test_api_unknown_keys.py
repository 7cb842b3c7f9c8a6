"""Who guesses keys: counted by address, and never at the cost of those who have one."""

import pytest
from redis import Redis

from fairslot.access import keys
from fairslot.platform.db import Connection
from local.valkey import EmbeddedValkey
from tests.support.api_processes import at_once
from tests.support.fixtures import Environment
from tests.support.http import KEY, Answer, add_key, ask, check_problem, request, send
from tests.support.logs import json_lines

LIMIT = 5


@pytest.fixture
def guarded(team: Connection, cache: Redis, environment: Environment, look_ups: list[bytes]) -> Connection:
    """The small team with a cache, in which an address may try few unknown keys a minute."""
    environment(MAX_UNKNOWN_KEYS_PER_MINUTE=str(LIMIT))
    return team


def ask_from(address: str, key: str) -> Answer:
    """Ask for something with a key from an address."""
    made = request("GET", "/api/appointments", key=key)
    made["requestContext"]["http"]["sourceIp"] = address
    return send(made)


def guess(number: int, address: str = "192.0.2.1") -> list[int]:
    """Try so many keys from an address and return the statuses of the answers."""
    return [ask_from(address, f"guess-{address}-{one}").status for one in range(number)]


def test_past_the_limit_guesses_are_not_looked_up(guarded: Connection, look_ups: list[bytes]) -> None:
    """The answer tells when to come again, and the database hears of no more guesses than are allowed."""
    assert guess(LIMIT + 20) == [401] * LIMIT + [429] * 20
    assert len(look_ups) == LIMIT
    answer = ask_from("192.0.2.1", "another")
    check_problem(answer, 429, "RATE_LIMIT_EXCEEDED")
    assert answer.json["message"] == (
        "Too many unknown API keys or invalid signatures from this address; wait and try again."
    )
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert not [name for name in answer.headers if "ratelimit" in name]


def test_a_known_key_works_from_the_address_of_a_guesser(guarded: Connection) -> None:
    """Whether this process knows it or another one found it: many customers may share an address."""
    add_key(guarded, "neighbour")
    for key in (KEY, "neighbour"):
        assert ask_from("192.0.2.1", key).status == 200
    assert guess(LIMIT + 1)[-1] == 429
    assert ask_from("192.0.2.1", KEY).status == 200
    keys.clear_cache()  # as a process does that has just started
    assert ask_from("192.0.2.1", "neighbour").status == 200
    assert ask_from("198.51.100.7", KEY).status == 200


def test_a_key_of_which_nobody_has_heard_waits_for_the_window(guarded: Connection, cache: Redis) -> None:
    """It cannot be told from a guess; from any other address it works, and then from there too."""
    add_key(guarded, "newcomer")
    assert guess(LIMIT + 1)[-1] == 429
    assert ask_from("192.0.2.1", "newcomer").status == 429
    (counters,) = cache.keys("unknown_keys:*")
    cache.hincrbyfloat(counters, "begun", -120)
    assert ask_from("192.0.2.1", "newcomer").status == 200


def test_a_key_that_was_revoked_is_a_guess_again(guarded: Connection, cache: Redis) -> None:
    """That it was once found opens no door to look-ups."""
    assert ask("GET", "/api/appointments").status == 200
    guarded.execute("UPDATE api_keys SET revoked_at = now()")
    keys.clear_cache()
    assert guess(LIMIT + 1, "127.0.0.1")[-1] == 429
    assert ask("GET", "/api/appointments").status == 401
    keys.clear_cache()
    assert ask("GET", "/api/appointments").status == 429
    assert not cache.keys("known_keys:*")


@pytest.mark.parametrize("key", ["k" * 257, "with space", "two,keys", "ключ", "\x00", "", "tab\t"])
def test_what_can_be_no_key_is_not_looked_up(guarded: Connection, look_ups: list[bytes], key: str) -> None:
    """Its form says so already, and it counts for nothing."""
    for _ in range(LIMIT + 1):
        check_problem(ask("GET", "/api/appointments", key=key), 401, "AUTHENTICATION_FAILED")
    assert look_ups == []


def test_an_unknown_key_is_looked_up_once(
    team: Connection, look_ups: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For some seconds the refusal is remembered, without a cache too."""
    for _ in range(10):
        assert ask("GET", "/api/appointments", key="nobody").status == 401
    assert len(look_ups) == 1
    monkeypatch.setattr(keys, "_REMEMBER_UNKNOWN_SECONDS", 0.0)
    keys.clear_cache()
    for _ in range(2):
        assert ask("GET", "/api/appointments", key="nobody").status == 401
    assert len(look_ups) == 3


def test_an_address_is_a_subscribers_network(guarded: Connection, cache: Redis) -> None:
    """Of IPv6 64 bits, and IPv4 within IPv6 is IPv4; no address is kept as it is."""
    for one in range(LIMIT):
        assert ask_from(f"2001:db8:1:2::{one:x}", f"guess-{one}").status == 401
    assert ask_from("2001:db8:1:2:ffff::1", "one-more").status == 429
    assert ask_from("2001:db8:1:3::1", "one-more").status == 401
    assert guess(LIMIT)[-1] == 401
    assert ask_from("::ffff:192.0.2.1", "and-one").status == 429
    assert not [name for name in cache.keys("*") if b"2001" in name or b"192.0.2" in name]


def test_processes_count_together(guarded: Connection) -> None:
    """What is being looked up at the same moment may come on top, and no more."""
    requests = [
        [request("GET", "/api/appointments", key=f"guess-{one}-{two}") for two in range(20)]
        for one in range(4)
    ]
    answers = [answer.status for part in at_once(requests) for answer in part]
    assert set(answers) == {401, 429}
    assert LIMIT <= answers.count(401) < LIMIT + 4


def test_a_dead_cache_does_not_close_the_door(
    guarded: Connection, valkey: EmbeddedValkey, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the cache nobody is counted, right keys work, and an alarm is raised."""
    valkey.stop()
    try:
        statuses = guess(LIMIT + 3)
        right = ask("GET", "/api/appointments").status
    finally:
        valkey.start()
    assert (statuses, right) == ([401] * (LIMIT + 3), 200)
    lines = json_lines(capsys)
    assert any(line.get("CacheUnavailable") for line in lines)
