"""Which messages of a batch have succeeded, and the event of a message."""

from typing import Any

import pytest

from local.poller import record, succeeded
from local.runtime_api import Answer

MESSAGES: list[dict[str, Any]] = [{"MessageId": name, "ReceiptHandle": f"r-{name}"} for name in "abc"]


@pytest.mark.parametrize(
    ("payload", "done"),
    [
        (b'{"batchItemFailures": []}', "abc"),
        (b'{"batchItemFailures": null}', "abc"),
        (b"{}", "abc"),
        (b"null", "abc"),
        (b"", "abc"),
        (b'{"batchItemFailures": [{"itemIdentifier": "b"}]}', "ac"),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "c"}]}', "b"),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', ""),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', ""),
        (b'{"batchItemFailures": [{"id": "b"}]}', ""),
        (b'{"batchItemFailures": [{"itemIdentifier": "unknown"}]}', ""),
        (b'{"batchItemFailures": "b"}', ""),
        (b"[1]", ""),
        (b'"text"', ""),
        (b"no json", ""),
    ],
)
def test_a_report_says_what_failed(payload: bytes, done: str) -> None:
    """An empty report means success, an invalid one that all have failed."""
    found = succeeded(Answer(payload), MESSAGES, reports_failures=True)
    assert "".join(one["MessageId"] for one in found) == done


def test_a_function_that_fails_has_done_nothing() -> None:
    """Whatever it says besides."""
    assert succeeded(Answer(b"{}", "Unhandled"), MESSAGES, reports_failures=True) == []


def test_a_function_that_does_not_report_has_done_all() -> None:
    """What it returns then means nothing."""
    answer = Answer(b'{"batchItemFailures": [{"itemIdentifier": "b"}]}')
    assert succeeded(answer, MESSAGES, reports_failures=False) == MESSAGES


def test_a_message_becomes_a_record() -> None:
    """With the names and shapes of Lambda's event."""
    message = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": "{}",
        "MD5OfBody": "d",
        "Attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "1"},
        "MessageAttributes": {"kind": {"DataType": "String", "StringValue": "crm"}},
    }
    assert record(message, "arn:q") == {
        "messageId": "m",
        "receiptHandle": "r",
        "body": "{}",
        "md5OfBody": "d",
        "attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "1"},
        "messageAttributes": {
            "kind": {
                "dataType": "String",
                "stringValue": "crm",
                "stringListValues": [],
                "binaryListValues": [],
            }
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:q",
        "awsRegion": "us-east-1",
    }
