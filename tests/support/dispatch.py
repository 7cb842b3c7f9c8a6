"""The dispatcher between real queues and a real partner, driven as Lambda drives it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import pytest

from fairslot.dispatch import blocks, endpoint_limits
from fairslot.messages.attempts import Attempt
from fairslot.messages.deliveries import Delivery
from fairslot.platform import queue, signing_secrets
from fairslot.platform.settings import settings
from local.sqs import SqsStandIn
from tests.support.scripted_partner import ScriptedPartner, scripted_partner
from webhook_dispatch.app import lambda_handler

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef

KEY = "alias/test/webhooks"
DATA: dict[str, Any] = {
    "appointment_id": "a-1",
    "calendar_id": "cal-1",
    "coach_id": "coach-1",
    "start_time": "2026-03-03T09:00:00Z",
    "end_time": "2026-03-03T09:30:00Z",
    "status": "scheduled",
    "version": 1,
    "contact_name": "Zoë Secret",
    "contact_email": "zoe@example.com",
    "timezone": "Europe/Paris",
    "contact_id": None,
    "block_id": None,
}


def delivery(kind: str = "crm", type_: str = "appointment.created", **data: Any) -> Delivery:
    """Make a delivery with ids of its own."""
    return Delivery(
        delivery_id=uuid4(),
        event_id=uuid4(),
        kind=kind,
        type=type_,
        timestamp=datetime.now(UTC),
        version=1,
        data={**DATA, **data},
    )


def subscription(url: str, *secrets_: str, type_: str = "appointment.created", **members: Any) -> Delivery:
    """Make a delivery for an endpoint of its own, with what it signs by locked up by the key."""
    endpoint_id = uuid4()
    locked = tuple(
        signing_secrets.encrypt(one, signing_secrets.for_endpoint(endpoint_id))
        for one in secrets_ or [signing_secrets.make()]
    )
    made = {"endpoint_id": endpoint_id, "url": url, "secrets": locked, **members}
    return replace(delivery("standard", type_), **made)


@dataclass
class Context:
    """What a function gets to know of its invocation; the clock runs from when it is made."""

    seconds: float = 60.0
    function_name: str = "dispatch"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:dispatch"
    aws_request_id: str = "request-1"
    begun: float = field(default_factory=monotonic)

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left of the invocation."""
        return int((self.begun + self.seconds - monotonic()) * 1000)


@dataclass
class Stage:
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
        self, messages: Sequence["MessageTypeDef"] | None = None, context: Context | None = None
    ) -> "PartialItemFailureResponse":
        """Invoke the function with a batch and delete what it did not report as failed."""
        batch = self.receive() if messages is None else messages
        response = self.invoke(batch, context)
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        for message in batch:
            if message["MessageId"] not in failed:
                self.sqs.delete_message(QueueUrl=self.deliveries, ReceiptHandle=message["ReceiptHandle"])
        return response

    def invoke(
        self, messages: Sequence["MessageTypeDef"], context: Context | None = None
    ) -> "PartialItemFailureResponse":
        """Invoke the function with a batch, and delete nothing."""
        answer: PartialItemFailureResponse = lambda_handler(
            event(messages), cast("LambdaContext", context or Context())
        )
        return answer

    def show(self, message: "MessageTypeDef") -> None:
        """Make a received message visible now."""
        self.sqs.change_message_visibility(
            QueueUrl=self.deliveries, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )

    def attempts(self) -> list[Attempt]:
        """Take out all the results that there are."""
        return [Attempt.from_json(body) for body in self._take(self.results)]

    def attempt(self) -> Attempt:
        """Take out the one result that there is."""
        (only,) = self.attempts()
        return only

    def dead_letters(self) -> list[str]:
        """Take out what was set aside."""
        return self._take(self.dead)

    def left(self) -> int:
        """Return how many deliveries are in the queue, visible, in flight or delayed."""
        return sum(self.counts())

    def counts(self) -> tuple[int, int, int]:
        """Return how many deliveries are visible, how many in flight, and how many delayed."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.deliveries, AttributeNames=["All"])["Attributes"]
        return (
            int(found["ApproximateNumberOfMessages"]),
            int(found["ApproximateNumberOfMessagesNotVisible"]),
            int(found["ApproximateNumberOfMessagesDelayed"]),
        )

    def _take(self, url: str) -> list[str]:
        bodies = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                bodies.append(message["Body"])
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


def event(messages: Sequence["MessageTypeDef"]) -> dict[str, Any]:
    """Make the event that Lambda makes of received messages."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message["Attributes"]),
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:deliveries",
                "awsRegion": "us-east-1",
            }
            for message in messages
        ]
    }


@contextmanager
def stage(
    sqs: SqsStandIn, *, max_attempts: int = 5, visibility_seconds: int = 30, **environment: str
) -> Iterator[Stage]:
    """Set up queues of their own and a partner, and point the function at them; retries wait a second."""
    client = sqs.client()
    sqs.make_key(KEY)
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
            "WEBHOOK_KMS_KEY_ID": KEY,
            "WEBHOOK_SCHEDULE_SECONDS": "0.001",
            "WEBHOOK_ALLOW_LOOPBACK_HTTP": "true",
        }
        set_environment(patch, sqs.environment | own | environment)
        signing_secrets.clear_cache()
        yield Stage(client, partner, deliveries, results, dead)
    settings.cache_clear()
    queue.clear_cache()
    signing_secrets.clear_cache()
    endpoint_limits.clear_cache()
    blocks.without_list.clear()
    client.close()


def set_environment(patch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """Change the environment and let the function see it."""
    for name, value in environment.items():
        patch.setenv(name, value)
    settings.cache_clear()
    queue.clear_cache()


def keys(*deliveries: Delivery) -> list[str]:
    """Return the deliveries' idempotency keys: the event's for the CRM, its own for a calendar."""
    return [
        str(delivery.event_id if delivery.kind == "crm" else delivery.delivery_id) for delivery in deliveries
    ]


def ids(attempts: Sequence[Attempt]) -> set[UUID]:
    """Return what the attempts were for."""
    return {attempt.delivery_id for attempt in attempts}


def _queue(client: "SQSClient", name: str, attributes: Mapping["QueueAttributeNameType", str]) -> str:
    return client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
