"""Stacks that tests share, with partners that fail more than usual and as usual, and who shares them."""

from collections.abc import Iterator, Sequence

import pytest

from tests.support.stack import FAULTS, GUESSES, QUICK, Stack, running, wait_until_read


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: Sequence[pytest.Function]) -> None:
    """Have one worker run all tests that share a stack, and another test where its file is run."""
    for item in items:
        shared = {"stack", "quick"}.intersection(item.fixturenames)
        item.add_marker(pytest.mark.xdist_group("".join(shared) or item.path.name))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack with partners that fail more than usual; its calendars are read."""
    with running(tmp_path_factory.mktemp("stack") / "data", FAULTS | QUICK) as one:
        wait_until_read(one)
        yield one


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack with quick partners, which fail as usual, and few guesses; its calendars are read."""
    guesses = {"MAX_UNKNOWN_KEYS_PER_MINUTE": str(GUESSES)}
    with running(tmp_path_factory.mktemp("quick") / "data", QUICK | guesses) as one:
        wait_until_read(one)
        yield one
