"""An endpoint's address: written in one way, and had once."""

import pytest

from fairslot.platform.db import Connection
from tests.support.endpoints import PATH, subscribe, subscribed
from tests.support.http import ask, check_problem
from tests.support.queues import Queues
from tests.support.tables import count

ONE = "https://hooks.example.com/"
OTHERS = [
    "https://HOOKS.example.com",
    "https://hooks.example.com.",
    "https://hooks.example.com:443",
    "https://hooks.example.com:/",
    "https://hooks.example.com:00443/#there",
]


@pytest.mark.parametrize("other", OTHERS)
def test_an_address_is_had_once_however_it_is_written(team: Connection, kms: None, other: str) -> None:
    """It is shown and requested in one way, and a second endpoint cannot have it in another."""
    assert subscribed(url=other)["url"] == ONE
    for url in (ONE, *OTHERS):
        check_problem(subscribe(url=url), 409, "CONFLICT")
    assert count(team, "webhook_endpoints") == 1


def test_a_change_of_address_is_read_the_same_way(team: Connection, kms: None, queues: Queues) -> None:
    """Another's address is refused, and the own one may be written in another way."""
    subscribed(url=ONE)
    made = subscribed(url=ONE + "second")
    path = f"{PATH}/{made['endpoint_id']}"
    for url in OTHERS:
        check_problem(ask("PATCH", path, {"url": url}), 409, "CONFLICT")
    problem = check_problem(
        ask("PATCH", path, {"url": "https://hooks.example.com:+443/"}), 422, "VALIDATION_ERROR"
    )
    assert [one["loc"] for one in problem["details"]] == ["body.url"]
    changed = ask("PATCH", path, {"url": "https://Hooks.Example.com:443/second"})
    assert (changed.status, changed.json["url"]) == (200, ONE + "second")
    ask("POST", f"{path}/test")
    assert [one["url"] for one in queues.take("DELIVERIES")] == [ONE + "second"]


def test_an_address_is_as_long_as_it_is_when_it_is_requested(team: Connection, kms: None) -> None:
    """What is not ASCII is escaped, and counts so."""
    assert len(subscribed(url=ONE + "a" * (2000 - len(ONE)))["url"]) == 2000
    problem = check_problem(subscribe(url=ONE + "é" * 400), 422, "VALIDATION_ERROR")
    assert problem["details"] == [{"loc": "body.url", "type": "too_long"}]
