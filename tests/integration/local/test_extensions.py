"""Functions with an extension in their process: a process is free when its extension is done too."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from local.pools import Pool
from tests.integration.local.conftest import MakePool, eventually

pytestmark = pytest.mark.anyio

HANDLER = "extended_handlers.answer"


async def ask(pool: Pool, folder: Path, then: str = "note") -> Any:
    """Invoke the function and tell its extension what to do after the answer."""
    answer = await pool.invoke(json.dumps({"folder": str(folder), "then": then}).encode())
    assert answer.error is None, answer
    return json.loads(answer.payload)


async def test_an_extension_gets_the_event_as_lambda_sends_it(make_pool: MakePool, tmp_path: Path) -> None:
    """With the request's id, the function, the deadline and the trace."""
    before = time.time()
    got = await ask(make_pool(HANDLER, seconds=7.0), tmp_path)
    await eventually((tmp_path / "event").exists)
    event = json.loads((tmp_path / "event").read_text())
    assert set(event) == {"eventType", "deadlineMs", "requestId", "invokedFunctionArn", "tracing"}
    assert (event["eventType"], event["requestId"]) == ("INVOKE", got["request_id"])
    assert event["invokedFunctionArn"] == got["arn"]
    assert before + 6 < event["deadlineMs"] / 1000 < time.time() + 7
    assert event["tracing"]["type"] == "X-Amzn-Trace-Id"
    assert event["tracing"]["value"].startswith("Root=1-")


async def test_an_answer_does_not_wait_for_the_extension_and_the_next_request_does(
    make_pool: MakePool, tmp_path: Path
) -> None:
    """The process is free once its extension asks for the next event."""
    pool = make_pool(HANDLER, max_processes=1)
    first = await ask(pool, tmp_path, "hold")
    waiting = asyncio.create_task(ask(pool, tmp_path))
    await eventually(lambda: bool(list(tmp_path.glob("held-*"))))
    assert not waiting.done()
    (tmp_path / "go").touch()
    assert (await waiting)["pid"] == first["pid"]


async def test_a_request_that_meets_an_extension_at_work_gets_a_process_of_its_own(
    make_pool: MakePool, tmp_path: Path
) -> None:
    """As on Lambda, which starts another environment."""
    pool = make_pool(HANDLER, max_processes=2)
    first = await ask(pool, tmp_path, "hold")
    assert (await ask(pool, tmp_path))["pid"] != first["pid"]


@pytest.mark.parametrize(
    ("then", "seconds"), [("report a failure", 20.0), ("crash", 1.0)], ids=["told", "silent"]
)
async def test_an_extension_that_crashes_costs_no_answer(
    make_pool: MakePool, tmp_path: Path, then: str, seconds: float
) -> None:
    """The process is replaced: at once when it is told, else when the invocation's time is over."""
    pool = make_pool(HANDLER, max_processes=1, seconds=seconds)
    first = await ask(pool, tmp_path, then)
    async with asyncio.timeout(10):
        assert (await ask(pool, tmp_path))["pid"] != first["pid"]


async def test_an_extension_that_does_not_start_fails_the_request(make_pool: MakePool) -> None:
    """As a module does that cannot be imported."""
    pool = make_pool(HANDLER, FAIL_AT_START="yes")
    failed = await pool.invoke(b"{}")
    assert failed.error == "Extension.InitError"
    assert "Fatal.NotStarted" in json.loads(failed.payload)["errorMessage"]
    await eventually(lambda: not pool.pids)


async def test_a_pool_that_stops_lets_extensions_finish(make_pool: MakePool, tmp_path: Path) -> None:
    """What was left for after the answer is not cut off by Ctrl-C."""
    pool = make_pool(HANDLER, max_processes=1)
    await ask(pool, tmp_path, "hold")
    stopping = asyncio.create_task(pool.stop(20.0))
    await eventually(lambda: bool(list(tmp_path.glob("held-*"))))
    (tmp_path / "go").touch()
    await stopping
    assert (tmp_path / "event").exists()
