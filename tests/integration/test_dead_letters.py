"""Messages that SQS set aside: their deliveries are failed with a reason, and sent again on demand."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from background import maintenance
from fairslot.domain.idempotency import ChangeResult
from fairslot.platform import queue
from fairslot.platform.db import Connection
from fairslot.webhooks import redrive
from local.processes import library_path
from local.sqs import SqsStandIn
from tests.support.attempts import record_attempt
from tests.support.bookings import book
from tests.support.clock import DAY, NOW, SECOND
from tests.support.endpoints import add_endpoint, set_delivery, set_endpoint
from tests.support.lambda_context import context
from tests.support.queues import message_counts, take_bodies
from tests.support.team import add_team

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

LATER = NOW + DAY


class Parts:
    """A deliveries queue whose messages are set aside when they are received a second time."""

    def __init__(self, sqs: "SQSClient") -> None:
        name = uuid4().hex
        self._sqs = sqs
        self.aside = sqs.create_queue(QueueName=f"{name}-aside")["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=self.aside, AttributeNames=["QueueArn"])
        policy = {"deadLetterTargetArn": found["Attributes"]["QueueArn"], "maxReceiveCount": "1"}
        self.deliveries = sqs.create_queue(
            QueueName=name, Attributes={"VisibilityTimeout": "0", "RedrivePolicy": json.dumps(policy)}
        )["QueueUrl"]

    def send(self, body: str) -> None:
        """Put a message on the deliveries queue."""
        self._sqs.send_message(QueueUrl=self.deliveries, MessageBody=body)

    def take(self) -> list[dict[str, Any]]:
        """Take what is on the deliveries queue."""
        return [json.loads(body) for body in take_bodies(self._sqs, self.deliveries)]

    def die(self) -> None:
        """Receive everything as a dispatcher that dies at it would, until SQS sets it aside."""
        while self._sqs.receive_message(QueueUrl=self.deliveries, MaxNumberOfMessages=10).get("Messages"):
            pass

    def read(self, seconds: int) -> list[str]:
        """Receive dead letters as another reader would, hidden for so long; return their handles."""
        found = self._sqs.receive_message(
            QueueUrl=self.aside, MaxNumberOfMessages=10, VisibilityTimeout=seconds
        )
        return [one["ReceiptHandle"] for one in found.get("Messages", [])]

    def set_aside(self) -> int:
        """Return how many messages the dead-letter queue holds."""
        return sum(message_counts(self._sqs, self.aside))


@pytest.fixture
def parts(connection: Connection, environment: Callable[..., None], sqs: SqsStandIn) -> Iterator[Parts]:
    """A team, the CRM, and the two queues."""
    add_team(connection, 3)
    add_endpoint(connection, "crm", "appointment.*")
    client = sqs.client()
    made = Parts(client)
    environment(
        **sqs.environment,
        DELIVERIES_QUEUE_URL=made.deliveries,
        DELIVERIES_DEAD_LETTER_QUEUE_URL=made.aside,
    )
    yield made
    client.close()


def lose(parts: Parts, *changes: ChangeResult) -> list[dict[str, Any]]:
    """Have the messages of changes end as dead letters with no result."""
    messages = [message for change in changes for message in change.messages]
    for message in messages:
        parts.send(json.dumps(message))
    parts.die()
    assert parts.set_aside() == len(messages)
    return messages


def states(connection: Connection) -> list[tuple[str, str | None, int]]:
    """Return status, reason and round of the deliveries in the order in which they were made."""
    rows = connection.execute("SELECT status, reason, round FROM webhook_deliveries ORDER BY delivery_id")
    return [(row["status"], row["reason"], row["round"]) for row in rows]


def test_a_delivery_that_nobody_heard_of_again_is_failed(connection: Connection, parts: Parts) -> None:
    """Without a result it is marked with a reason, and its message stays for whoever looks."""
    lose(parts, book(connection))
    done = maintenance.lambda_handler({"task": "dead_letters"}, context())
    assert done == {"failed": 1, "settled": 0, "sent": 0, "left": 1, "hidden": 0}
    assert states(connection) == [("failed", "dead_letter", 1)]
    assert parts.set_aside() == 1


def test_a_recorded_reason_stays(connection: Connection, parts: Parts) -> None:
    """What the last attempt said is worth more than where the message ended, also if it is recorded later."""
    first, second = lose(parts, book(connection), book(connection))
    record_attempt(connection, first, "http_503")
    redrive.mark_dead_letters_failed(now=LATER)
    assert states(connection) == [("failed", "http_503", 1), ("failed", "dead_letter", 1)]
    record_attempt(connection, second, "timeout")
    assert states(connection)[1] == ("failed", "timeout", 1)


def test_what_is_settled_is_taken_away(connection: Connection, parts: Parts) -> None:
    """The queue holds what failed and nothing that was delivered after all."""
    messages = lose(parts, book(connection), book(connection))
    record_attempt(connection, messages[0])
    assert redrive.mark_dead_letters_failed(now=LATER) == {
        "failed": 1,
        "settled": 1,
        "sent": 0,
        "left": 1,
        "hidden": 0,
    }
    assert parts.set_aside() == 1


def test_a_redrive_sends_what_failed_again(connection: Connection, parts: Parts) -> None:
    """Each delivery goes out once more with the same ids, and the dead-letter queue is empty."""
    messages = lose(parts, book(connection), book(connection))
    parts.send(json.dumps(messages[0]))
    parts.die()
    done = maintenance.lambda_handler({"task": "redrive"}, context())
    assert done == {"failed": 2, "settled": 1, "sent": 2, "left": 0, "hidden": 0}
    assert parts.set_aside() == 0
    assert states(connection) == [("pending", None, 2)] * 2
    sent = {one["delivery_id"]: one for one in parts.take()}
    assert sent == {one["delivery_id"]: one | {"round": 2} for one in messages}
    record_attempt(connection, messages[0] | {"round": 2}, at=LATER + SECOND)
    assert states(connection)[0] == ("delivered", None, 2)


def test_a_letter_of_an_earlier_round_says_nothing(connection: Connection, parts: Parts) -> None:
    """A replay under way is not failed by the message of the round before."""
    (message,) = lose(parts, book(connection))
    record_attempt(connection, message, "timeout")
    set_delivery(connection, status="pending", round=2)
    assert redrive.mark_dead_letters_failed(now=LATER) == {
        "failed": 0,
        "settled": 1,
        "sent": 0,
        "left": 0,
        "hidden": 0,
    }
    assert states(connection)[0][0] == "pending"


def test_what_nobody_can_read_or_receive_stays(connection: Connection, parts: Parts) -> None:
    """Broken messages, strangers and those for an endpoint that is off are left for a person."""
    (message,) = lose(parts, book(connection))
    for body in ("{", "[]", '{"delivery_id": 5}', json.dumps({"delivery_id": str(uuid4())})):
        parts.send(body)
    parts.send(json.dumps(message | {"round": 10**30}))
    parts.die()
    set_endpoint(connection, enabled=False)
    assert redrive.redrive(now=LATER) == {"failed": 1, "settled": 0, "sent": 0, "left": 6, "hidden": 0}
    assert parts.set_aside() == 6
    assert parts.take() == []


def test_the_command_says_what_it_did(
    connection: Connection, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m fairslot.webhooks.redrive` does the same and prints the numbers."""
    lose(parts, book(connection))
    redrive.main()
    assert capsys.readouterr().out.splitlines()[-1] == "failed 1, settled 0, sent 1, left 0, hidden 0"
    assert parts.set_aside() == 0


def test_what_the_task_leaves_can_be_sent_at_once(connection: Connection, parts: Parts) -> None:
    """Who redrives in the minutes after the five-minute task finds every letter."""
    lose(parts, *(book(connection) for _ in range(3)))
    assert redrive.mark_dead_letters_failed(now=LATER) == {
        "failed": 3,
        "settled": 0,
        "sent": 0,
        "left": 3,
        "hidden": 0,
    }
    assert redrive.redrive(now=LATER) == {"failed": 0, "settled": 0, "sent": 3, "left": 0, "hidden": 0}


def test_what_nobody_could_judge_can_be_read_at_once(connection: Connection, parts: Parts) -> None:
    """Where the database fails half-way, no letter is hidden from the next reading."""
    lose(parts, book(connection))
    connection.execute("ALTER TABLE webhook_deliveries RENAME TO gone")
    with pytest.raises(psycopg.Error):
        redrive.redrive(now=LATER)
    connection.execute("ALTER TABLE gone RENAME TO webhook_deliveries")
    assert redrive.redrive(now=LATER) == {"failed": 1, "settled": 0, "sent": 1, "left": 0, "hidden": 0}


def test_letters_that_another_reader_has_are_told_of(
    connection: Connection, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hidden are counted, and it is said what to do: there is never nothing while letters are there."""
    lose(parts, book(connection), book(connection))
    assert len(parts.read(60)) == 2
    redrive.main()
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "failed 0, settled 0, sent 0, left 0, hidden 2"
    assert said.err == "About 2 dead letters are hidden by another reader: run this again in 2 minutes.\n"


def test_a_long_reading_meets_no_letter_twice(
    connection: Connection, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends, and counts each once, also where what it left is visible again before its end."""
    lose(parts, book(connection), book(connection))
    monkeypatch.setattr(queue, "HIDE_SECONDS", 0)
    monkeypatch.setattr(redrive, "LIMIT", 100)
    set_endpoint(connection, enabled=False)
    assert redrive.redrive(now=LATER) == {"failed": 2, "settled": 0, "sent": 0, "left": 2, "hidden": 0}
    assert parts.set_aside() == 2


def test_a_reading_ends_in_its_time(connection: Connection, parts: Parts) -> None:
    """What the function has no time for is left to the next one, and hidden from nobody."""
    lose(parts, book(connection))
    over = time.monotonic()
    assert redrive.redrive(now=LATER, deadline=over)["sent"] == 0
    assert redrive.redrive(now=LATER, deadline=over + 60)["sent"] == 1


@pytest.mark.parametrize(
    "missing", ["DATABASE_URL", "DELIVERIES_QUEUE_URL", "DELIVERIES_DEAD_LETTER_QUEUE_URL"]
)
def test_the_command_says_what_it_was_not_told(
    connection: Connection, parts: Parts, environment: Callable[..., None], missing: str
) -> None:
    """Where an address is missing it fails, instead of reporting that there was nothing to do."""
    lose(parts, book(connection))
    environment(**{missing: ""})
    with pytest.raises(SystemExit, match=f"nothing was done: set {missing};"):
        redrive.main()
    assert parts.set_aside() == 1


def test_the_local_stacks_letters_are_sent_by_make(
    connection: Connection, parts: Parts, sqs: SqsStandIn, functions_url: str, tmp_path: Path, root: Path
) -> None:
    """`make redrive` finds the stack by its data, or says there is none."""
    lose(parts, book(connection))
    command = ["make", "--no-print-directory", "redrive"]
    environment = {
        **library_path(),
        "PATH": os.environ["PATH"],
        "FAIRSLOT_DATA": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    none = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert none.returncode != 0
    assert "no local stack is running" in none.stderr
    state = {
        "pid": os.getpid(),
        "functions_database_url": functions_url,
        "sqs_endpoint": sqs.endpoint_url,
        "queues": {"DeliveriesQueue": parts.deliveries, "DeliveriesDeadLetterQueue": parts.aside},
    }
    (tmp_path / "stack.json").write_text(json.dumps(state), "utf-8")
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "failed 1, settled 0, sent 1, left 0, hidden 0"
    assert parts.set_aside() == 0
    assert len(parts.take()) == 1
