"""The CRM's id of an answer that was lost: a key that it has seen is only acknowledged; its log knows."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from fairslot.dispatch import subscribers
from fairslot.dispatch.result import Result
from fairslot.platform import http_client
from tests.support.mock_partner import EVENT_ID, delivery

pytestmark = pytest.mark.usefixtures("addresses")

SEEN = {"success": True, "message": "Already processed"}
LINE = {
    "idempotency_key": str(EVENT_ID),
    "crm_id": "crm_7",
    "path": "/webhooks/appointment-created",
    "body": {},
}
OTHER = LINE | {"idempotency_key": "another", "crm_id": "crm_1"}


class Crm:
    """Acknowledges every event with one answer, and shows a log."""

    def __init__(self, log: object, *, status: int = 200, answer: object = None, **headers: str) -> None:
        self.log = log if isinstance(log, bytes) else json.dumps(log).encode()
        self.status = status
        self.answer = json.dumps(SEEN if answer is None else answer).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as httpx.MockTransport asks."""
        if request.method == "POST":
            return httpx.Response(200, stream=httpx.ByteStream(self.answer))
        self.asked.append(str(request.url))
        if self.status == 0:
            raise httpx.ConnectError("refused")
        return httpx.Response(self.status, headers=self.headers, stream=httpx.ByteStream(self.log))

    def tell(self, type_: str = "appointment.created") -> Result:
        """Make one attempt at telling it of an event."""
        sent = delivery("crm", type_)
        return asyncio.run(subscribers.deliver(sent, seconds=5, transport=httpx.MockTransport(self)))


def test_the_id_is_looked_up_by_our_key() -> None:
    """Among all that the CRM shows."""
    crm = Crm({"webhooks": [OTHER, LINE, OTHER], "total": 3})
    result = crm.tell()
    assert (result.error, result.answer) == (None, {"crm_id": "crm_7"})
    assert crm.asked == ["https://crm.example/base/webhooks/log?limit=1000"]


def test_a_long_log_is_read() -> None:
    """It is longer than an acknowledgement may be."""
    lines = [OTHER | {"body": "x" * 500}] * 999
    assert len(json.dumps(lines)) > http_client.ANSWER_BYTES
    assert Crm({"webhooks": [*lines, LINE]}).tell().answer == {"crm_id": "crm_7"}


@pytest.mark.parametrize(
    "log", [{"webhooks": [OTHER]}, {"webhooks": [LINE | {"crm_id": None}]}, [], {}, b"<html>"]
)
def test_what_the_log_does_not_have_is_not_waited_for(log: object) -> None:
    """The event is taken; no other attempt would learn more."""
    assert (Crm(log).tell().error, Crm(log).tell().answer) == (None, {})


@pytest.mark.parametrize("log", [{"webhooks": "none"}, {"webhooks": [1, None, []]}])
def test_a_log_of_another_shape_is_no_error(log: object) -> None:
    """Nobody promised it."""
    assert (Crm(log).tell().error, Crm(log).tell().answer) == (None, {})


@pytest.mark.parametrize("status", [302, 403, 404, 405, 501])
def test_a_crm_without_a_log_has_taken_the_event_all_the_same(status: int) -> None:
    """It is its choice."""
    assert Crm({}, status=status).tell().error is None


@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_log_that_fails_just_now_is_asked_for_again(status: int) -> None:
    """By another attempt, which does no harm; and it is known that the event was taken."""
    result = Crm({}, status=status, Retry_After="7").tell()
    assert (result.error, result.taken, result.final, result.status_code) == ("answer_lost", True, False, 200)
    assert result.retry_after == (7 if status else 0)


def test_nobody_asks_for_what_is_known_or_never_told() -> None:
    """The first answer has the id; other events have none."""
    crm = Crm({"webhooks": [LINE]}, answer={"success": True, "crm_id": "crm_2"})
    assert crm.tell().answer == {"crm_id": "crm_2"}
    seen: Any = Crm({"webhooks": [LINE]})
    assert seen.tell("appointment.cancelled").answer == {}
    assert crm.asked == seen.asked == []
