"""Blocks whose results are lost: nobody is told of a conflict, and no block stays that nobody releases."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from local.processes import free_port
from tests.support.function_processes import kill, processes
from tests.support.webhook_world import World, world_of
from tests.system.conftest import CALM, start, wait_until
from tests.system.test_journey import blocks, starts

# And then one now and then, until what is to be lost is lost.
BOOKINGS = 24
EXTRA_SECONDS = 0.5
SWEEP_SECONDS = 4
VISIBILITY_SECONDS = 6
SETTLE_SECONDS = 60
KILL_EVERY = 0.3

type Loss = Callable[[World], object]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A stack that sends again what is silent for a few seconds, and whose calendar lists its blocks."""
    folder, queues = tmp_path_factory.mktemp("lost"), str(free_port())
    variables = {
        "QUEUES_AT": queues,
        "QUEUES_THROUGH": queues,
        "REDELIVER_AFTER_SECONDS": str(SWEEP_SECONDS),
        "OUTBOX_GRACE_SECONDS": "2",
        "CRM_FAILURE_RATE": "0",
    }
    stack = start(folder / "data", CALM | variables, "tests.support.stack_behind")
    with world_of(stack, folder / "subscribers", visibility_seconds=VISIBILITY_SECONDS) as made:
        wait_until(lambda: len(starts(stack)) > 200, 60, "the calendars are read")
        yield made


def queue_process(world: World) -> int | None:
    """Return the process of the queues as they are now."""
    port = world.stack.state["sqs_endpoint"].rpartition(":")[2].encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if any(one.endswith(b"sqs_server.py") for one in words) and port in words:
                    return int(entry.name)
    return None


def kill_queues(world: World) -> None:
    """End the queues with all that is on them, thrice, each time amid blocks that are being made."""
    for _ in range(3):
        wait_until(partial(_has_new_blocks, world, ids(world)), 30, "blocks are made")
        pid = queue_process(world)
        assert pid is not None
        back = times_back(world)
        os.kill(pid, signal.SIGKILL)
        wait_until(partial(_is_back_again, world, back), 20, "the queues are back")


def ids(world: World) -> set[str]:
    """Return the blocks that the calendar holds."""
    return {one["block_id"] for one in blocks(world.stack)}


def _has_new_blocks(world: World, known: set[str]) -> bool:
    return len(ids(world) - known) >= 3


def _is_back_again(world: World, before: int) -> bool:
    return times_back(world) > before


def times_back(world: World) -> int:
    """Return how often the stack has said that a part which ended is ready again."""
    return sum("running again" in line for line in world.stack.said)


@contextmanager
def without_results(world: World) -> Iterator[None]:
    """Kill the function that records results whenever it is there."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(KILL_EVERY):
            for pid in processes(world.stack.data, "ResultsFunction"):
                with suppress(ProcessLookupError):
                    kill(pid)

    killer = threading.Thread(target=run)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()


def kill_results(world: World) -> None:
    """Keep results from being recorded until what they tell of has been sent again."""
    with without_results(world):
        wait_until(lambda: sent_again(world) >= 5, 30, "blocks are sent again")


def set_results_aside(world: World) -> None:
    """Have results end among the dead letters, as if nobody had recorded them for an hour."""
    receive(world, most=1, seconds=1)
    with without_results(world):
        wait_until(lambda: world.waiting("ResultsDeadLetterQueue") >= 6, 40, "results are dead letters")
    receive(world, most=20, seconds=VISIBILITY_SECONDS)


def receive(world: World, *, most: int, seconds: int) -> None:
    """Let a result be received so often before it is set aside, so many seconds apart."""
    queues = world.stack.state["queues"]
    letters = world.sqs.get_queue_attributes(
        QueueUrl=queues["ResultsDeadLetterQueue"], AttributeNames=["QueueArn"]
    )
    policy = {"deadLetterTargetArn": letters["Attributes"]["QueueArn"], "maxReceiveCount": most}
    world.sqs.set_queue_attributes(
        QueueUrl=queues["ResultsQueue"],
        Attributes={"VisibilityTimeout": str(seconds), "RedrivePolicy": json.dumps(policy)},
    )
    world.sqs.set_queue_attributes(
        QueueUrl=queues["DeliveriesQueue"], Attributes={"VisibilityTimeout": str(seconds)}
    )


def sent_again(world: World) -> int:
    """Return how many blocks that have not ended are in the calendar."""
    there = {(one["coach_id"], one["start_time"]) for one in blocks(world.stack)}
    rows = world.database.execute(
        "SELECT params ->> 'coach_id', params ->> 'start_time' FROM webhook_deliveries"
        " WHERE params ->> 'action' = 'block' AND status = 'pending'"
        "   AND published_at > created_at + %s * interval '1 second'",
        [SWEEP_SECONDS],
    ).fetchall()
    return len(there & set(rows))


def faults(world: World) -> list[str]:
    """Say what is not as it must be once everything has settled."""
    pending, conflicts, unconfirmed, told = world.database.execute(
        "SELECT (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending' AND params ? 'action'),"
        "       (SELECT count(*) FROM coach_appointments WHERE conflict),"
        "       (SELECT count(*) FROM coach_appointments WHERE block_unconfirmed),"
        "       (SELECT count(*) FROM webhook_events WHERE type = 'appointment.conflict')"
    ).fetchall()[0]
    numbers = {"pending": pending, "conflicts": conflicts, "unconfirmed": unconfirmed, "told": told}
    found = [f"{name}: {number}" for name, number in numbers.items() if number]
    wanted = {
        row[0]
        for row in world.database.execute(
            "SELECT external_calendar_id FROM coach_appointments JOIN coaches USING (coach_id)"
            " WHERE status = 'scheduled' AND calendar_kind = 'calendar_api'"
        )
    }
    there = ids(world)
    found += [f"orphan: {one}" for one in there - wanted]
    return found + [f"missing: {one}" for one in wanted - there]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("lose", [kill_queues, kill_results, set_results_aside])
def test_lost_results_make_no_conflict_and_no_orphan(world: World, lose: Loss) -> None:
    """Bookings and cancellations go on meanwhile; in the end every block is one that is wanted, and known."""
    receive(world, most=20, seconds=VISIBILITY_SECONDS)
    times = iter(list(enumerate(one["start_time"] for one in starts(world.stack)[::2])))

    def book(number: int, at: str) -> None:
        answer = world.book(at)
        assert answer.status_code in {201, 409}, answer.text
        if number % 3 == 0 and answer.status_code == 201:
            id_ = answer.json()["appointment_id"]
            assert world.stack.api.post(f"/api/appointments/{id_}/cancel").status_code == 200

    with ThreadPoolExecutor(3) as pool:
        losing = pool.submit(lose, world)

        def go_on() -> None:
            for number, at in times:
                if number >= BOOKINGS and wait([losing], EXTRA_SECONDS).done:
                    return
                book(number, at)

        for booked in [pool.submit(go_on), pool.submit(go_on)]:
            booked.result()
        losing.result()
    settle(world, but=("orphan",))
    report_late(world)
    settle(world)


def settle(world: World, but: tuple[str, ...] = ()) -> None:
    """Wait until all is as it must be, but for what only a result among the dead letters can tell."""
    found: list[str] = []

    def is_well() -> bool:
        found[:] = [one for one in faults(world) if not one.startswith(but)]
        return not found

    with suppress(AssertionError):
        wait_until(is_well, SETTLE_SECONDS, "all is well")
    assert found == []


def report_late(world: World) -> None:
    """Send the results among the dead letters to those who record them, as a person does in the end."""
    state = world.stack.state["queues"]
    url = state["ResultsDeadLetterQueue"]
    while letters := world.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for one in letters:
            world.sqs.send_message(QueueUrl=state["ResultsQueue"], MessageBody=one["Body"])
            world.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
