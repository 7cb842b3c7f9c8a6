"""The CRM as it is: its id is kept though an answer was lost, and one refusal is not its end."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from background import results
from fairslot.dispatch import subscribers
from fairslot.dispatch.request import Request
from fairslot.messages.deliveries import Delivery
from fairslot.platform.db import Connection
from local.sqs import SqsStandIn
from tests.support.deliveries import delivery
from tests.support.dispatch import Dispatcher, dispatcher
from tests.support.endpoints import add_endpoint
from tests.support.http import ask, booked
from tests.support.lambda_context import context
from tests.support.partner_process import partner
from tests.support.scripted_partner import answer
from tests.support.sqs_events import batch_event

ATTEMPTS = 2


@pytest.fixture
def dispatch(sqs: SqsStandIn) -> Iterator[Dispatcher]:
    """Set up the dispatcher; a delivery is tried twice."""
    with dispatcher(sqs, max_attempts=ATTEMPTS) as made:
        yield made


def test_the_id_of_a_lost_answer_is_kept(team: Connection, sqs: SqsStandIn, tmp_path: Path) -> None:
    """The dispatcher died after its first attempt; the second finds the id for the appointment."""
    add_endpoint(team, "crm", "appointment.*")
    with (
        partner("crm", tmp_path) as crm,
        dispatcher(sqs, CRM_WEBHOOK_URL=str(crm.base_url)) as dispatch,
    ):
        made = booked()
        messages = dispatch.receive()
        dispatch.invoke(messages)
        (lost,) = dispatch.attempts()
        dispatch.invoke(messages)
        (kept,) = dispatch.attempts()
        assert kept.answer == lost.answer != {}
        assert "Already processed" in kept.response_excerpt
        results.lambda_handler(batch_event(kept.to_json()), context())
        shown = ask("GET", f"/api/appointments/{made['appointment_id']}").json
    assert shown["crm_contact_id"] == lost.answer["crm_id"]


def test_an_event_that_was_taken_has_not_failed(
    dispatch: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If its id cannot be found out at all, the event still counts as delivered."""
    told = subscribers.KINDS["crm"]

    def without_a_log(sent: Delivery) -> Request | None:
        request = told(sent)
        return request and replace(request, log="http://127.0.0.1:1/log")

    monkeypatch.setitem(subscribers.KINDS, "crm", without_a_log)
    dispatch.send(delivery())
    for _ in range(ATTEMPTS):
        dispatch.work()
    attempts = [(one.outcome, one.error) for one in dispatch.attempts()]
    assert attempts == [("retrying", "answer_lost"), ("delivered", "answer_lost")]
    assert (dispatch.left(), dispatch.dead_letters()) == (0, [])


def test_one_call_that_is_gone_is_tried_again(dispatch: Dispatcher) -> None:
    """410 from a partner that is everybody's."""
    dispatch.partner.script = [answer(410, {}), answer(200, {"crm_id": "crm-1"})]
    dispatch.send(delivery())
    for _ in range(ATTEMPTS):
        dispatch.work()
    assert [(one.outcome, one.error) for one in dispatch.attempts()] == [
        ("retrying", "http_410"),
        ("delivered", None),
    ]


@pytest.mark.parametrize("kind", ["crm", "calendar_api"])
def test_what_is_kept_of_an_answer_needs_one_that_can_be_read(dispatch: Dispatcher, kind: str) -> None:
    """A 2xx that breaks off promises no id."""
    dispatch.partner.script = [answer(200, b'{"success": tr')]
    dispatch.send(delivery(kind, action="block"))
    dispatch.work()
    assert dispatch.attempt().error == "invalid_body"
