"""Stand-ins of providers, a process each for all tests of a worker."""

from collections.abc import Iterator

import pytest

from fairslot.calendars import access_tokens
from tests.support.environment import clear_caches
from tests.support.google import GoogleAccount, GoogleStandIn, google


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
