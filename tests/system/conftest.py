"""Stacks for the tests that need no other settings, with partners that fail as partners do, and without."""

from collections.abc import Iterator

import pytest

from tests.support.stack import CALM, FAULTS, Stack, running, wait_until_read


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack with partners that fail more than usual; its calendars are read."""
    with running(tmp_path_factory.mktemp("stack") / "data", FAULTS | CALM) as one:
        wait_until_read(one)
        yield one


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack with quick partners; its calendars are read."""
    with running(tmp_path_factory.mktemp("calm") / "data", CALM) as one:
        wait_until_read(one)
        yield one
