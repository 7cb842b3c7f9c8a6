"""Queues, polled against the real stand-in and a real function."""

import asyncio
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from local import poller as poller_module
from local.poller import Poller
from local.queue_client import QueueClient, QueueError
from local.sqs import SqsStandIn
from local.template import Queue, QueueSource
from tests.integration.local.conftest import MakePool, eventually

pytestmark = pytest.mark.anyio

_numbers = itertools.count()
KILLS = 12
KILL_EVERY_SECONDS = 0.1

type Send = Callable[..., list[str]]
type Start = Callable[..., Awaitable[Poller]]


class Place:
    """A queue with its dead letters, and the messages that a test sends to it."""

    def __init__(self, sqs: SqsStandIn, folder: Path) -> None:
        number = next(_numbers)
        self._boto = sqs.client()
        self._folder = folder
        self.dead = self._boto.create_queue(QueueName=f"dead-{number}")["QueueUrl"]
        policy = {"deadLetterTargetArn": Queue(f"dead-{number}", {}).arn, "maxReceiveCount": 2}
        self.arn = Queue(f"work-{number}", {}).arn
        attributes: dict[Any, str] = {"VisibilityTimeout": "60", "RedrivePolicy": json.dumps(policy)}
        self.url = self._boto.create_queue(QueueName=f"work-{number}", Attributes=attributes)["QueueUrl"]

    def send(self, *wishes: str) -> list[str]:
        """Send messages, each with what is to be done with it, and return their ids."""
        entries: list[Any] = [
            {"Id": str(place), "MessageBody": json.dumps({"do": wish, "folder": str(self._folder)})}
            for place, wish in enumerate(wishes)
        ]
        sent = self._boto.send_message_batch(QueueUrl=self.url, Entries=entries)["Successful"]
        return [one["MessageId"] for one in sorted(sent, key=lambda one: one["Id"])]

    def counts(self) -> tuple[int, int]:
        """Return how many messages wait, and how many are hidden."""
        names: list[Any] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found: dict[str, str] = self._boto.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)[
            "Attributes"
        ]  # type: ignore[assignment]
        return int(found[names[0]]), int(found[names[1]])

    def set(self, **attributes: str) -> None:
        """Change attributes of the queue."""
        self._boto.set_queue_attributes(QueueUrl=self.url, Attributes=attributes)  # type: ignore[arg-type]

    def show_hidden(self, batch: list[dict[str, Any]]) -> None:
        """Let a batch's messages be seen again, as if the visibility timeout were over."""
        for one in batch:
            self._boto.change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=one["receiptHandle"], VisibilityTimeout=0
            )

    def dead_ids(self) -> list[str]:
        """Return the ids of the messages that were set aside."""
        found = self._boto.receive_message(QueueUrl=self.dead, MaxNumberOfMessages=10).get("Messages", [])
        return [one["MessageId"] for one in found]

    def batches(self) -> list[list[dict[str, Any]]]:
        """Return the records of each batch that the function saw."""
        return [json.loads(path.read_text()) for path in sorted(self._folder.glob("batch-*"))]


@pytest.fixture
def place(sqs: SqsStandIn, tmp_path: Path) -> Place:
    """A queue of its own."""
    return Place(sqs, tmp_path)


@pytest.fixture
async def start(sqs: SqsStandIn, place: Place, make_pool: MakePool) -> AsyncIterator[Start]:
    """Begin to poll the queue; it ends with the test."""
    client = QueueClient(sqs.url)
    pollers: list[Poller] = []

    async def begin(*, max_batches: int = 1, batch_size: int = 10, window: float = 0) -> Poller:
        source = QueueSource("Work", batch_size, window, reports_failures=True, max_concurrency=None)
        pool = make_pool("lambda_handlers.messages", max_processes=max_batches)
        await pool.warm()
        poller = Poller(source, place.url, place.arn, pool, client, max_batches=max_batches, log=print)
        poller.start()
        pollers.append(poller)
        return poller

    yield begin
    for poller in pollers:
        await poller.stop(0)
    await client.close()


async def test_messages_reach_the_function_as_records(place: Place, start: Start) -> None:
    """With the attributes that Lambda gives, and deleted when it is done."""
    ids = place.send("nothing", "nothing")
    await start()
    await eventually(lambda: place.counts() == (0, 0))
    [batch] = place.batches()
    assert [one["messageId"] for one in batch] == ids
    first = batch[0]
    assert (first["eventSource"], first["eventSourceARN"]) == ("aws:sqs", place.arn)
    assert first["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(first["attributes"])


async def test_only_what_the_function_reports_comes_again(place: Place, start: Start) -> None:
    """When it is visible again, with a higher count, and set aside when that is used up."""
    ids = place.send("nothing", "fail", "nothing")
    await start()
    await eventually(lambda: place.counts() == (0, 1))
    place.show_hidden([one for one in place.batches()[0] if one["messageId"] == ids[1]])
    await eventually(lambda: len(place.batches()) == 2)
    [again] = place.batches()[1]
    assert (again["messageId"], again["attributes"]["ApproximateReceiveCount"]) == (ids[1], "2")
    await eventually(lambda: place.counts() == (0, 1))
    place.show_hidden([again])
    await eventually(lambda: place.dead_ids() == [ids[1]])


async def test_a_function_that_fails_has_its_whole_batch_again(place: Place, start: Start) -> None:
    """None is deleted, none is shown before its time."""
    place.send("nothing", "raise")
    poller = await start()
    await eventually(lambda: len(place.batches()) == 1)
    await poller.stop(5)
    assert place.counts() == (0, 2)


async def test_no_more_batches_run_than_may(place: Place, start: Start, tmp_path: Path) -> None:
    """The rest stays in the queue."""
    place.send("hold", "hold", "hold")
    await start(max_batches=2, batch_size=1)
    await eventually(lambda: len(list(tmp_path.glob("held-*"))) == 2)
    assert place.counts() == (1, 2)
    (tmp_path / "go").touch()
    await eventually(lambda: place.counts() == (0, 0))


async def test_messages_gather_while_a_batch_runs(
    place: Place, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch for each would cost an invocation and several calls for each."""
    monkeypatch.setattr(poller_module, "_GATHER_SECONDS", 3.0)
    await start(max_batches=4)
    place.send("hold")
    await eventually(lambda: bool(list(tmp_path.glob("held-*"))))
    for _ in range(3):
        place.send("nothing")
    await eventually(lambda: place.counts() == (0, 1))
    assert sorted(len(batch) for batch in place.batches()) == [1, 3]
    (tmp_path / "go").touch()
    await eventually(lambda: place.counts() == (0, 0))


async def test_nothing_gathers_when_no_batch_runs_or_more_is_waiting(
    place: Place, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message is handled at once after the last batch, and full batches run at the same time."""
    monkeypatch.setattr(poller_module, "_GATHER_SECONDS", 600.0)
    await start(max_batches=2, batch_size=1)
    for _ in range(2):
        place.send("nothing")
        await eventually(lambda: place.counts() == (0, 0))
    place.send("hold", "hold")
    await eventually(lambda: len(list(tmp_path.glob("held-*"))) == 2)
    (tmp_path / "go").touch()
    await eventually(lambda: place.counts() == (0, 0))


async def test_a_window_gathers_what_comes_within_it(place: Place, start: Start) -> None:
    """One batch of all, closed when it is full."""
    await start(batch_size=3, window=5)
    place.send("nothing")
    await eventually(lambda: place.counts() == (0, 1))
    place.send("nothing", "nothing")
    await eventually(lambda: place.counts() == (0, 0))
    assert [len(batch) for batch in place.batches()] == [3]


async def test_a_window_that_the_queue_service_cuts_short_loses_nothing(
    place: Place, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was received before is handled at once, and not once its visibility timeout is over."""
    receive = QueueClient.receive

    async def once(client: QueueClient, queue: str, most: int, wait: int) -> list[dict[str, Any]]:
        if place.counts() == (0, 1):
            raise QueueError("ReceiveMessage: the service is gone")
        return await receive(client, queue, most, wait)

    monkeypatch.setattr(QueueClient, "receive", once)
    await start(batch_size=3, window=5)
    place.send("nothing")
    await eventually(lambda: len(place.batches()) == 1)
    await eventually(lambda: place.counts() == (0, 0))


async def test_messages_come_again_when_their_processes_were_killed(
    place: Place, make_pool: MakePool, sqs: SqsStandIn, tmp_path: Path
) -> None:
    """Every batch's process is killed again and again: each message is handled after its timeout."""
    client, pool = QueueClient(sqs.url), make_pool("lambda_handlers.messages", max_processes=4)
    source = QueueSource("Work", 1, 0, reports_failures=True, max_concurrency=None)
    poller = Poller(source, place.url, place.arn, pool, client, max_batches=4, log=print)
    place.set(VisibilityTimeout="2", RedrivePolicy="")
    place.send(*["hold"] * 6)
    poller.start()
    try:
        killed = set[int]()
        while len(killed) < KILLS:
            await eventually(lambda: bool(pool.pids))
            for pid in pool.pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            await asyncio.sleep(KILL_EVERY_SECONDS)
        (tmp_path / "go").touch()
        await eventually(lambda: place.counts() == (0, 0))
    finally:
        await poller.stop(0)
        await client.close()


async def test_what_is_running_at_a_stop_is_put_back(place: Place, start: Start, tmp_path: Path) -> None:
    """So the next start need not wait for the visibility timeout."""
    place.send("hold")
    poller = await start()
    await eventually(lambda: bool(list(tmp_path.glob("held-*"))))
    await poller.stop(0.01)
    assert place.counts() == (1, 0)
