"""A disk that is full costs log lines and nothing else, and a person is warned of what no longer runs."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.gateway import Gateway
from local.logs import Log, start_task
from local.poller import Poller
from local.queue_client import QueueClient, QueueError
from local.routes import Routes
from local.runtime_api import Answer
from local.scheduler import Scheduler
from local.template import QueueSource, Schedule
from tests.integration.local.conftest import MakePool, eventually
from tests.integration.local.test_scheduler import Clock

pytestmark = pytest.mark.anyio

FULL = Path("/dev/full")  # takes nothing: no space left on device


async def test_a_function_whose_log_is_full_answers(make_pool: MakePool, tmp_path: Path) -> None:
    """Neither its own lines nor those about it make an invocation fail; a person is warned once."""
    (tmp_path / "function.log").symlink_to(FULL)
    warnings: list[str] = []
    pool = make_pool("lambda_handlers.answer", max_processes=1, warn=warnings.append)
    for _ in range(3):
        answer = await pool.invoke(json.dumps({"do": "say", "words": "x" * 100_000}).encode())
        assert answer.error is None, answer
    assert warnings == [
        f"{tmp_path / 'function.log'} cannot be written, so lines of it are lost: No space left on device"
    ]


async def test_what_a_function_says_is_in_its_log(make_pool: MakePool, tmp_path: Path) -> None:
    """Whole, in order, and the last words of one that ends too."""
    pool = make_pool("lambda_handlers.answer", max_processes=1)
    words = "wörds" * 50_000
    await pool.invoke(json.dumps({"do": "say", "words": words}).encode())
    await pool.invoke(json.dumps({"do": "raise", "message": "its last words"}).encode())
    await pool.invoke(json.dumps({"do": "exit"}).encode())
    await pool.stop()
    log = (tmp_path / "function.log").read_text("utf-8")
    assert log.count(words) == 1
    assert log.index(words) < log.index("its last words") < log.index("Runtime.ExitError")


async def test_a_gateway_whose_log_is_full_answers(make_pool: MakePool, tmp_path: Path) -> None:
    """The request was answered: that it cannot be noted is no reason to say anything else."""
    (tmp_path / "gateway.log").symlink_to(FULL)
    warnings: list[str] = []
    routes = Routes([("GET", "/things/{id}", "Things")])
    functions = {"Things": make_pool("lambda_handlers.http")}
    gateway = Gateway(routes, functions, tmp_path / "gateway.log", warn=warnings.append)
    await gateway.start()
    try:
        async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=30) as client:
            assert [(await client.get("/things/1")).status_code for _ in range(3)] == [200] * 3
    finally:
        await gateway.stop()
    assert len(warnings) == 1


def test_a_log_is_written_again_when_there_is_room(tmp_path: Path) -> None:
    """Losing lines is warnings once, and that it is over."""
    warnings: list[str] = []
    path = tmp_path / "stack.log"
    path.symlink_to(FULL)
    log = Log(path, warnings.append)
    for _ in range(3):
        log.line("lost")
    path.unlink()
    log.line("kept")
    log.line("kept")
    assert path.read_text("utf-8") == "kept\nkept\n"
    assert [one.removeprefix(f"{path} ") for one in warnings] == [
        "cannot be written, so lines of it are lost: No space left on device",
        "can be written again",
    ]


def test_a_log_that_has_no_place_fails_nobody(tmp_path: Path) -> None:
    """Its folder may be gone, or be a file."""
    (tmp_path / "logs").touch()
    warnings: list[str] = []
    Log(tmp_path / "logs" / "stack.log", warnings.append).line("lost")
    assert len(warnings) == 1


class Failing(QueueClient):
    """A queue that fails in every way before it gives a message."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.errors: list[Exception] = [OSError(28, "No space left on device"), QueueError("down")]

    async def receive(self, queue: str, most: int, wait: int) -> list[dict[str, Any]]:
        """Fail, then give one message, then none."""
        if self.errors:
            raise self.errors.pop(0)
        await asyncio.sleep(0)
        return [{"MessageId": "1", "ReceiptHandle": "1", "Body": "{}"}]


class Raising:
    """A function whose invocation is no answer but an error, until it is asked often enough."""

    def __init__(self) -> None:
        self.asked = 0

    async def invoke(self, event: bytes) -> Answer:
        """Raise."""
        self.asked += 1
        raise OSError(28, "No space left on device")


async def test_a_poller_goes_on_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is warnings what should not be, and the queue goes on being polled, one batch after the other."""
    monkeypatch.setattr("local.poller._PAUSE_SECONDS", 0.0)
    warnings, noted = list[str](), list[str]()
    function, source = Raising(), QueueSource("results", 1, 0, reports_failures=True, max_concurrency=None)
    poller = Poller(
        source, "url", "arn", function, Failing(), max_batches=1, log=noted.append, warn=warnings.append
    )
    poller.start()
    await eventually(lambda: function.asked >= 3)
    await poller.stop(0.0)
    assert warnings[0] == "results could not be polled, trying again: OSError(28, 'No space left on device')"
    assert warnings[1] == "a batch of results failed and has stopped: OSError(28, 'No space left on device')"
    assert noted[0] == "results: down"


async def test_a_schedule_goes_on_whatever_happens() -> None:
    """A run that cannot even be begun is warnings of, and the next one comes."""
    clock, warnings = Clock(3), list[str]()
    function = Raising()
    scheduler = Scheduler(
        [(Schedule("Tidy", "rate(1 minute)"), function)],
        lambda _: None,
        warn=warnings.append,
        clock=lambda: clock.now,
        sleep=clock.sleep,
    )
    scheduler.start()
    await eventually(lambda: function.asked == 4 and len(warnings) == 4)
    await scheduler.stop()
    assert warnings[0] == "the schedule Tidy failed and has stopped: OSError(28, 'No space left on device')"


async def test_a_task_that_fails_warns_at_once() -> None:
    """One that is stopped, or done, is not."""
    warnings: list[str] = []

    async def fail() -> None:
        raise ValueError("broken")

    failing = start_task(fail(), "it", warnings.append)
    done = start_task(asyncio.sleep(0), "another", warnings.append)
    stopped = start_task(asyncio.sleep(timedelta(hours=1).total_seconds()), "a third", warnings.append)
    await asyncio.wait([failing, done])
    stopped.cancel()
    await asyncio.wait([stopped])
    assert warnings == ["it failed and has stopped: ValueError('broken')"]
