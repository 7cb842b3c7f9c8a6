"""A stack for the tests that need no other settings, with partners that fail as partners do."""

from collections.abc import Iterator

import pytest

from tests.support.stack import CALM, FAULTS, Stack, running, starts, wait_until_read


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for the tests that need no other settings; its calendars are read."""
    with running(tmp_path_factory.mktemp("stack") / "data", FAULTS | CALM) as one:
        assert starts(one), "the first request waits for the calendars"
        wait_until_read(one)
        yield one
