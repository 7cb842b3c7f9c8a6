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
from tests.support.processes import function_processes, kill
from tests.support.stack import QUICK, blocks, start, starts, wait_until, wait_until_read
from tests.support.stack_webhooks import StackWebhooks, stack_webhooks

# And then one now and then, until what is to be lost is lost.
BOOKINGS = 24
EXTRA_SECONDS = 0.5
SWEEP_SECONDS = 8
VISIBILITY_SECONDS = 6
SETTLE_SECONDS = 60
KILL_EVERY = 0.3

type Loss = Callable[[StackWebhooks], object]


@pytest.fixture(scope="module")
def webhooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackWebhooks]:
    """A stack that sends again what is silent for a few seconds, and whose calendar lists its blocks."""
    folder, queues = tmp_path_factory.mktemp("lost"), str(free_port())
    variables = {
        "QUEUES_AT": queues,
        "QUEUES_THROUGH": queues,
        "REDELIVER_AFTER_SECONDS": str(SWEEP_SECONDS),
        "OUTBOX_GRACE_SECONDS": "2",
        "CRM_FAILURE_RATE": "0",
    }
    stack = start(folder / "data", QUICK | variables, "tests.support.stack_behind")
    with stack_webhooks(stack, folder / "subscribers", visibility_seconds=VISIBILITY_SECONDS) as made:
        wait_until_read(stack)
        yield made


def queue_process(webhooks: StackWebhooks) -> int | None:
    """Return the process of the queues as they are now."""
    port = webhooks.stack.state["sqs_endpoint"].rpartition(":")[2].encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if any(one.endswith(b"sqs_server.py") for one in words) and port in words:
                    return int(entry.name)
    return None


def kill_queues(webhooks: StackWebhooks) -> None:
    """End the queues with all that is on them, thrice, each time amid blocks that are being made."""
    for _ in range(3):
        wait_until(partial(_has_new_blocks, webhooks, ids(webhooks)), 30, "blocks are made")
        pid = queue_process(webhooks)
        assert pid is not None
        back = times_back(webhooks)
        os.kill(pid, signal.SIGKILL)
        wait_until(partial(_is_back_again, webhooks, back), 20, "the queues are back")


def ids(webhooks: StackWebhooks) -> set[str]:
    """Return the blocks that the calendar holds."""
    return {one["block_id"] for one in blocks(webhooks.stack)}


def _has_new_blocks(webhooks: StackWebhooks, known: set[str]) -> bool:
    return len(ids(webhooks) - known) >= 3


def _is_back_again(webhooks: StackWebhooks, before: int) -> bool:
    return times_back(webhooks) > before


def times_back(webhooks: StackWebhooks) -> int:
    """Return how often the stack has said that a part which ended is ready again."""
    return sum("running again" in line for line in webhooks.stack.said)


@contextmanager
def without_results(webhooks: StackWebhooks) -> Iterator[None]:
    """Kill the function that records results whenever it is there."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(KILL_EVERY):
            for pid in function_processes(webhooks.stack.data, "ResultsFunction"):
                with suppress(ProcessLookupError):
                    kill(pid)

    killer = threading.Thread(target=run)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()


def kill_results(webhooks: StackWebhooks) -> None:
    """Keep results from being recorded until what they tell of has been sent again."""
    with without_results(webhooks):
        wait_until(lambda: sent_again(webhooks) >= 5, 30, "blocks are sent again")


def set_results_aside(webhooks: StackWebhooks) -> None:
    """Have results end among the dead letters, as if nobody had recorded them for an hour."""
    receive(webhooks, most=1, seconds=1)
    with without_results(webhooks):
        wait_until(
            lambda: webhooks.message_count("ResultsDeadLetterQueue") >= 6, 40, "results are dead letters"
        )
    receive(webhooks, most=20, seconds=VISIBILITY_SECONDS)


def receive(webhooks: StackWebhooks, *, most: int, seconds: int) -> None:
    """Let a result be received so often before it is set aside, so many seconds apart."""
    queues = webhooks.stack.state["queues"]
    letters = webhooks.sqs.get_queue_attributes(
        QueueUrl=queues["ResultsDeadLetterQueue"], AttributeNames=["QueueArn"]
    )
    policy = {"deadLetterTargetArn": letters["Attributes"]["QueueArn"], "maxReceiveCount": most}
    webhooks.sqs.set_queue_attributes(
        QueueUrl=queues["ResultsQueue"],
        Attributes={"VisibilityTimeout": str(seconds), "RedrivePolicy": json.dumps(policy)},
    )
    webhooks.sqs.set_queue_attributes(
        QueueUrl=queues["DeliveriesQueue"], Attributes={"VisibilityTimeout": str(seconds)}
    )


def sent_again(webhooks: StackWebhooks) -> int:
    """Return how many blocks that have not ended are in the calendar."""
    there = {(one["coach_id"], one["start_time"]) for one in blocks(webhooks.stack)}
    rows = webhooks.database.execute(
        "SELECT params ->> 'coach_id', params ->> 'start_time' FROM webhook_deliveries"
        " WHERE params ->> 'action' = 'block' AND status = 'pending'"
        "   AND published_at > created_at + %s * interval '1 second'",
        [SWEEP_SECONDS],
    ).fetchall()
    return len(there & set(rows))


def faults(webhooks: StackWebhooks) -> list[str]:
    """Say what is not as it must be once everything has settled."""
    pending, conflicts, unconfirmed, told = webhooks.database.execute(
        "SELECT (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending' AND params ? 'action'),"
        "       (SELECT count(*) FROM coach_appointments WHERE conflict),"
        "       (SELECT count(*) FROM coach_appointments WHERE block_unconfirmed),"
        "       (SELECT count(*) FROM changes WHERE type = 'appointment.conflict')"
    ).fetchall()[0]
    numbers = {"pending": pending, "conflicts": conflicts, "unconfirmed": unconfirmed, "told": told}
    found = [f"{name}: {number}" for name, number in numbers.items() if number]
    wanted = {
        row[0]
        for row in webhooks.database.execute(
            "SELECT external_calendar_id FROM coach_appointments JOIN coaches USING (coach_id)"
            " WHERE status = 'scheduled' AND calendar_kind = 'calendar_api'"
        )
    }
    there = ids(webhooks)
    found += [f"orphan: {one}" for one in there - wanted]
    return found + [f"missing: {one}" for one in wanted - there]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("lose", [kill_queues, kill_results, set_results_aside])
def test_lost_results_make_no_conflict_and_no_orphan(webhooks: StackWebhooks, lose: Loss) -> None:
    """Bookings and cancellations go on meanwhile; in the end every block is one that is wanted, and known."""
    receive(webhooks, most=20, seconds=VISIBILITY_SECONDS)
    times = iter(list(enumerate(one["start_time"] for one in starts(webhooks.stack)[::2])))

    def book(number: int, at: str) -> None:
        answer = webhooks.book(at)
        assert answer.status_code in {201, 409}, answer.text
        if number % 3 == 0 and answer.status_code == 201:
            id_ = answer.json()["appointment_id"]
            assert webhooks.stack.api.post(f"/api/appointments/{id_}/cancel").status_code == 200

    with ThreadPoolExecutor(3) as pool:
        losing = pool.submit(lose, webhooks)

        def go_on() -> None:
            for number, at in times:
                if number >= BOOKINGS and wait([losing], EXTRA_SECONDS).done:
                    return
                book(number, at)

        for booked in [pool.submit(go_on), pool.submit(go_on)]:
            booked.result()
        losing.result()
    settle(webhooks, but=("orphan",))
    report_late(webhooks)
    settle(webhooks)


def settle(webhooks: StackWebhooks, but: tuple[str, ...] = ()) -> None:
    """Wait until all is as it must be, but for what only a result among the dead letters can tell."""
    found: list[str] = []

    def is_well() -> bool:
        found[:] = [one for one in faults(webhooks) if not one.startswith(but)]
        return not found

    with suppress(AssertionError):
        wait_until(is_well, SETTLE_SECONDS, "all is well")
    assert found == []


def report_late(webhooks: StackWebhooks) -> None:
    """Send the results among the dead letters to those who record them, as a person does in the end."""
    state = webhooks.stack.state["queues"]
    url = state["ResultsDeadLetterQueue"]
    while letters := webhooks.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for one in letters:
            webhooks.sqs.send_message(QueueUrl=state["ResultsQueue"], MessageBody=one["Body"])
            webhooks.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
