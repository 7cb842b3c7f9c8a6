"""Stand-ins of providers, a process each for all tests of a worker."""

from collections.abc import Iterator

import pytest

from fairslot.calendars import access_tokens
from tests.support.environment import clear_caches
from tests.support.google import GoogleAccount, GoogleStandIn, google
from tests.support.graph import Standin, Told, graph_standin, told


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand-ins of providers are on this machine."""
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    clear_caches()
    yield
    clear_caches()


@pytest.fixture(scope="session")
def google_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleStandIn]:
    """Run the stand-in of Google, whose accounts are a test's own."""
    with google(tmp_path_factory.mktemp("google")) as running:
        yield running


@pytest.fixture
def standin(google_process: GoogleStandIn) -> GoogleStandIn:
    """Give the stand-in of Google to a process that has no tokens."""
    access_tokens.clear_cache()
    return google_process


@pytest.fixture
def ana(standin: GoogleStandIn) -> GoogleAccount:
    """Make a coach with an account at Google."""
    return standin.account()


@pytest.fixture(scope="session")
def graph_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    """Run the stand-in of Microsoft Graph."""
    with graph_standin(tmp_path_factory.mktemp("graph")) as standin:
        yield standin


@pytest.fixture
def graph(graph_process: Standin) -> Standin:
    """Give the stand-in of Microsoft Graph as its settings are at first."""
    graph_process.control("settings", **graph_process.first_settings)
    return graph_process


@pytest.fixture
def address() -> Iterator[Told]:
    """Give an address that Graph posts to."""
    with told() as listening:
        yield listening
