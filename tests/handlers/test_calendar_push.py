"""Where notifications of calendars' providers come in: what becomes of them, and what forged ones cost."""

import base64
import hmac
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from calendar_push.app import MICROSOFT, lambda_handler
from fairslot.calendars.push import BODY_BYTES
from fairslot.calendars.push_secret import Channel, PushSecrets
from fairslot.platform import queue
from local.sqs import SqsStandIn
from tests.support.environment import clear_caches, set_environment
from tests.support.lambda_context import context
from tests.support.logs import json_lines
from tests.support.pushes import PUSH_SECRET, google_push, graph_notification, graph_push, push_event
from tests.support.queues import take_bodies

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SOURCE = UUID(int=7)
GOOGLE = Channel(provider="google", source_id=SOURCE, generation=2)
GRAPH = Channel(provider="microsoft", source_id=SOURCE, generation=2)
FORGED = PushSecrets(["somebody else's, of thirty-two characters"])


@dataclass(frozen=True)
class Door:
    """The function with its queue."""

    sqs: "SQSClient"
    results: str
    calls: list[int]

    def messages(self) -> list[dict[str, Any]]:
        """Take out what is on the queue."""
        return [json.loads(body) for body in take_bodies(self.sqs, self.results)]


@pytest.fixture
def door(sqs: SqsStandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The function, whose calls to the queue are counted."""
    client = sqs.client()
    results = client.create_queue(QueueName=uuid4().hex)["QueueUrl"]
    own = {"RESULTS_QUEUE_URL": results, "PUSH_SECRETS": PUSH_SECRET}
    set_environment(monkeypatch, sqs.environment | own)
    calls: list[int] = []
    send = queue.send

    def counted(url: str, bodies: list[str]) -> None:
        calls.append(len(bodies))
        send(url, bodies)

    monkeypatch.setattr(queue, "send", counted)
    yield Door(client, results, calls)
    monkeypatch.undo()
    clear_caches()
    client.close()


def push(event: dict[str, Any]) -> int:
    """Hand an event to the function and return the status; the answer says nothing else."""
    answer = lambda_handler(event, context())
    assert answer["body"] == ""
    assert answer["headers"]["Cache-Control"] == "no-store"
    status: int = answer["statusCode"]
    return status


@pytest.mark.parametrize("event", [google_push(GOOGLE), graph_push(graph_notification(GRAPH))])
def test_a_verified_notification_becomes_a_message(door: Door, event: dict[str, Any]) -> None:
    """It names the source and the channel, and holds nothing else of what was sent."""
    assert push(event) == 202
    assert door.messages() == [
        {"kind": "source_changed", "source_id": str(SOURCE), "generation": 2, "task": "changed"}
    ]


@pytest.mark.parametrize(
    ("lifecycle", "task"),
    [("reauthorizationRequired", "renew"), ("subscriptionRemoved", "removed"), ("missed", "changed")],
)
def test_what_becomes_of_a_subscription_is_told(door: Door, lifecycle: str, task: str) -> None:
    """At the same address."""
    assert push(graph_push(graph_notification(GRAPH, lifecycleEvent=lifecycle))) == 202
    assert [one["task"] for one in door.messages()] == [task]


def test_many_notifications_of_one_request_are_one_message_a_source(door: Door) -> None:
    """Graph tells of many changes at a time."""
    other = Channel(provider="microsoft", source_id=UUID(int=8), generation=1)
    told = [graph_notification(GRAPH)] * 40 + [graph_notification(other)] * 40
    assert push(graph_push(*told)) == 202
    assert sorted(one["source_id"] for one in door.messages()) == [str(SOURCE), str(UUID(int=8))]


def test_the_first_of_a_channel_asks_for_nothing(door: Door) -> None:
    """It says that the channel works."""
    assert push(google_push(GOOGLE, state="sync")) == 202
    assert (door.messages(), door.calls) == ([], [])


@pytest.mark.parametrize(
    "query",
    [
        "validationToken=Validation%3A+Testing+client+application+reachability+%26+more",
        "validationToken=Validation%3A%20Testing%20client%20application%20reachability%20%26%20more",
    ],
)
def test_the_handshake_is_answered_with_its_token(door: Door, query: str) -> None:
    """Decoded, as plain text that no browser takes for a page."""
    answer = lambda_handler(push_event(MICROSOFT, query=query), context())
    assert answer["statusCode"] == 200
    assert answer["body"] == "Validation: Testing client application reachability & more"
    assert answer["headers"]["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["headers"]["X-Content-Type-Options"] == "nosniff"
    assert door.calls == []


@pytest.mark.parametrize(("token", "status"), [("%3Cscript%3E", 400), ("", 400), ("a" * 3000, 413)])
def test_a_handshake_that_graph_never_makes_is_refused(door: Door, token: str, status: int) -> None:
    """What is echoed can be nothing that does harm."""
    assert push(push_event(MICROSOFT, query=f"validationToken={token}")) == status


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (google_push(GOOGLE, token=FORGED.make(GOOGLE)), 403),
        (google_push(GOOGLE, token=""), 403),
        (google_push(GRAPH), 403),
        (push_event("/calendar-push/google"), 403),
        (graph_push(graph_notification(GRAPH, clientState=FORGED.make(GRAPH))), 403),
        (graph_push(graph_notification(GRAPH), graph_notification(GRAPH, clientState="x")), 403),
        (graph_push(), 400),
        (push_event(MICROSOFT), 400),
        (push_event(MICROSOFT, "{"), 400),
        (push_event(MICROSOFT, "\ud800"), 400),
        ({**push_event(MICROSOFT, "%"), "isBase64Encoded": True}, 400),
        (push_event(MICROSOFT, "x" * (BODY_BYTES + 1)), 413),
        (push_event(MICROSOFT, "x" * (2 * BODY_BYTES)), 413),
    ],
)
def test_what_is_not_proven_or_no_notification_makes_no_message(
    door: Door, event: dict[str, Any], status: int
) -> None:
    """Not even for the part of a request that has its proof."""
    assert push(event) == status
    assert (door.messages(), door.calls) == ([], [])


def test_a_body_may_come_as_base64(door: Door) -> None:
    """The gateway decides that by the type that the provider declares."""
    event = graph_push(graph_notification(GRAPH))
    event |= {"body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}
    assert push(event) == 202
    assert len(door.messages()) == 1


def test_a_flood_of_forged_notifications_costs_an_hmac_each(
    door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no call to anything; each is counted."""
    made = 0
    digest = hmac.digest

    def counted(*given: Any) -> bytes:
        nonlocal made
        made += 1
        return digest(*given)

    # Under the id of the deployment's own secret: without it no HMAC would be needed to refuse one.
    real = PushSecrets([PUSH_SECRET]).make(GRAPH)
    token = real[:-1] + ("A" if real[-1] != "A" else "B")
    events = [graph_push(*[graph_notification(GRAPH, clientState=token)] * 50) for _ in range(200)]
    monkeypatch.setattr(hmac, "digest", counted)
    json_lines(capsys)
    assert {push(event) for event in events} == {403}
    assert made == 200
    assert (door.messages(), door.calls) == ([], [])
    assert [one["PushesForged"] for one in json_lines(capsys)] == [[1.0]] * 200


def test_what_the_queue_does_not_take_is_told_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """503: the provider repeats it."""
    set_environment(monkeypatch, {"RESULTS_QUEUE_URL": f"{door.results}-gone"})
    assert push(google_push(GOOGLE)) == 503


def test_where_cloudfront_is_the_only_way_in_others_are_refused(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same header as the API."""
    set_environment(monkeypatch, {"ORIGIN_SECRETS": "proof", "ONLY_THROUGH_CLOUDFRONT": "true"})
    event = google_push(GOOGLE)
    assert push(event) == 403
    event["headers"]["x-origin-secret"] = "proof"
    assert push(event) == 202


def test_an_earlier_secret_still_proves(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the deployment's secret changes, channels of before go on."""
    set_environment(monkeypatch, {"PUSH_SECRETS": f"{'new-' * 8}, {PUSH_SECRET}"})
    assert push(google_push(GOOGLE)) == 202


def test_the_log_holds_nothing_that_was_sent(
    door: Door, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whether it is refused or not: a proof would be good for as long as its channel."""
    caplog.set_level(logging.DEBUG)
    event = graph_push(graph_notification(GRAPH, resource="Users/kim@example.com/Events/y"))
    assert push(event) == 202
    assert push(push_event(MICROSOFT, event["body"][:-1])) == 400
    out, err = capfd.readouterr()
    proof = json.loads(event["body"])["value"][0]["clientState"]
    assert not [word for word in (proof, "kim@example.com") if word in caplog.text + out + err]
