"""The dispatcher between real queues and a real partner, driven as Lambda drives it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from time import monotonic
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from background import results
from fairslot.dispatch import blocks, endpoint_limits, permits
from fairslot.messages.attempts import Attempt
from fairslot.messages.deliveries import Delivery
from fairslot.platform import queue, signing_secrets
from local.sqs import SqsStandIn
from tests.support.deliveries import KMS_KEY
from tests.support.environment import clear_caches, set_environment
from tests.support.lambda_context import context
from tests.support.queues import message_counts, take_bodies
from tests.support.scripted_partner import ScriptedPartner, scripted_partner
from tests.support.sqs_events import batch_event, received_event
from webhook_dispatch.app import lambda_handler

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef


@dataclass
class Dispatcher:
    """The dispatcher's queues, by address, and the partner that is both CRM and calendar API."""

    sqs: "SQSClient"
    partner: ScriptedPartner
    deliveries: str
    results: str
    dead: str

    def send(self, *bodies: Delivery | str) -> None:
        """Put deliveries, or any text, into the queue."""
        queue.send(self.deliveries, [body if isinstance(body, str) else body.to_json() for body in bodies])

    def receive(self, seconds: int = 20, at_least: int = 1) -> list["MessageTypeDef"]:
        """Receive one batch of deliveries, of so many messages at least, as Lambda's poller does."""
        messages: list[MessageTypeDef] = []
        end = monotonic() + seconds
        while len(messages) < at_least and monotonic() < end:
            answer = self.sqs.receive_message(
                QueueUrl=self.deliveries,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=min(1, seconds),
                MessageSystemAttributeNames=["All"],
            )
            messages += answer.get("Messages", [])
        return messages

    def work(
        self, messages: Sequence["MessageTypeDef"] | None = None, within: "LambdaContext | None" = None
    ) -> "PartialItemFailureResponse":
        """Invoke the function with a batch and delete what it did not report as failed."""
        batch = self.receive() if messages is None else messages
        response = self.invoke(batch, within)
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        for message in batch:
            if message["MessageId"] not in failed:
                self.sqs.delete_message(QueueUrl=self.deliveries, ReceiptHandle=message["ReceiptHandle"])
        return response

    def invoke(
        self, messages: Sequence["MessageTypeDef"], within: "LambdaContext | None" = None
    ) -> "PartialItemFailureResponse":
        """Invoke the function with a batch, and delete nothing."""
        answer: PartialItemFailureResponse = lambda_handler(received_event(messages), within or context(60))
        return answer

    def show(self, message: "MessageTypeDef") -> None:
        """Make a received message visible now."""
        self.sqs.change_message_visibility(
            QueueUrl=self.deliveries, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )

    def attempts(self) -> list[Attempt]:
        """Take out all the results that there are."""
        return [Attempt.from_json(body) for body in take_bodies(self.sqs, self.results)]

    def attempt(self) -> Attempt:
        """Take out the one result that there is."""
        (only,) = self.attempts()
        return only

    def record_results(self, times: int = 1) -> list[str]:
        """Have all the results that there are recorded, so many times; return them."""
        bodies = [attempt.to_json() for attempt in self.attempts()]
        for _ in range(times):
            record_results(bodies)
        return bodies

    def dead_letters(self) -> list[str]:
        """Take out what was set aside."""
        return take_bodies(self.sqs, self.dead)

    def left(self) -> int:
        """Return how many deliveries are in the queue, visible, in flight or delayed."""
        return sum(self.counts())

    def counts(self) -> tuple[int, int, int]:
        """Return how many deliveries are visible, how many in flight, and how many delayed."""
        return message_counts(self.sqs, self.deliveries)


@contextmanager
def dispatcher(
    sqs: SqsStandIn, *, max_attempts: int = 5, visibility_seconds: int = 30, **environment: str
) -> Iterator[Dispatcher]:
    """Set up queues of their own and a partner, and point the function at them; retries wait a second."""
    client = sqs.client()
    name = uuid4().hex
    dead = _queue(client, f"{name}-dead", {})
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = {"deadLetterTargetArn": arn, "maxReceiveCount": max_attempts}
    deliveries = _queue(
        client,
        name,
        {"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": str(visibility_seconds)},
    )
    results = _queue(client, f"{name}-results", {})
    with scripted_partner() as partner, pytest.MonkeyPatch.context() as patch:
        own = {
            "DELIVERIES_QUEUE_URL": deliveries,
            "DELIVERIES_DEAD_LETTER_QUEUE_URL": dead,
            "RESULTS_QUEUE_URL": results,
            "CRM_WEBHOOK_URL": partner.url,
            "CALENDAR_API_URL": partner.url,
            "WEBHOOK_MAX_ATTEMPTS": str(max_attempts),
            "WEBHOOK_KMS_KEY_ID": KMS_KEY,
            "WEBHOOK_SCHEDULE_SECONDS": "0.001",
            "WEBHOOK_ALLOW_LOOPBACK_HTTP": "true",
        }
        set_environment(patch, sqs.environment | own | environment)
        signing_secrets.clear_cache()
        yield Dispatcher(client, partner, deliveries, results, dead)
    clear_caches()
    endpoint_limits.clear_cache()
    permits.clear_cache()
    blocks.without_list.clear()
    client.close()


def record_results(bodies: Sequence[str]) -> None:
    """Invoke the function that records results with the bodies, ten at a time."""
    for part in batched(bodies, 10, strict=False):
        assert results.lambda_handler(batch_event(*part), context()) == {"batchItemFailures": []}


def _queue(client: "SQSClient", name: str, attributes: Mapping["QueueAttributeNameType", str]) -> str:
    return client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
