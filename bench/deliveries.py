"""Deliveries a second of one dispatcher, and the time from queue to subscriber when idle.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.deliveries

The subscriber is a process of its own and answers at once; the queue is the local stand-in over HTTP. The
worker does what Lambda's poller and the function do: receive, attempt, send the results, delete. The time
from the receipt on, which is the function's own, is shown beside the whole.
"""

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.subscriber import subscriber_url
from fairslot.messages.deliveries import Delivery
from fairslot.platform.settings import settings
from local.sqs import SqsStandIn

BACKLOG = 800
IDLE = 40

type Make = Callable[[], Delivery]


def figures() -> Iterator[Figure]:
    """Measure the dispatcher."""
    found = measure()
    rates = {"webhook dispatch, one worker": "rate", "the same, signed for a subscriber": "signed"}
    for name, which in rates.items():
        yield Figure(name=name, value=found[which], unit="/s", goal=150, at_least=True)
    own = f"{found['own_ms']:.2f} ms of it from receipt"
    yield Figure(
        name="queue to subscriber when idle, p50", value=found["p50_ms"], unit="ms", goal=50, note=own
    )


def measure() -> dict[str, float]:
    """Return the deliveries a second, plain and signed, and the milliseconds from queue to subscriber."""
    with tempfile.TemporaryDirectory() as folder, SqsStandIn(Path(folder)) as sqs, subscriber_url() as url:
        os.environ.update(sqs.environment, CRM_WEBHOOK_URL=url)
        worker = Worker(sqs)
        with quiet():
            worker.drain(20)  # imports and connections are not what is measured
            rate = worker.rate()
            waits, own = worker.waits()
            signed = worker.rate(signed_for(sqs, url))
    return {
        "rate": rate,
        "signed": signed,
        "p50_ms": statistics.median(waits) * 1000,
        "p99_ms": statistics.quantiles(waits, n=100)[98] * 1000,
        "own_ms": statistics.median(own) * 1000,
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what the function logs, also by a logger that has the process's stdout already."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def signed_for(sqs: SqsStandIn, url: str) -> Make:
    """Return a maker of deliveries for one subscriber with its own secret."""
    from tests.support.deliveries import KMS_KEY, delivery, subscription

    sqs.make_key(KMS_KEY)
    os.environ.update(WEBHOOK_KMS_KEY_ID=KMS_KEY, WEBHOOK_ALLOW_LOOPBACK_HTTP="true")
    settings.cache_clear()
    one = subscription(url)
    members = {name: getattr(one, name) for name in ("endpoint_id", "url", "secrets")}
    return lambda: replace(delivery("standard"), **members)


class Worker:
    """One sandbox of the function with its poller."""

    def __init__(self, sqs: SqsStandIn) -> None:
        self.sqs = sqs.client()
        self.deliveries = self.sqs.create_queue(QueueName="deliveries")["QueueUrl"]
        self.results = self.sqs.create_queue(QueueName="results")["QueueUrl"]
        os.environ.update(DELIVERIES_QUEUE_URL=self.deliveries, RESULTS_QUEUE_URL=self.results)

    def rate(self, make: Make | None = None) -> float:
        """Return the deliveries a second from a backlog, of the CRM's by default."""
        self.fill(BACKLOG, make)
        begun = time.perf_counter()
        self.work(BACKLOG)
        return BACKLOG / (time.perf_counter() - begun)

    def waits(self) -> tuple[list[float], list[float]]:
        """Return the seconds to each arrival, one delivery at a time: since sending, since receipt."""
        self.arrivals()
        waits, own = [], []
        with ThreadPoolExecutor(1) as pool:
            for _ in range(IDLE):
                work = pool.submit(self.work, 1)
                time.sleep(random.uniform(0.05, 0.25))
                begun = time.monotonic()
                self.fill(1)
                received = work.result()
                (arrival,) = self.arrivals()
                waits.append(arrival - begun)
                own.append(arrival - received)
        return waits, own

    def drain(self, count: int) -> None:
        """Send and deliver `count`."""
        self.fill(count)
        self.work(count)

    def fill(self, count: int, make: Make | None = None) -> None:
        """Send `count` deliveries to the queue."""
        from fairslot.platform import queue
        from tests.support.deliveries import delivery

        queue.send(self.deliveries, [(make or delivery)().to_json() for _ in range(count)])

    def work(self, count: int) -> float:
        """Receive, invoke and delete until `count` are done; return when the last batch was received."""
        from tests.support.lambda_context import context
        from tests.support.sqs_events import received_event
        from webhook_dispatch.app import lambda_handler

        received = 0.0
        while count > 0:
            messages: Any = self.sqs.receive_message(
                QueueUrl=self.deliveries,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=20,
                MessageSystemAttributeNames=["All"],
            ).get("Messages", [])
            received = time.monotonic()
            within = context(60)
            if lambda_handler(received_event(messages), within)["batchItemFailures"]:
                sys.exit("a delivery failed: this measures the good case only")
            entries: Any = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages)
            ]
            self.sqs.delete_message_batch(QueueUrl=self.deliveries, Entries=entries)
            count -= len(messages)
        return received

    def arrivals(self) -> list[float]:
        """Take the results from the queue; return when the subscriber got each, by the monotonic clock."""
        from fairslot.messages.attempts import Attempt

        arrivals = []
        while messages := self.sqs.receive_message(QueueUrl=self.results, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                arrivals.append(float(Attempt.from_json(message["Body"]).answer["crm_id"]))
                self.sqs.delete_message(QueueUrl=self.results, ReceiptHandle=message["ReceiptHandle"])
        return arrivals


if __name__ == "__main__":
    print(measure())
