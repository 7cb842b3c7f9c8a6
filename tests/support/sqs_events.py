"""Events as Lambda makes them of messages of a queue."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef


def batch_event(*bodies: str) -> dict[str, Any]:
    """Return the event of messages with these bodies; their ids are their positions."""
    attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": "0"}
    return _event(
        {"messageId": str(n), "receiptHandle": str(n), "body": body, "attributes": attributes}
        for n, body in enumerate(bodies)
    )


def received_event(messages: Sequence["MessageTypeDef"]) -> dict[str, Any]:
    """Return the event of messages that were received."""
    return _event(
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": dict(message["Attributes"]),
            "md5OfBody": message["MD5OfBody"],
        }
        for message in messages
    )


def _event(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    shared = {
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
        "awsRegion": "us-east-1",
    }
    return {"Records": [record | shared for record in records]}
