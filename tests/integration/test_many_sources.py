"""Many sources of several providers: when each is asked for, and that one which is down delays no other's."""

import json
import re
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from unittest.mock import Mock
from uuid import UUID

import pytest

from fairslot.coach_time import sync
from fairslot.messages.readings import Reading
from fairslot.platform.db import Connection
from tests.support.clock import HOUR, MINUTE, NOW, SECOND
from tests.support.cloudformation import template
from tests.support.sources import add_source, failed
from tests.support.team import add_coach

STALE = 15 * MINUTE
PROVIDERS = ("google", "microsoft", "caldav", "icalendar")

type Asked = dict[UUID, list[datetime]]


@pytest.fixture
def sources(connection: Connection) -> dict[UUID, str]:
    """Some sources of each provider, by their kinds."""
    add_coach(connection, "ana")
    return {add_source(connection, kind=kind): kind for kind in PROVIDERS for _ in range(40)}


def schedule() -> timedelta:
    """Return how often the template asks for what is due."""
    events = template()["Resources"]["SyncFunction"]["Properties"]["Events"]
    found = re.fullmatch(r"rate\((\d+) minutes?\)", events["Plan"]["Properties"]["Schedule"])
    assert found is not None
    return int(found[1]) * MINUTE


def asked(
    connection: Connection, sources: dict[UUID, str], *, every: timedelta, down: str | None = None
) -> Asked:
    """Ask for an hour, and return when each source was; those of the provider that is `down` fail."""
    connection.execute("DELETE FROM calendar_providers")
    connection.execute(
        "UPDATE calendar_sources SET next_at = 'epoch', failures = 0, failed_at = NULL, error = NULL"
    )
    found: Asked = defaultdict(list)
    for number in range(HOUR // every):
        at = NOW + number * every
        for fetch in sync.due(connection, now=at):
            assert fetch.source_id is not None
            found[fetch.source_id].append(at)
            if sources[fetch.source_id] == down:
                message = {"requested_at": at.isoformat(), **failed(fetch.source_id, at)}
                sync.store(connection, Reading.from_json(json.dumps(message)), now=at)
    return found


def test_the_schedule_asks_for_each_before_it_is_stale(
    connection: Connection, sources: dict[UUID, str]
) -> None:
    """None waits for so long that it is stale before its next reading, whoever tells of its changes."""
    every = schedule()
    for told in (False, True):
        until = NOW + 2 * HOUR if told else None
        connection.execute("UPDATE calendar_sources SET pushed_until = %s", [until])
        times = asked(connection, sources, every=every)
        assert times.keys() == sources.keys()
        longest = max(later - earlier for one in times.values() for earlier, later in pairwise(one))
        assert longest + every < STALE


def test_many_that_are_due_at_once_are_claimed_in_parts(
    connection: Connection, sources: dict[UUID, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, each once, in statements that end within their time."""
    monkeypatch.setattr(sync, "MOST_AT_ONCE", 50)
    monkeypatch.setattr(connection, "execute", counted := Mock(wraps=connection.execute))
    claimed = [fetch.source_id for fetch in sync.due(connection, now=NOW)]
    assert sorted(map(str, claimed)) == sorted(map(str, sources))
    assert counted.call_count == -(-len(sources) // 50) + 1


def test_a_provider_that_is_down_delays_no_other(connection: Connection, sources: dict[UUID, str]) -> None:
    """The others' calendars are asked for at the very seconds at which they were without it, for an hour."""
    every = 20 * SECOND
    well = asked(connection, sources, every=every)
    broken = asked(connection, sources, every=every, down="google")
    for source, kind in sources.items():
        if kind != "google":
            assert broken[source] == well[source]
    tried = sum(len(broken[source]) for source, kind in sources.items() if kind == "google")
    assert tried < 2 * 40
