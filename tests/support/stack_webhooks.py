"""A running stack with its database, its queues and subscribers that were made by its API."""

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import boto3
import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from fairslot.platform import queue
from fairslot.webhooks import outbox, publishing, redrive
from local.sqs import REGION
from tests.support.environment import clear_caches
from tests.support.queues import message_counts
from tests.support.stack import Stack, book, stop, wait_until
from tests.support.subscriber_process import Subscribers, subscribers
from tests.support.webhook_checker import faults, pending

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Maintenance hides dead letters that it looks at for two minutes, and here for as long as it takes.
DEAD_LETTERS_SECONDS = 150.0
HIDE_SECONDS = 5
MARK_SECONDS = 10.0
# Without a pause the repetitions alone would use up what a key is allowed.
PAUSE_SECONDS = 0.1
# Enough that the functions never wait for a message.
EMITTED_AT_ONCE = 100
MOST_WAITING = 1_000
AWS = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


@dataclass(frozen=True)
class StackWebhooks:
    """A stack, its database, its queues and its subscribers."""

    stack: Stack
    database: psycopg.Connection[Any]
    sqs: "SQSClient"
    others: Subscribers

    def subscribe(self, *paths: str, at: str | None = None) -> dict[str, UUID]:
        """Make an endpoint by the API for each path, `behaviour/name`, or address; each with its secret."""
        made = {}
        for path in paths:
            name = path.rpartition("/")[2]
            url = path if "://" in path else f"{at or self.others.url}/{path}"
            body = {"url": url, "event_types": ["appointment.*"], "description": name}
            answer = self.stack.api.post("/api/webhook-endpoints", json=body)
            assert answer.status_code == 201, answer.text
            self.others.learn(name, answer.json()["secret"])
            made[path] = UUID(answer.json()["endpoint_id"])
        return made

    def unsubscribe(self, *endpoints: UUID) -> None:
        """Turn endpoints off, so that later events are not theirs, and throw the dead letters away."""
        for endpoint in endpoints:
            answer = self.stack.api.patch(f"/api/webhook-endpoints/{endpoint}", json={"enabled": False})
            assert answer.status_code == 200, answer.text
        self.sqs.purge_queue(QueueUrl=self.stack.state["queues"]["DeliveriesDeadLetterQueue"])

    def faults(self, endpoints: Sequence[UUID]) -> list[str]:
        """Compare database, dead letters and what was taken, once every message has come to its end."""
        wait_until(lambda: self.message_count("DeliveriesQueue") == 0, 60, "no delivery is on the queue")
        found: list[str] = []

        def well() -> bool:  # the last results may not be recorded yet
            self.mark_dead_letters()
            found[:] = faults(self.database, endpoints, self.others.taken(), self.dead_letters())
            return not found

        try:
            wait_until(well, 15, "all is well")
        except AssertionError:
            return found
        return [f"{n} results set aside" for n in [self.message_count("ResultsDeadLetterQueue")] if n]

    def message_count(self, name: str) -> int:
        """Return how many messages a queue has, visible or not."""
        return sum(self._counts(name))

    def _counts(self, name: str) -> tuple[int, int, int]:
        return message_counts(self.sqs, self.stack.state["queues"][name])

    def dead_letters(self) -> list[str]:
        """Return the bodies of the dead letters, which stay."""
        url = self.stack.state["queues"]["DeliveriesDeadLetterQueue"]
        found: dict[str, str] = {}

        def all_seen() -> bool:
            answer = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=HIDE_SECONDS
            )
            while messages := answer.get("Messages"):
                found.update((one["MessageId"], one["Body"]) for one in messages)
                answer = self.sqs.receive_message(
                    QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=HIDE_SECONDS
                )
            return len(found) >= self.message_count("DeliveriesDeadLetterQueue")

        wait_until(all_seen, DEAD_LETTERS_SECONDS, "all dead letters are seen")
        return list(found.values())

    def mark_dead_letters(self) -> None:
        """Mark deliveries of dead letters failed, as maintenance does every five minutes."""
        if self.message_count("DeliveriesDeadLetterQueue"):
            redrive.mark_dead_letters_failed(now=datetime.now(UTC))

    def emit(self, count: int, endpoints: Sequence[UUID]) -> None:
        """Write so many events, each with a delivery for every endpoint, and have them sent in turn.

        They are written as fast as they are taken: each call makes the stand-in look through all that it has,
        so a queue that is five times as long makes everything five times as slow.
        """
        for first in range(1, count + 1, EMITTED_AT_ONCE):
            self.database.execute(
                "WITH made AS ("
                "  INSERT INTO changes (change_id, tenant_id, type, appointment_id, version, after, told)"
                "  SELECT uuidv7(), 'default', 'appointment.updated', appointment_id, number,"
                "         jsonb_populate_record(NULL::appointment_image,"
                "                               jsonb_build_object('appointment_id', appointment_id)), true"
                "    FROM (SELECT number, uuidv7() AS appointment_id"
                "            FROM generate_series(%s::integer, %s::integer) AS number) AS one"
                "  RETURNING change_id, version)"
                " INSERT INTO webhook_deliveries (event_id, endpoint_id, created_at)"
                " SELECT change_id, endpoint_id, now() + version * interval '1 microsecond'"
                "   FROM made CROSS JOIN unnest(%s::uuid[]) AS endpoint_id",
                [first, min(first + EMITTED_AT_ONCE - 1, count), list(endpoints)],
            )
            while self.sweep():
                pass
            wait_until(lambda: self._counts("DeliveriesQueue")[0] < MOST_WAITING, 60, "the queue is short")

    def recorded(self, endpoints: Sequence[UUID]) -> list[tuple[Any, ...]]:
        """Return what is recorded of the deliveries to endpoints and of all attempts at them."""
        return self.database.execute(
            "SELECT a.*, status, finished_at FROM webhook_deliveries"
            "  LEFT JOIN webhook_attempts AS a USING (delivery_id)"
            " WHERE endpoint_id = ANY (%s) ORDER BY webhook_deliveries.delivery_id, a.attempt, a.at",
            [list(endpoints)],
        ).fetchall()

    def repeat_results(self, endpoints: Sequence[UUID], times: int) -> None:
        """Put the results of all attempts on their queue again, so many times, in any order."""
        results = [
            json.dumps(result)
            for (result,) in self.database.execute(
                "SELECT to_jsonb(a) || jsonb_build_object('event_id', event_id, 'kind', 'standard',"
                "         'type', 'appointment.updated', 'answer', '{}'::jsonb)"
                "  FROM webhook_attempts AS a JOIN webhook_deliveries USING (delivery_id)"
                " WHERE endpoint_id = ANY (%s)",
                [list(endpoints)],
            )
        ] * times
        random.shuffle(results)
        queue.send(self.stack.state["queues"]["ResultsQueue"], results)

    def sweep(self) -> int:
        """Do what maintenance does every minute."""
        url = self.stack.state["database_url"]
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as other:
            return outbox.sweep(other, send=publishing.send_deliveries, now=datetime.now(UTC), limit=100)

    def settle(self, endpoints: Sequence[UUID], seconds: float) -> None:
        """Wait until every delivery has ended, doing what maintenance does meanwhile."""
        marks_at = time.monotonic() + MARK_SECONDS

        def ended() -> bool:
            nonlocal marks_at
            self.sweep()
            if time.monotonic() > marks_at:
                self.mark_dead_letters()
                marks_at = time.monotonic() + MARK_SECONDS
            return pending(self.database, endpoints) == 0

        wait_until(ended, seconds, "every delivery has ended")

    def book(self, at: str, email: str = "customer@example.com") -> httpx.Response:
        """Book as a good client does: under the same key again after a 5xx, for half a minute."""
        key, deadline = str(uuid4()), time.monotonic() + 30
        while True:
            answer = book(self.stack, at, key=key, contact_email=email)
            in_progress = answer.status_code >= 500 or answer.json().get("error") == "IDEMPOTENCY_IN_PROGRESS"
            if not in_progress or time.monotonic() > deadline:
                return answer
            time.sleep(PAUSE_SECONDS)


@contextmanager
def stack_webhooks(stack: Stack, folder: Path, *, visibility_seconds: int) -> Iterator[StackWebhooks]:
    """Open a stack for tests of webhooks, which ends with it, and this process one that maintains it.

    The queues give messages of killed functions back after so many seconds.
    """
    state = stack.state
    urls = {
        "AWS_ENDPOINT_URL": state["sqs_endpoint"],
        "DATABASE_URL": state["database_url"],
        "DELIVERIES_QUEUE_URL": state["queues"]["DeliveriesQueue"],
        "DELIVERIES_DEAD_LETTER_QUEUE_URL": state["queues"]["DeliveriesDeadLetterQueue"],
        "OUTBOX_GRACE_SECONDS": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (AWS | urls).items():
            patch.setenv(name, value)
        patch.setattr(queue, "HIDE_SECONDS", HIDE_SECONDS)
        clear_caches()
        try:
            with (
                closing(boto3.client("sqs")) as sqs,
                psycopg.connect(state["database_url"], autocommit=True) as database,
                subscribers(folder) as others,
            ):
                for name in ("DeliveriesQueue", "ResultsQueue"):
                    sqs.set_queue_attributes(
                        QueueUrl=state["queues"][name],
                        Attributes={"VisibilityTimeout": str(visibility_seconds)},
                    )
                yield StackWebhooks(stack, database, sqs, others)
        finally:
            clear_caches()
            stop(stack)
