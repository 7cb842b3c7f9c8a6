"""API keys over HTTP: made and shown once, listed without secrets, rotated, revoked at once."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from redis import Redis

from fairslot.access import key_form, keys, limits
from fairslot.platform.db import Connection
from tests.support.api_processes import at_once
from tests.support.clock import NOW
from tests.support.fixtures import Clock, Environment
from tests.support.http import Answer, add_key, ask, body_of, book, booking_body, check_problem, request
from tests.support.tables import one_row, table_digests

PATH = "/api/keys"
READ: dict[str, Any] = {"label": "site", "scopes": ["read"]}


def made(**members: Any) -> dict[str, Any]:
    """Make a key."""
    return body_of(ask("POST", PATH, {**READ, **members}), 201)


def use(key: str) -> Answer:
    """Read with a key."""
    return ask("GET", "/api/appointments", key=key)


def refused(key: str) -> bool:
    """Tell whether a key is answered as one that nobody has."""
    unknown = check_problem(use(key_form.make()), 401, "AUTHENTICATION_FAILED")
    return check_problem(use(key), 401, "AUTHENTICATION_FAILED") == unknown


@pytest.fixture
def strict(team: Connection, environment: Environment) -> Connection:
    """The small team as it is deployed: keys must have their form. The tests' own key gets one."""
    environment(ANY_KEY_FORM="")
    return team


def test_a_key_is_shown_once(team: Connection) -> None:
    """It is in the answer that made it, and in no other; the same request again has null."""
    headers = {"X-Idempotency-Key": "k"}
    first = body_of(ask("POST", PATH, READ, headers=headers), 201)
    assert key_form.is_key(first["key"])
    again = body_of(ask("POST", PATH, READ, headers=headers), 201)
    assert again == {**first, "key": None}
    shown = body_of(ask("GET", f"{PATH}/{first['key_id']}"))
    assert shown == {name: value for name, value in first.items() if name != "key"}
    assert shown["prefix"] == first["key"][:13]
    page = body_of(ask("GET", PATH))
    assert shown in page["data"]
    assert first["key"] not in json.dumps(page)
    row = one_row(team, "SELECT k::text AS text FROM api_keys AS k WHERE key_id = %s", [first["key_id"]])
    assert first["key"] not in row["text"]


def test_a_key_does_what_it_was_made_for(team: Connection) -> None:
    """Its scopes and its rate limit hold."""
    one = made(rate_limit=7)
    answer = use(one["key"])
    assert (answer.status, answer.headers["x-ratelimit-limit"]) == (200, "7")
    check_problem(book(key=one["key"]), 403, "FORBIDDEN")
    assert (one["state"], one["calendars"], one["scopes"]) == ("active", None, ["read"])
    assert made(scopes=["read", "write", "admin"])["scopes"] == ["admin", "read", "write"]


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"scopes": []}, "body.scopes"),
        ({"scopes": ["read", "root"]}, "body.scopes.1"),
        ({"calendars": []}, "body.calendars"),
        ({"calendars": ["nothing"]}, "body.calendars"),
        ({"calendars": ["cal"], "scopes": ["admin"]}, "body.calendars"),
        ({"rate_limit": 0}, "body.rate_limit"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "body.expires_at"),
        ({"expires_at": "tomorrow"}, "body.expires_at"),
        ({"key": "mine"}, "body.key"),
        ({"label": "l" * 201}, "body.label"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(team: Connection, members: dict[str, Any], place: str) -> None:
    """The answer says where, and no key is made."""
    before = table_digests(team)
    problem = check_problem(ask("POST", PATH, {**READ, **members}), 422, "VALIDATION_ERROR")
    assert [one["loc"] for one in problem["details"]] == [place]
    assert table_digests(team) == before


def test_a_key_ends_when_it_expires(team: Connection, cache: Redis, clock: Clock) -> None:
    """To the second, also in a process that remembers it; then it is as unknown as any."""
    one = made(expires_at=(NOW + timedelta(hours=1)).isoformat())
    clock(NOW + timedelta(minutes=59))
    assert use(one["key"]).status == 200
    clock(NOW + timedelta(hours=1))
    assert refused(one["key"])
    assert body_of(ask("GET", f"{PATH}/{one['key_id']}"))["state"] == "expired"
    check_problem(ask("POST", f"{PATH}/{one['key_id']}/rotate"), 409, "CONFLICT")


def test_two_keys_work_during_a_rotation(team: Connection, cache: Redis, clock: Clock) -> None:
    """The old one for a day, unless something else is said; a third is refused meanwhile."""
    one = made()
    path = f"{PATH}/{one['key_id']}/rotate"
    two = body_of(ask("POST", path))
    assert two["key"] != one["key"]
    assert datetime.fromisoformat(two["previous_key_until"]) == NOW + timedelta(days=1)
    assert two["prefix"] == two["key"][:13]
    for key in (one["key"], two["key"]):
        assert use(key).status == 200
    check_problem(ask("POST", path), 409, "CONFLICT")
    clock(NOW + timedelta(hours=24))
    assert refused(one["key"])
    assert use(two["key"]).status == 200
    three = body_of(ask("POST", path, {"overlap_hours": 2}))
    assert datetime.fromisoformat(three["previous_key_until"]) == NOW + timedelta(hours=26)


def test_a_key_that_leaked_is_replaced_at_once(team: Connection, cache: Redis) -> None:
    """Without an overlap every earlier key ends, whatever was promised."""
    one = made()
    path = f"{PATH}/{one['key_id']}/rotate"
    two = body_of(ask("POST", path))
    assert use(one["key"]).status == use(two["key"]).status == 200
    three = body_of(ask("POST", path, {"overlap_hours": 0}))
    assert three["previous_key_until"] is None
    assert refused(one["key"])
    assert refused(two["key"])
    assert use(three["key"]).status == 200


@pytest.mark.parametrize("with_cache", [True, False])
def test_a_revoked_key_is_refused_at_once(
    team: Connection, request: pytest.FixtureRequest, *, with_cache: bool
) -> None:
    """With what a rotation has left of it; it stays in the list, and revoking it again changes nothing."""
    if with_cache:
        request.getfixturevalue("cache")
    one = made()
    two = body_of(ask("POST", f"{PATH}/{one['key_id']}/rotate"))
    assert use(one["key"]).status == use(two["key"]).status == 200
    for _ in range(2):
        assert ask("DELETE", f"{PATH}/{one['key_id']}").status == 204
        assert refused(one["key"])
        assert refused(two["key"])
    shown = body_of(ask("GET", f"{PATH}/{one['key_id']}"))
    assert (shown["state"], shown["previous_key_until"]) == ("revoked", None)


def test_no_process_takes_a_key_after_it_is_revoked(team: Connection, cache: Redis) -> None:
    """Another process revokes what this one remembers, and goes on remembering."""
    one = made()
    assert use(one["key"]).status == 200
    ((revoked,),) = at_once([[request("DELETE", f"{PATH}/{one['key_id']}")]])
    assert revoked.status == 204
    assert keys._known.get(keys.hash_key(one["key"])) is not None  # noqa: SLF001
    check_problem(use(one["key"]), 401, "AUTHENTICATION_FAILED")


def test_a_change_with_a_remembered_key_is_refused_before_it_is_made(team: Connection, cache: Redis) -> None:
    """Where the count is left to the command that takes the idempotency key, nothing is taken."""
    one = made(scopes=["read", "write"])
    assert use(one["key"]).status == 200
    at_once([[request("DELETE", f"{PATH}/{one['key_id']}")]])
    before = table_digests(team)
    headers = {"X-Idempotency-Key": "k"}
    check_problem(book(key=one["key"], headers=headers), 401, "AUTHENTICATION_FAILED")
    check_problem(ask("POST", "/api/appointments", {}, key=one["key"]), 401, "AUTHENTICATION_FAILED")
    assert table_digests(team) == before
    assert ask("POST", "/api/appointments", booking_body(), headers=headers).status == 201


def test_without_the_cache_s_memory_keys_are_looked_up_anew(team: Connection, cache: Redis) -> None:
    """A cache that was emptied or fails between two requests lets no revoked key through."""
    one = made()
    assert use(one["key"]).status == 200
    cache.flushall()
    team.execute("UPDATE api_keys SET revoked_at = now() WHERE key_id = %s", [one["key_id"]])
    assert refused(one["key"])


def test_a_revocation_that_was_not_told_says_so(
    team: Connection, cache: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stored; the same request again tells it."""
    one = made()
    monkeypatch.setattr(limits, "publish_version", lambda *_: False)
    problem = check_problem(ask("DELETE", f"{PATH}/{one['key_id']}"), 503, "SERVICE_UNAVAILABLE")
    assert "Send the request again" in problem["message"]
    monkeypatch.undo()
    assert ask("DELETE", f"{PATH}/{one['key_id']}").status == 204


def test_an_older_version_does_not_hide_a_later_one(team: Connection, cache: Redis) -> None:
    """A process that publishes late, of what it looked up before, changes nothing."""
    assert limits.publish_version("default", 7)
    assert limits.publish_version("default", 3)
    assert cache.get("key_version:{default}") == b"7"


def test_the_last_use_is_noted_now_and_then(team: Connection, cache: Redis, clock: Clock) -> None:
    """Not with every request, and never as later than it was."""
    one = made()
    path = f"{PATH}/{one['key_id']}"
    assert body_of(ask("GET", path))["last_used_at"] is None
    use(one["key"])
    noted = "SELECT xmin::text AS version, last_used_at FROM api_key_uses WHERE key_id = %s"
    first = one_row(team, noted, [one["key_id"]])
    assert first["last_used_at"] == NOW
    clock(NOW + timedelta(minutes=4))
    keys.clear_cache()
    use(one["key"])
    assert one_row(team, noted, [one["key_id"]]) == first
    clock(NOW + timedelta(minutes=6))
    keys.clear_cache()
    use(one["key"])
    shown = body_of(ask("GET", path))["last_used_at"]
    assert datetime.fromisoformat(shown) == NOW + timedelta(minutes=6)


def test_keys_are_listed_in_pages(team: Connection) -> None:
    """The newest first."""
    labels = [made(label=f"key {number}")["label"] for number in range(5)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = body_of(ask("GET", PATH, query={"limit": 2, **cursor}))
        found += [one["label"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == [*reversed(labels), "test"]


def test_a_key_is_not_for_a_calendar_of_another_tenant(team: Connection) -> None:
    """It is refused as one that does not exist, and no key is made."""
    add_key(team, "other-key", tenant_id="other")
    before = table_digests(team)
    check_problem(ask("POST", PATH, {**READ, "calendars": ["cal"]}, key="other-key"), 422, "VALIDATION_ERROR")
    assert table_digests(team) == before


def test_as_deployed_a_key_must_have_the_form(strict: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nothing is looked up, however well it is known."""
    asked: list[bytes] = []
    look_up = keys._look_up  # noqa: SLF001

    def noted(digest: bytes) -> keys._Found:
        asked.append(digest)
        return look_up(digest)

    monkeypatch.setattr(keys, "_look_up", noted)
    good = key_form.make()
    add_key(strict, good)
    for wrong in ("test-key-123", good[:-1], good + "0", good.upper(), good[:-1] + "!", f"x{good[1:]}"):
        check_problem(use(wrong), 401, "AUTHENTICATION_FAILED")
    assert asked == []
    assert use(good).status == 200
    assert asked == [keys.hash_key(good)]
