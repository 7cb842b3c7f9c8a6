"""Queues of a test's own that the functions inside the VPC send to."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def take_bodies(sqs: "SQSClient", url: str) -> list[str]:
    """Take every message out of a queue and return the bodies."""
    bodies = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            bodies.append(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


def message_counts(sqs: "SQSClient", url: str) -> tuple[int, int, int]:
    """Return how many messages of a queue are visible, how many in flight, and how many delayed."""
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return (
        int(found["ApproximateNumberOfMessages"]),
        int(found["ApproximateNumberOfMessagesNotVisible"]),
        int(found["ApproximateNumberOfMessagesDelayed"]),
    )


@dataclass(frozen=True)
class Queues:
    """The queues, by their environment variables."""

    sqs: "SQSClient"
    urls: dict[str, str]

    @classmethod
    def make(cls, sqs: "SQSClient") -> "Queues":
        """Make them all."""
        name = uuid4().hex
        return cls(
            sqs,
            {
                f"{kind}_QUEUE_URL": sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"]
                for kind in ("DELIVERIES", "FETCHES")
            },
        )

    def take(self, kind: str) -> list[dict[str, Any]]:
        """Take out every message of a queue."""
        return [json.loads(body) for body in take_bodies(self.sqs, self.urls[f"{kind}_QUEUE_URL"])]

    def delayed(self, kind: str) -> int:
        """Return how many messages of a queue cannot be received yet."""
        return message_counts(self.sqs, self.urls[f"{kind}_QUEUE_URL"])[2]
