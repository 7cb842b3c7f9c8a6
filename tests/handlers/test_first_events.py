"""What a process of each function has loaded when its first event is answered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from fairslot.platform.db import Connection
from tests.support.handler_events import HandlerEvents, handler_events
from tests.support.handler_runs import run
from tests.support.libraries import AFTER_FIRST, AT_IMPORT, check, libraries
from tests.support.queues import Queues


@pytest.fixture
def events(connection: Connection, cache: Redis, queues: Queues, tmp_path: Path) -> Iterator[HandlerEvents]:
    """Events by function; what they need is there."""
    with handler_events(connection, queues.sqs, tmp_path) as made:
        yield made


def test_a_first_event_loads_what_its_list_says(events: HandlerEvents, subtests: pytest.Subtests) -> None:
    """By the end of its first event a function has loaded the packages of its list."""
    for module, make in events.makers.items():
        with subtests.test(module):
            loaded = run(module, [make()], variables=events.variables).loaded
            check(module, loaded, AFTER_FIRST[module], when="after its first event")


@pytest.mark.parametrize("module", ["admin.app", "availability.app", "booking.app", "calendar_push.app"])
def test_after_a_snapshot_a_first_event_loads_nothing(module: str, events: HandlerEvents) -> None:
    """What SnapStart copies has every package already, and the models of every route."""
    seen = run(module, [events.makers[module]()], variables=events.variables, snapshot=True)

    assert libraries(seen.loaded) == libraries(seen.imported)
    assert libraries(seen.imported) > {*AT_IMPORT[module]}
