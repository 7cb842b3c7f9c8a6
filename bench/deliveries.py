"""How fast one dispatcher is: deliveries a second, and the way from queue to subscriber when idle.

    PYTHONPATH=functions:layers/common:. .venv/bin/python bench/deliveries.py

The subscriber is a process of its own and answers at once, with its clock as the CRM's id; the queue is the
local stand-in over HTTP. The worker does all that Lambda's poller and the function do: receive, attempt, send
the results, delete. When idle, the stand-in looks into its queue every 100 ms only, so messages are sent at
no fixed moment of its round, and the share of the way that is the function's own is shown beside the whole.
"""

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairslot.messages.deliveries import Delivery
from fairslot.platform.settings import settings
from local.sqs import SqsStandIn

BACKLOG = 1_500
IDLE = 100

type Make = Callable[[], Delivery]


def main() -> None:
    """Print the figures."""
    print(figures())


def figures() -> dict[str, float]:
    """Return the deliveries a second, plain and signed, and the milliseconds from queue to subscriber."""
    with tempfile.TemporaryDirectory() as folder, SqsStandIn(Path(folder)) as sqs, subscriber_url() as url:
        os.environ.update(sqs.environment, CRM_WEBHOOK_URL=url)
        worker = Worker(sqs)
        with Path(os.devnull).open("w") as quiet, redirect_stdout(quiet):
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
def subscriber_url() -> Iterator[str]:
    """Run the subscriber."""
    command = [sys.executable, __file__, "subscriber"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # this file
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip() if process.stdout else ''}"
    finally:
        process.kill()
        process.communicate()


def signed_for(sqs: SqsStandIn, url: str) -> Make:
    """Return what makes deliveries for one subscriber with a secret of its own."""
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
        """Return the deliveries a second from a backlog, of the CRM's if no others are made."""
        self.fill(BACKLOG, make)
        begun = time.perf_counter()
        self.work(BACKLOG)
        return BACKLOG / (time.perf_counter() - begun)

    def waits(self) -> tuple[list[float], list[float]]:
        """Return the seconds to each arrival, one at a time: from before its sending and from its receipt."""
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
        """Send and deliver so many."""
        self.fill(count)
        self.work(count)

    def fill(self, count: int, make: Make | None = None) -> None:
        """Send so many deliveries."""
        from fairslot.platform import queue
        from tests.support.deliveries import delivery

        queue.send(self.deliveries, [(make or delivery)().to_json() for _ in range(count)])

    def work(self, count: int) -> float:
        """Receive, invoke and delete until so many are done; return when the last batch was received."""
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
        """Take the results out and return when the subscriber got each, by its monotonic clock."""
        from fairslot.messages.attempts import Attempt

        arrivals = []
        while messages := self.sqs.receive_message(QueueUrl=self.results, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                arrivals.append(float(Attempt.from_json(message["Body"]).answer["crm_id"]))
                self.sqs.delete_message(QueueUrl=self.results, ReceiptHandle=message["ReceiptHandle"])
        return arrivals


async def subscriber() -> None:
    """Answer every request at once, and say on which port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"success":true,"crm_id":"%.6f"}' % time.monotonic()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["subscriber"]:
        asyncio.run(subscriber())
    else:
        main()
