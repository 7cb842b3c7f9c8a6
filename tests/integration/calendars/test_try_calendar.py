"""The script that runs the table against a real account."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.processes import library_path
from tests.support.caldav_servers import PASSWORD, USER, CaldavServer, Radicale
from tests.support.calendar_cases import CASES
from tests.support.environment import clear_caches, set_environment
from tests.support.google import google
from tests.support.graph import graph_standin
from tests.support.tried_calendar import ZONE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaldavServer]:
    """Radicale."""
    with Radicale(tmp_path_factory.mktemp("radicale")) as running:
        yield running


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test changes is forgotten."""
    yield
    monkeypatch.undo()
    clear_caches()


def run(root: Path, kind: str = "caldav", **variables: str) -> tuple[int, list[str]]:
    paths = (root / "functions", root / "layers/common", root)
    env = library_path() | {"PYTHONPATH": ":".join(map(str, paths)), "WEBHOOK_ALLOW_LOOPBACK_HTTP": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.try_calendar", kind],
        env=env | variables,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def account(server: CaldavServer, **more: str) -> dict[str, str]:
    return {"CALDAV_URL": server.url, "CALDAV_USER": USER, "CALDAV_PASSWORD": PASSWORD, **more}


def test_every_case_is_told_and_nothing_stays(server: CaldavServer, root: Path) -> None:
    """A line each, and the calendar is as it was."""
    url = server.make_calendar()
    code, lines = run(root, **account(server, CALDAV_CALENDAR=url))
    assert (code, [line.split()[0] for line in lines]) == (0, ["ok"] * len(CASES))
    assert server.listed(url) == []


def test_google_and_microsoft_are_tried_by_a_token(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which somebody has from the provider's own explorer of its API; here from the stand-ins."""
    set_environment(monkeypatch, {"WEBHOOK_ALLOW_LOOPBACK_HTTP": "true"})
    with google(tmp_path / "google") as standin:
        ana = standin.account(zone=ZONE.key, email="ana@example.com")
        token = asyncio.run(ana.token.get())
        code, lines = run(
            root, "google", GOOGLE_TOKEN=token, GOOGLE_EMAIL=ana.email, GOOGLE_API=standin.base_url
        )
    assert (code, {line.split()[0] for line in lines}) == (0, {"ok", "skipped"})
    with graph_standin(tmp_path / "microsoft") as graph:
        coach = graph.coach(ZONE)
        token = asyncio.run(coach.token.get())
        code, lines = run(root, "microsoft", MICROSOFT_TOKEN=token, MICROSOFT_API=graph.api)
    assert (code, {line.split()[0] for line in lines}) == (0, {"ok", "skipped"})


def test_what_is_missing_is_told(server: CaldavServer, root: Path) -> None:
    """A variable, the calendar, the right password."""
    url = server.make_calendar()
    assert run(root) == (2, ["Set CALDAV_URL."])
    code, lines = run(root, **account(server))
    assert code == 2
    assert any(line.strip().startswith(url) for line in lines)
    wrong = account(server, CALDAV_PASSWORD="wrong", CALDAV_CALENDAR=url)
    assert run(root, **wrong) == (2, ["The account cannot be read: unauthorized."])


def test_a_calendar_that_is_in_use_is_left_alone(server: CaldavServer, root: Path) -> None:
    """Its events could be taken for the cases'."""
    url = server.make_calendar()
    text = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n"
    )
    server.put(f"{url}1.ics", f"{text}DTSTART;VALUE=DATE:20270310\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
    code, lines = run(root, **account(server, CALDAV_CALENDAR=url))
    assert (code, lines) == (2, ["The calendar is not empty from 8 to 16 March 2027."])
    assert len(server.listed(url)) == 1
