"""What is kept of an endpoint to answer a request again, and what is answered."""

from typing import Any

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from tests.support.endpoints import PATH, get_endpoint, subscribe
from tests.support.http import ask
from tests.support.queues import Queues
from tests.support.tables import table_digests

TOKEN = "nobody-may-keep-this"
SECRETIVE: dict[str, Any] = {
    "url": f"https://hooks.example.com/{TOKEN}?token={TOKEN}",
    "headers": {"X-Team": TOKEN},
}
KEY = {"Idempotency-Key": "k"}


def in_database(connection: Connection) -> str:
    """Return everything that the database keeps for idempotency keys."""
    return " ".join(str(row) for row in connection.execute("SELECT * FROM changes WHERE key IS NOT NULL"))


def in_cache(cache: Redis) -> str:
    """Return everything that the cache keeps for them."""
    return " ".join(str(cache.get(name)) for name in cache.scan_iter(_type="string"))


def test_nothing_of_an_address_is_kept_for_a_key(
    team: Connection, kms: None, cache: Redis, queues: Queues
) -> None:
    """Neither the database nor the cache has address or headers of an answer, and each is given again."""
    made = subscribe(**SECRETIVE, sent={"Idempotency-Key": "make"})
    path = f"{PATH}/{made.json['endpoint_id']}"
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", path, {"url": SECRETIVE["url"] + "2", "description": "moved"}),
        ("POST", f"{path}/rotate-secret", {}),
    ]
    for method, place, body in calls:
        first = ask(method, place, body, headers={"Idempotency-Key": place})
        assert first.status == 200
        for cached in (True, False):
            if not cached:
                cache.flushall()
            again = ask(method, place, body, headers={"Idempotency-Key": place})
            assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
            assert again.json == first.json | ({"secret": None} if "secret" in first.json else {})
            for found in (in_database(team), in_cache(cache)):
                assert made.json["endpoint_id"] in found
                assert TOKEN not in found
                assert "moved" not in found


@pytest.mark.parametrize("cached", ["cached", "flushed"])
def test_a_repetition_shows_the_endpoint_as_it_is(
    team: Connection, kms: None, cache: Redis, cached: str
) -> None:
    """Also where it was changed or taken away since, and it changes nothing back."""
    first = subscribe(**SECRETIVE, sent=KEY).json
    path = f"{PATH}/{first['endpoint_id']}"
    ask("PATCH", path, {"description": "moved"})
    if cached == "flushed":
        cache.flushall()
    again = subscribe(**SECRETIVE, sent=KEY)
    assert (again.status, again.json) == (201, get_endpoint(first) | {"secret": None})
    assert ask("DELETE", path).status == 204
    before = table_digests(team)
    gone = subscribe(**SECRETIVE, sent=KEY)
    assert (gone.status, gone.json["enabled"], gone.json["disabled_reason"]) == (201, False, "by_request")
    assert table_digests(team) == before
