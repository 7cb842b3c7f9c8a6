"""Functions as processes under the real runtime client."""

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from local.pools import Pool
from local.runtime_api import LARGEST_PAYLOAD, Answer
from tests.integration.local.conftest import MakePool, eventually

pytestmark = pytest.mark.anyio


async def ask(pool: Pool, **event: Any) -> Any:
    """Invoke a function that succeeds and return its answer."""
    answer = await pool.invoke(json.dumps(event).encode())
    assert answer.error is None, answer
    return json.loads(answer.payload)


async def fail(pool: Pool, **event: Any) -> Answer:
    """Invoke a function that fails and return how."""
    answer = await pool.invoke(json.dumps(event).encode())
    assert answer.error is not None, answer
    return answer


async def test_a_function_gets_its_event_and_its_context(make_pool: MakePool) -> None:
    """As the runtime hands them over on Lambda."""
    got = await ask(make_pool("lambda_handlers.answer", seconds=7.0), a="é")
    assert got["event"] == {"a": "é"}
    assert (got["function"], got["memory"]) == ("Tried", "256")
    assert got["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:Tried"
    assert 6000 < got["remaining"] <= 7000


async def test_a_function_sees_only_the_environment_it_is_given(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the person who runs the stack."""
    monkeypatch.setenv("PRIVATE", "secret")
    seen = await ask(make_pool("lambda_handlers.answer", OWN="yes"), do="environment")
    assert seen["OWN"] == "yes"
    assert "PRIVATE" not in seen


async def test_a_process_serves_one_request_after_the_other(make_pool: MakePool) -> None:
    """One is enough for requests that do not meet."""
    pool = make_pool("lambda_handlers.answer")
    assert len({(await ask(pool))["pid"] for _ in range(5)}) == 1


async def test_requests_that_meet_get_processes_up_to_the_cap_and_then_wait(
    make_pool: MakePool, tmp_path: Path
) -> None:
    """Each process has one at a time; all are answered in the end."""
    pool = make_pool("lambda_handlers.answer", max_processes=2)
    requests = [asyncio.create_task(ask(pool, do="hold", folder=str(tmp_path))) for _ in range(5)]
    await eventually(lambda: len(list(tmp_path.glob("held-*"))) == 2)
    assert len(pool.pids) == 2
    (tmp_path / "go").touch()
    served = Counter(one["pid"] for one in await asyncio.gather(*requests))
    assert len(served) == 2
    assert sum(served.values()) == 5


async def test_an_exception_is_the_answer_and_the_process_lives_on(make_pool: MakePool) -> None:
    """As on Lambda, where an error does not end the environment."""
    pool = make_pool("lambda_handlers.answer")
    before = await ask(pool)
    failed = await fail(pool, do="raise", message="no such thing")
    assert failed.error == "Unhandled"
    assert json.loads(failed.payload)["errorMessage"] == "no such thing"
    assert (await ask(pool))["pid"] == before["pid"]


@pytest.mark.parametrize(("do", "how"), [("exit", "exit status 3"), ("be killed", "signal: SIGKILL")])
async def test_a_process_that_ends_fails_its_request_and_is_replaced(
    make_pool: MakePool, do: str, how: str
) -> None:
    """The next request finds a new one."""
    pool = make_pool("lambda_handlers.answer", max_processes=1)
    before = await ask(pool)
    failed = await fail(pool, do=do)
    assert failed.error == "Runtime.ExitError"
    assert how in json.loads(failed.payload)["errorMessage"]
    assert (await ask(pool))["pid"] != before["pid"]


async def test_a_process_killed_while_it_waits_costs_no_request(make_pool: MakePool) -> None:
    """Nobody is told of it."""
    pool = make_pool("lambda_handlers.answer", max_processes=1)
    before = (await ask(pool))["pid"]
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: before not in pool.pids)
    assert (await ask(pool))["pid"] != before


async def test_those_who_wait_for_a_process_that_ends_get_another(
    make_pool: MakePool, tmp_path: Path
) -> None:
    """A death does not strand the queue."""
    pool = make_pool("lambda_handlers.answer", max_processes=1)
    held = asyncio.create_task(fail(pool, do="hold", folder=str(tmp_path)))
    await eventually(lambda: bool(list(tmp_path.glob("held-*"))))
    waiting = asyncio.create_task(ask(pool, waited=True))
    os.kill(pool.pids[0], signal.SIGKILL)
    assert (await held).error == "Runtime.ExitError"
    assert (await waiting)["event"] == {"waited": True}


async def test_a_late_function_is_killed_and_replaced(make_pool: MakePool, tmp_path: Path) -> None:
    """The timeout is the template's."""
    pool = make_pool("lambda_handlers.answer", max_processes=1, seconds=1.0)
    late = await fail(pool, do="hold", folder=str(tmp_path))
    assert late.error == "Sandbox.Timedout"
    assert "timed out after 1.00 seconds" in json.loads(late.payload)["errorMessage"]
    assert (await ask(pool))["event"] == {}


async def test_a_module_that_cannot_be_imported_fails_each_request(make_pool: MakePool) -> None:
    """And each tries anew, as a mended file should help."""
    pool = make_pool("broken_handlers.answer")
    for _ in range(2):
        failed = await fail(pool)
        assert failed.error == "Runtime.InitError"
        assert json.loads(failed.payload)["errorMessage"] == "broken on purpose"
    assert pool.pids == []


async def test_an_answer_over_lambdas_limit_is_a_failure(make_pool: MakePool) -> None:
    """6 MB and a little, as there."""
    pool = make_pool("lambda_handlers.answer", max_processes=1)
    failed = await fail(pool, do="large", size=LARGEST_PAYLOAD)
    assert failed.error == "Function.ResponseSizeTooLarge"
    assert len(await ask(pool, do="large", size=LARGEST_PAYLOAD - 100)) == LARGEST_PAYLOAD - 100


async def test_who_stops_waiting_leaves_the_queue(make_pool: MakePool, tmp_path: Path) -> None:
    """What had not begun never begins; what had goes on."""
    pool = make_pool("lambda_handlers.answer", max_processes=1)
    running = asyncio.create_task(ask(pool, do="hold", folder=str(tmp_path)))
    await eventually(lambda: bool(list(tmp_path.glob("held-*"))))
    other = tmp_path / "other"
    other.mkdir()
    impatient = asyncio.create_task(ask(pool, do="hold", folder=str(other)))
    await asyncio.sleep(0)
    impatient.cancel()
    (tmp_path / "go").touch()
    await running
    assert (await ask(pool, last=True))["event"] == {"last": True}
    assert list(other.iterdir()) == []


async def test_a_stopped_pool_leaves_no_process(make_pool: MakePool, tmp_path: Path) -> None:
    """Not the busy one either."""
    pool = make_pool("lambda_handlers.answer")
    await ask(pool)
    held = asyncio.create_task(fail(pool, do="hold", folder=str(tmp_path)))
    await eventually(lambda: bool(list(tmp_path.glob("held-*"))))
    pids = pool.pids
    await pool.stop()
    assert (await held).error == "Runtime.ExitError"
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_stopped_pool_fails_at_once(make_pool: MakePool) -> None:
    """A function that is asked by another while all stop holds nobody up."""
    pool = make_pool("lambda_handlers.answer")
    await pool.stop()
    async with asyncio.timeout(5):
        assert (await fail(pool)).error == "Sandbox.Stopped"


async def test_each_invocation_ends_with_a_report_in_the_log(make_pool: MakePool, tmp_path: Path) -> None:
    """In the form of Lambda's own."""
    pool = make_pool("lambda_handlers.answer")
    request_id = (await ask(pool))["request_id"]
    lines = [
        line for line in (tmp_path / "function.log").read_text().splitlines() if "platform.report" in line
    ]
    report = json.loads(lines[-1])
    assert (report["record"]["requestId"], report["record"]["status"]) == (request_id, "success")


async def test_what_nobody_waits_for_starts_two_at_a_time(make_pool: MakePool) -> None:
    """So that a backlog does not hold everybody up; each request is answered all the same."""
    pool = make_pool("lambda_handlers.answer", max_processes=5, behind=True)
    asked = [asyncio.create_task(ask(pool, number=number)) for number in range(5)]
    await eventually(lambda: len(pool.pids) == 2)
    at_once, own = 0, os.getpriority(os.PRIO_PROCESS, 0)
    while not all(one.done() for one in asked):
        at_once = max(at_once, sum(os.getpriority(os.PRIO_PROCESS, pid) == own for pid in pool.pids))
        await asyncio.sleep(0.005)
    assert at_once <= 2
    assert [(await one)["event"] for one in asked] == [{"number": number} for number in range(5)]
