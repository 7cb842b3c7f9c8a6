"""The table of cases against every kind of calendar."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.support.caldav_servers import CaldavServer, Radicale, Xandikos
from tests.support.caldav_tried import TriedCaldav
from tests.support.calendar_cases import CASES, Case
from tests.support.environment import clear_caches, set_environment
from tests.support.google import google as running_google
from tests.support.google_tried import TriedGoogle
from tests.support.graph import graph_standin
from tests.support.graph_tried import TriedStandin
from tests.support.tried_calendar import ZONE, TriedCalendar


@contextmanager
def caldav(make: type[CaldavServer], folder: Path) -> Iterator[TriedCalendar]:
    """Run a CalDAV server."""
    with make(folder) as server:
        yield TriedCaldav(server.name, server.account, server.make_calendar())


@contextmanager
def radicale(folder: Path) -> Iterator[TriedCalendar]:
    """A calendar of Radicale."""
    with caldav(Radicale, folder) as tried:
        yield tried


@contextmanager
def xandikos(folder: Path) -> Iterator[TriedCalendar]:
    """A calendar of Xandikos."""
    with caldav(Xandikos, folder) as tried:
        yield tried


@contextmanager
def google(folder: Path) -> Iterator[TriedCalendar]:
    """A calendar at the stand-in of Google."""
    with running_google(folder) as standin:
        ana = standin.account(zone=ZONE.key, email="ana@example.com")
        yield TriedGoogle(ana.token, ana.email, base_url=standin.base_url)


@contextmanager
def microsoft(folder: Path) -> Iterator[TriedCalendar]:
    """A calendar at the stand-in of Microsoft Graph."""
    with graph_standin(folder) as standin:
        yield TriedStandin(standin.coach(ZONE))


KINDS: tuple[Callable[[Path], AbstractContextManager[TriedCalendar]], ...] = (
    radicale,
    xandikos,
    google,
    microsoft,
)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def tried(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TriedCalendar]:
    """A calendar of each kind."""
    with request.param(tmp_path_factory.mktemp(request.param.__name__)) as found:
        yield found


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Allow plain http to this machine, as on one machine."""
    set_environment(monkeypatch, {"WEBHOOK_ALLOW_LOOPBACK_HTTP": "true"})
    yield
    monkeypatch.undo()
    clear_caches()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_every_kind(tried: TriedCalendar, case: Case) -> None:
    """Each does what the case says."""

    async def run() -> None:
        try:
            await case(tried)
        finally:
            await tried.clean()

    asyncio.run(run())
