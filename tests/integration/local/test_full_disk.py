"""A disk that is full costs log lines and nothing else, and what goes on no more is told."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.gateway import Gateway
from local.logs import Log, watched
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
    """Neither its own lines nor those about it make an invocation fail; a person is told once."""
    (tmp_path / "function.log").symlink_to(FULL)
    told: list[str] = []
    pool = make_pool("lambda_handlers.answer", most=1, tell=told.append)
    for _ in range(3):
        answer = await pool.invoke(json.dumps({"do": "say", "words": "x" * 100_000}).encode())
        assert answer.error is None, answer
    assert told == [f"{tmp_path / 'function.log'} cannot be written, lines are lost: No space left on device"]


async def test_what_a_function_says_is_in_its_log(make_pool: MakePool, tmp_path: Path) -> None:
    """Whole, in order, and the last words of one that ends too."""
    pool = make_pool("lambda_handlers.answer", most=1)
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
    told: list[str] = []
    routes = Routes([("GET", "/things/{id}", "Things")])
    functions = {"Things": make_pool("lambda_handlers.http")}
    gateway = Gateway(routes, functions, tmp_path / "gateway.log", tell=told.append)
    await gateway.start()
    try:
        async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=30) as client:
            assert [(await client.get("/things/1")).status_code for _ in range(3)] == [200] * 3
    finally:
        await gateway.stop()
    assert len(told) == 1


def test_a_log_is_written_again_when_there_is_room(tmp_path: Path) -> None:
    """Losing lines is told once, and that it is over."""
    told: list[str] = []
    path = tmp_path / "stack.log"
    path.symlink_to(FULL)
    log = Log(path, told.append)
    for _ in range(3):
        log.line("lost")
    path.unlink()
    log.line("kept")
    log.line("kept")
    assert path.read_text("utf-8") == "kept\nkept\n"
    assert [one.removeprefix(f"{path} ") for one in told] == [
        "cannot be written, lines are lost: No space left on device",
        "is written again",
    ]


def test_a_log_that_has_no_place_fails_nobody(tmp_path: Path) -> None:
    """Its folder may be gone, or be a file."""
    (tmp_path / "logs").touch()
    told: list[str] = []
    Log(tmp_path / "logs" / "stack.log", told.append).line("lost")
    assert len(told) == 1


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
    """It is told what should not be, and the queue goes on being polled, one batch after the other."""
    monkeypatch.setattr("local.poller._PAUSE_SECONDS", 0.0)
    told, noted = list[str](), list[str]()
    function, source = Raising(), QueueSource("results", 1, 0, reports_failures=True, most_at_once=None)
    poller = Poller(source, "url", "arn", function, Failing(), most=1, note=noted.append, tell=told.append)
    poller.start()
    await eventually(lambda: function.asked >= 3)
    await poller.stop(0.0)
    assert told[0] == "results could not be polled: OSError(28, 'No space left on device')"
    assert told[1] == "a batch of results has ended: OSError(28, 'No space left on device')"
    assert noted[0] == "results: down"


async def test_a_schedule_goes_on_whatever_happens() -> None:
    """A run that cannot even be begun is told of, and the next one comes."""
    clock, told = Clock(3), list[str]()
    function = Raising()
    scheduler = Scheduler(
        [(Schedule("Tidy", "rate(1 minute)"), function)],
        lambda _: None,
        tell=told.append,
        clock=lambda: clock.now,
        sleep=clock.sleep,
    )
    scheduler.start()
    await eventually(lambda: function.asked == 4 and len(told) == 4)
    await scheduler.stop()
    assert told[0] == "the schedule Tidy has ended: OSError(28, 'No space left on device')"


async def test_a_task_that_ends_by_an_error_is_told_of_at_once() -> None:
    """One that is stopped, or done, is not."""
    told: list[str] = []

    async def fail() -> None:
        raise ValueError("broken")

    failing = watched(fail(), "it", told.append)
    done = watched(asyncio.sleep(0), "another", told.append)
    stopped = watched(asyncio.sleep(timedelta(hours=1).total_seconds()), "a third", told.append)
    await asyncio.wait([failing, done])
    stopped.cancel()
    await asyncio.wait([stopped])
    assert told == ["it has ended: ValueError('broken')"]
