"""What the cache's user may do by template.yaml is all that functions do with the cache, and no more."""

import logging
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from fairslot.access import keys
from fairslot.platform.db import Connection
from local.valkey import EmbeddedValkey
from tests.support.cloudformation import resources
from tests.support.fixtures import Environment
from tests.support.http import ask, book

ACCESS = resources("AWS::ElastiCache::User")["CacheUser"]["AccessString"]


@pytest.fixture
def user_url(cache: Redis, valkey: EmbeddedValkey, environment: Environment) -> Iterator[str]:
    """The cache's address for a user with those rights, which the functions use."""
    rights = ["reset", ">pass", *ACCESS.split()]
    cache.execute_command("ACL", "SETUSER", "functions", *rights)  # type: ignore[no-untyped-call]
    url = (
        urlsplit(valkey.url)._replace(netloc=f"functions:pass@127.0.0.1:{urlsplit(valkey.url).port}").geturl()
    )
    environment(REDIS_URL=url)
    yield url
    cache.execute_command("ACL", "DELUSER", "functions")  # type: ignore[no-untyped-call]


def test_functions_are_allowed_all_that_they_do(
    team: Connection, user_url: str, cache: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Counting, idempotency, versions of keys, guesses, kept teams: what is refused would be logged."""
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        assert book(headers={"X-Idempotency-Key": "k-1"}).status == 201
    assert ask("GET", "/api/availability", query={"calendar_id": "cal"}).status == 200
    made = ask("POST", "/api/keys", {"label": "other", "scopes": ["read"]})
    assert made.status == 201, made
    keys.clear_cache()
    assert ask("GET", "/api/appointments", key="wrong").status == 401
    left = [ask("GET", "/api/appointments").headers["x-ratelimit-remaining"] for _ in range(2)]
    assert int(left[0]) - int(left[1]) == 1
    assert ask("DELETE", f"/api/keys/{made.json['key_id']}").status in {200, 204}
    assert "does not answer" not in caplog.text
    kept = {str(name).removeprefix("b'").split(":")[0] for name in cache.keys("*")}
    assert {"requests", "addresses", "idempotent", "key_version"} <= kept


@pytest.mark.parametrize(
    "command", [["FLUSHALL"], ["CONFIG", "GET", "*"], ["KEYS", "*"], ["ACL", "LIST"], ["SHUTDOWN"]]
)
def test_nothing_else_is_allowed(user_url: str, command: list[str]) -> None:
    """Neither to take everything away nor to look at everything."""
    with Redis.from_url(user_url) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command)
