"""Sending to queues: sizes of calls, and what happens when the queue takes only some or none."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.domain.errors import QueueError
from fairslot.platform import queue

type Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


class ScriptedSqs(ThreadingHTTPServer):
    """An SQS that answers as it is told and remembers each call: its operation and its entries."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ScriptedHandler)
        self.calls: list[tuple[str, list[dict[str, Any]]]] = []
        self.answer: Answer = lambda _request: (200, {"Successful": [], "Failed": []})
        self.url = f"http://127.0.0.1:{self.server_port}"

    def positions(self) -> list[list[int]]:
        """Return the entries' ids, call by call."""
        return [[int(entry["Id"]) for entry in entries] for _, entries in self.calls]


class ScriptedHandler(BaseHTTPRequestHandler):
    server: ScriptedSqs

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append((self.headers["X-Amz-Target"], request["Entries"]))
        status, answer = self.server.answer(request)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedSqs]:
    """Run a scripted SQS that `queue` finds by its environment."""
    with ScriptedSqs() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)
        queue.clear_cache()
        yield server
        queue.clear_cache()
        server.shutdown()


def failing(*positions: int, sender_fault: bool, times: int = 1_000) -> Answer:
    """Fail these entries, so many times each, and take the others."""
    left = dict.fromkeys(positions, times)

    def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        failed = []
        for entry in request["Entries"]:
            if left.get(int(entry["Id"]), 0) > 0:
                left[int(entry["Id"])] -= 1
                failed.append({"Id": entry["Id"], "SenderFault": sender_fault, "Code": "InternalError"})
        return 200, {"Successful": [], "Failed": failed}

    return answer


def test_ten_messages_go_in_a_call(sqs: ScriptedSqs) -> None:
    """23 messages are three calls, in order, each with its own body."""
    queue.send(f"{sqs.url}/1/q", [f"body {n}" for n in range(23)])

    assert sqs.positions() == [list(range(10)), list(range(10, 20)), [20, 21, 22]]
    assert [entry["MessageBody"] for _, entries in sqs.calls for entry in entries] == [
        f"body {n}" for n in range(23)
    ]


def test_each_message_names_its_group(sqs: ScriptedSqs) -> None:
    """Also past the first call, and none where there are no groups."""
    queue.send(f"{sqs.url}/1/q", list("abcdefghijkl"), groups=[f"group {n}" for n in range(12)])
    queue.send(f"{sqs.url}/1/q", ["m"])

    entries = [entry for _, entries in sqs.calls for entry in entries]
    assert [entry.get("MessageGroupId") for entry in entries] == [f"group {n}" for n in range(12)] + [None]


def test_each_message_has_its_delay(sqs: ScriptedSqs) -> None:
    """Also past the first call, and none where there are no delays."""
    queue.send(f"{sqs.url}/1/q", list("abcdefghijkl"), delays=range(12))
    queue.send(f"{sqs.url}/1/q", ["m"])

    entries = [entry for _, entries in sqs.calls for entry in entries]
    assert [entry.get("DelaySeconds") for entry in entries] == [*range(12), None]


def test_nothing_to_send_is_no_call(sqs: ScriptedSqs) -> None:
    """An empty list is sent without asking the queue."""
    queue.send(f"{sqs.url}/1/q", [])

    assert sqs.calls == []


def test_an_entry_that_failed_is_sent_again_alone(sqs: ScriptedSqs) -> None:
    """What the queue could not take for a moment arrives, and nothing arrives twice."""
    sqs.answer = failing(1, 3, sender_fault=False, times=1)

    queue.send(f"{sqs.url}/1/q", list("abcde"))

    assert sqs.positions() == [[0, 1, 2, 3, 4], [1, 3]]


def test_an_entry_that_never_succeeds_is_named(sqs: ScriptedSqs) -> None:
    """After some rounds the error names what was not taken; the rest was sent."""
    sqs.answer = failing(11, sender_fault=False)

    with pytest.raises(QueueError) as raised:
        queue.send(f"{sqs.url}/1/q", ["x"] * 12)

    assert raised.value.untaken == (11,)
    assert sqs.positions() == [list(range(10)), [10, 11], [11], [11]]


def test_an_entry_that_is_at_fault_itself_is_not_repeated(sqs: ScriptedSqs) -> None:
    """What the queue refuses for its contents would be refused again."""
    sqs.answer = failing(0, sender_fault=True)

    with pytest.raises(QueueError) as raised:
        queue.send(f"{sqs.url}/1/q", ["x", "y"])

    assert raised.value.untaken == (0,)
    assert len(sqs.calls) == 1


def test_a_call_that_is_refused_does_not_keep_the_others_back(sqs: ScriptedSqs) -> None:
    """One message that is too large for the queue stays; those after it go."""

    def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if len(request["Entries"][0]["MessageBody"]) > queue.BATCH_BYTES:
            return 400, {"__type": "com.amazonaws.sqs#BatchRequestTooLong", "message": "too long"}
        return 200, {"Successful": [], "Failed": []}

    sqs.answer = answer

    with pytest.raises(QueueError) as raised:
        queue.send(f"{sqs.url}/1/q", ["x", "y" * (queue.BATCH_BYTES + 1), "z"])

    assert raised.value.untaken == (1,)
    assert sqs.positions() == [[0], [1], [2]]


def test_a_queue_that_is_down_takes_nothing(sqs: ScriptedSqs) -> None:
    """Without an answer nothing counts as sent, and the later calls are not even tried."""
    sqs.shutdown()
    sqs.server_close()

    with pytest.raises(QueueError) as raised:
        queue.send(f"{sqs.url}/1/q", ["x"] * 30)

    assert raised.value.untaken == tuple(range(30))


def test_received_messages_are_put_off(sqs: ScriptedSqs) -> None:
    """Each handle gets its own delay; an unknown handle is named."""
    sqs.answer = failing(1, sender_fault=True)

    with pytest.raises(QueueError) as raised:
        queue.postpone(f"{sqs.url}/1/q", [("first", 5), ("second", 60)])

    assert raised.value.untaken == (1,)
    assert sqs.calls == [
        (
            "AmazonSQS.ChangeMessageVisibilityBatch",
            [
                {"Id": "0", "ReceiptHandle": "first", "VisibilityTimeout": 5},
                {"Id": "1", "ReceiptHandle": "second", "VisibilityTimeout": 60},
            ],
        )
    ]


def test_received_messages_are_taken_away(sqs: ScriptedSqs) -> None:
    """A handle that is no longer good is no error; what the queue could not do is named."""
    sqs.answer = failing(0, sender_fault=True)
    queue.delete(f"{sqs.url}/1/q", ["stale", "good"])
    assert sqs.calls == [
        (
            "AmazonSQS.DeleteMessageBatch",
            [{"Id": "0", "ReceiptHandle": "stale"}, {"Id": "1", "ReceiptHandle": "good"}],
        )
    ]
    sqs.answer = failing(1, sender_fault=False)
    with pytest.raises(QueueError) as raised:
        queue.delete(f"{sqs.url}/1/q", ["stale", "good"])
    assert raised.value.untaken == (1,)


@given(st.lists(st.integers(min_value=0, max_value=300_000), max_size=60))
def test_every_message_is_in_one_call_and_no_call_is_too_large(sizes: list[int]) -> None:
    """Calls hold ten messages and 256 KiB at most, or one message; none is lost, doubled or out of order."""
    batches = list(queue.batches(sizes))

    assert [position for batch in batches for position in batch] == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch) <= queue.BATCH_ENTRIES
        assert len(batch) == 1 or sum(sizes[position] for position in batch) <= queue.BATCH_BYTES
