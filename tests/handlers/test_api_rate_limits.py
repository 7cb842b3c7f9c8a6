"""Requests a minute: told with every answer, never exceeded, and never in the way when the cache is."""

from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from fairslot.team import changes
from local.valkey import EmbeddedValkey
from tests.support.api_processes import at_once
from tests.support.http import Answer, add_key, ask, book, check_problem, request
from tests.support.logs import json_lines
from tests.support.tables import count, table_digests

LEGACY = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
IETF = {"ratelimit", "ratelimit-policy"}


def check_headers(answer: Answer, *, limit: int, remaining: int) -> None:
    """Assert that both kinds of headers tell the limit and what is left of it."""
    reset = int(answer.headers["x-ratelimit-reset"])
    assert 1 <= reset <= 60
    assert answer.headers["x-ratelimit-limit"] == str(limit)
    assert answer.headers["x-ratelimit-remaining"] == str(remaining)
    assert answer.headers["ratelimit"] == f'"default";r={remaining};t={reset}'
    assert answer.headers["ratelimit-policy"] == f'"default";q={limit};w=60'


def test_every_answer_to_a_known_caller_tells_the_limit(team: Connection, cache: Redis) -> None:
    """Successes and refusals alike count, and say what is left."""
    add_key(team, "ten", rate_limit=10)
    answers = [
        ask("GET", "/api/availability", key="ten"),
        ask("GET", "/api/appointments", key="ten"),
        ask("GET", "/api/coaches/distribution", key="ten"),
        book(key="ten"),
        book(key="ten", start="noon"),
        book(key="ten", calendar_id="nowhere"),
        ask("POST", "/api/appointments", b"{", key="ten"),
        ask("GET", f"/api/appointments/{uuid4()}", key="ten"),
        ask("GET", "/api/nothing", key="ten"),
        ask("POST", "/api/webhooks/calendar", {"event_type": "x"}, key="ten"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 201, 422, 404, 400, 404, 404, 400]
    for position, answer in enumerate(answers):
        check_headers(answer, limit=10, remaining=9 - position)


def test_past_the_limit_nothing_is_done(team: Connection, cache: Redis) -> None:
    """The request after the last is 429, says when to come again, and changes nothing."""
    add_key(team, "two", rate_limit=2)
    assert book(key="two").status == book(key="two").status == 201
    before = table_digests(team)
    for _ in range(3):
        answer = book(key="two")
        check_problem(answer, 429, "RATE_LIMIT_EXCEEDED")
        check_headers(answer, limit=2, remaining=0)
        assert answer.headers["retry-after"] == answer.headers["x-ratelimit-reset"]
    assert table_digests(team) == before
    assert book().status == 201, "the limit is each key's own"


def test_a_dry_run_is_counted_before_its_work(
    team: Connection, cache: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stores nothing for a key, and takes the locks of a change: past the limit it takes none."""
    add_key(team, "one", rate_limit=1)
    tried: list[object] = []
    make = changes.make

    def noted(connection: Connection, asked: changes.ChangeRequest, **how: Any) -> ChangeResult:
        tried.append(asked)
        return make(connection, asked, **how)

    monkeypatch.setattr(changes, "make", noted)
    asked = (
        ("PATCH", "/api/coaches/coach-01", {"active": False}),
        ("POST", "/api/apply", {"coaches": {"coach-01": {"name": "Ann", "time_zone": "UTC"}}}),
    )
    assert ask("GET", "/api/coaches/coach-01", key="one").status == 200
    for method, path, body in asked:
        answer = ask(method, path, body, key="one", query={"dry_run": "true"})
        check_problem(answer, 429, "RATE_LIMIT_EXCEEDED")
        assert tried == []
        assert ask(method, path, body, query={"dry_run": "true"}).status == 200
        assert tried.pop()


def test_a_key_without_the_scope_is_counted_too(team: Connection, cache: Redis) -> None:
    """Knocking at closed doors is no way around the limit."""
    add_key(team, "reader", scopes=("read",), rate_limit=3)
    statuses = [book(key="reader").status for _ in range(5)]
    assert statuses == [403, 403, 403, 429, 429]


def test_what_is_open_to_all_is_not_counted(team: Connection, cache: Redis) -> None:
    """Health and the contract have no limit and tell none."""
    add_key(team, "one", rate_limit=1)
    for path in ("/health", "/openapi.json") * 2:
        answer = ask("GET", path, key="one")
        assert answer.status == 200
        assert not (LEGACY | IETF) & set(answer.headers)
    assert ask("GET", "/api/appointments", key="one").status == 200


def test_processes_together_never_exceed_the_limit(team: Connection, cache: Redis) -> None:
    """Of 120 requests from eight processes at once exactly as many are served as the limit allows."""
    add_key(team, "fifty", rate_limit=50)
    asked = request("GET", "/api/appointments", key="fifty")
    answers = [answer for part in at_once([[asked] * 15] * 8) for answer in part]
    served = [answer for answer in answers if answer.status == 200]
    assert len(answers) == 120
    assert len(served) == 50
    for answer in answers:
        if answer not in served:
            check_problem(answer, 429, "RATE_LIMIT_EXCEEDED")
    assert min(int(answer.headers["x-ratelimit-remaining"]) for answer in served) == 0


def test_a_dead_cache_does_not_close_the_door(
    team: Connection,
    cache: Redis,
    valkey: EmbeddedValkey,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without the cache bookings go on, within the limit still, and an alarm is raised."""
    add_key(team, "three", rate_limit=3)
    valkey.stop()
    try:
        answers = [book(key="three") for _ in range(3)]
    finally:
        valkey.start()
    assert [answer.status for answer in answers] == [201, 201, 201]
    for position, answer in enumerate(answers):
        check_headers(answer, limit=3, remaining=2 - position)
    assert count(team, "coach_appointments") == 3
    lines = json_lines(capsys)
    assert any(line.get("CacheUnavailable") for line in lines)
    assert "the cache does not answer" in caplog.messages


def test_a_cache_that_is_back_is_used_again(
    team: Connection, cache: Redis, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its rest the cache is asked again, over a new connection."""
    monkeypatch.setattr("fairslot.platform.cache._REST_SECONDS", 0.0)
    add_key(team, "two", rate_limit=2)
    assert ask("GET", "/api/appointments", key="two").status == 200
    valkey.stop()
    assert ask("GET", "/api/appointments", key="two").status == 200
    valkey.start()
    statuses = [ask("GET", "/api/appointments", key="two").status for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_without_a_cache_there_is_no_limit_to_reach(team: Connection) -> None:
    """Where no cache is configured the limit is told and not counted."""
    add_key(team, "one", rate_limit=1)
    for _ in range(3):
        answer = ask("GET", "/api/appointments", key="one")
        assert answer.status == 200
        check_headers(answer, limit=1, remaining=1)


def test_the_last_minute_counts_by_what_the_window_covers_of_it(team: Connection, cache: Redis) -> None:
    """A minute and a half after the first of ten requests half of them count, after two minutes none."""
    add_key(team, "ten", rate_limit=10)
    for _ in range(10):
        ask("GET", "/api/appointments", key="ten")
    check_problem(ask("GET", "/api/appointments", key="ten"), 429, "RATE_LIMIT_EXCEEDED")
    (counters,) = cache.keys("requests:*")
    cache.hincrbyfloat(counters, "begun", -85)
    later = [ask("GET", "/api/appointments", key="ten") for _ in range(6)]
    assert [answer.status for answer in later] == [200, 200, 200, 200, 200, 429]
    check_headers(later[0], limit=10, remaining=4)
    assert int(later[-1].headers["retry-after"]) <= 6
    cache.hincrbyfloat(counters, "begun", -120)
    check_headers(ask("GET", "/api/appointments", key="ten"), limit=10, remaining=9)
