"""What takes long says so on a terminal, and nowhere else."""

import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from rich.console import Console

from cli import tables
from cli.connection import Api, Profile
from tests.support.stack import wait_until

type Answering = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> io.StringIO:
    """What standard error shows, which is a terminal or not."""
    written = io.StringIO()
    monkeypatch.setattr(tables, "errors", Console(file=written, force_terminal=request.param, width=80))
    return written


def api(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Return an API that answers so."""
    made = Api(Profile(url="http://127.0.0.1:1", key="key"))
    client = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(answering))
    monkeypatch.setattr(made, "_client", client)
    return made


@pytest.mark.parametrize("shown", [True], indirect=True)
def test_a_terminal_shows_how_far_a_long_list_has_come(
    monkeypatch: pytest.MonkeyPatch, shown: io.StringIO
) -> None:
    """An answer that takes its time is waited for, and each page adds to what was read."""

    def answering(request: httpx.Request) -> httpx.Response:
        is_first = "cursor" not in request.url.params
        said = "waiting for the API" if is_first else "1,500 read"
        wait_until(lambda: said in shown.getvalue(), 10, said)
        page: dict[str, Any] = {
            "data": [{}] * (1500 if is_first else 1),
            "next_cursor": "next" if is_first else None,
        }
        return httpx.Response(200, json=page)

    assert len(api(answering, monkeypatch).pages("/api/coaches")) == 1501


@pytest.mark.parametrize("shown", [False], indirect=True)
def test_a_file_gets_nothing_of_it(monkeypatch: pytest.MonkeyPatch, shown: io.StringIO) -> None:
    """Scripts read answers and errors alone."""
    ask = api(lambda _: httpx.Response(200, json={"data": [], "next_cursor": None}), monkeypatch)
    ask.call("GET", "/health")
    assert ask.pages("/api/coaches") == []
    assert shown.getvalue() == ""
