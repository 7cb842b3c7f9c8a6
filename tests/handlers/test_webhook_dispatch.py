"""The dispatcher's outcomes: what the partner sees, what is reported and what stays in the queue."""

import asyncio
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from fairslot.dispatch import subscribers
from local.sqs import SqsStandIn
from tests.support import scripted_partner as partners
from tests.support.deliveries import delivery, idempotency_keys, ids
from tests.support.dispatch import Dispatcher, dispatcher
from tests.support.environment import set_environment
from tests.support.lambda_context import context
from tests.support.logs import json_lines
from tests.support.scripted_partner import Behaviour, answer


@pytest.fixture
def dispatch(sqs: SqsStandIn) -> Iterator[Dispatcher]:
    """Set up the dispatcher with short waits."""
    with dispatcher(sqs, WEBHOOK_TIMEOUT_SECONDS="1") as made:
        yield made


def test_a_delivery_reaches_the_crm_and_is_reported(dispatch: Dispatcher) -> None:
    """The partner gets the event once; its id comes back with the result; the message is gone."""
    dispatch.partner.script = [answer(200, {"success": True, "crm_id": "crm_1"})]
    sent = delivery()
    dispatch.send(sent)

    response = dispatch.work()

    (request,) = dispatch.partner.received
    assert request.path == "/webhooks/appointment-created"
    assert dispatch.partner.keys() == idempotency_keys(sent)
    assert response == {"batchItemFailures": []}
    attempt = dispatch.attempt()
    assert (attempt.delivery_id, attempt.event_id) == (sent.delivery_id, sent.event_id)
    assert (attempt.kind, attempt.type, attempt.attempt) == ("crm", "appointment.created", 1)
    assert (attempt.outcome, attempt.status_code, attempt.error) == ("delivered", 200, None)
    assert attempt.answer == {"crm_id": "crm_1"}
    assert attempt.next_attempt_at is None
    assert attempt.latency_ms < 1_000
    assert dispatch.left() == 0


@pytest.mark.parametrize(
    ("behaviour", "error", "status"),
    [
        (answer(503, {"error": "busy"}), "http_503", 503),
        (answer(404, b"nothing here"), "http_404", 404),
        (answer(307, {}, Location="/elsewhere"), "http_307", 307),
        (answer(200, b'{"success": tru'), "invalid_body", 200),
        (partners.silence, "timeout", None),
        (partners.drip, "timeout", None),
        (partners.reset, "connection", None),
        (partners.hang_up_half_way, "connection", None),
    ],
)
def test_what_failed_stays_in_the_queue(
    dispatch: Dispatcher, behaviour: Behaviour, error: str, status: int | None
) -> None:
    """Every failure is reported with its cause and the next attempt's time, and the message is kept."""
    dispatch.partner.script = [behaviour]
    dispatch.send(delivery())
    messages = dispatch.receive()

    response = dispatch.work(messages)

    assert [failure["itemIdentifier"] for failure in response["batchItemFailures"]] == [
        message["MessageId"] for message in messages
    ]
    attempt = dispatch.attempt()
    assert (attempt.outcome, attempt.error, attempt.status_code) == ("retrying", error, status)
    assert attempt.next_attempt_at is not None
    assert attempt.next_attempt_at > attempt.at
    assert len(dispatch.partner.received) == 1
    assert dispatch.left() == 1


def test_an_endless_answer_delivers(dispatch: Dispatcher) -> None:
    """The status is enough, and nobody reads to the end."""
    dispatch.partner.script = [partners.flood]
    dispatch.send(delivery())

    assert dispatch.work() == {"batchItemFailures": []}
    attempt = dispatch.attempt()
    assert (attempt.outcome, len(attempt.response_excerpt)) == ("delivered", 500)


def test_a_time_blocked_by_someone_else_ends_the_delivery(dispatch: Dispatcher) -> None:
    """The failure is final: reported as such, and no message is left to repeat it."""
    dispatch.partner.script = [answer(409, {"error": "Slot already blocked"})]
    dispatch.send(delivery("calendar_api", action="block"))

    assert dispatch.work() == {"batchItemFailures": []}
    attempt = dispatch.attempt()
    assert (attempt.outcome, attempt.error, attempt.status_code) == ("failed", "already_blocked", 409)
    assert attempt.next_attempt_at is None
    assert dispatch.left() == 0


def test_a_kind_that_nobody_knows_ends_the_delivery(dispatch: Dispatcher) -> None:
    """It fails alone; its neighbour in the batch is delivered."""
    unknown, known = delivery("fax"), delivery()
    dispatch.send(unknown, known)

    assert dispatch.work(dispatch.receive(at_least=2)) == {"batchItemFailures": []}
    outcomes = {attempt.delivery_id: (attempt.outcome, attempt.error) for attempt in dispatch.attempts()}
    assert outcomes == {
        unknown.delivery_id: ("failed", "unknown_kind"),
        known.delivery_id: ("delivered", None),
    }


def test_a_silent_partner_delays_nobody_else(dispatch: Dispatcher) -> None:
    """The attempts of a batch run side by side: the whole batch takes as long as its slowest."""
    dispatch.partner.script = [partners.silence] * 5
    dispatch.send(*(delivery() for _ in range(10)))
    messages = dispatch.receive(at_least=10)
    begun = monotonic()

    response = dispatch.work(messages)

    assert monotonic() - begun < 4  # one after another, the silent ones alone would take 5
    assert len(response["batchItemFailures"]) == 5
    attempts = dispatch.attempts()
    assert len(ids(attempts)) == 10
    slowest = max(attempt.latency_ms for attempt in attempts if attempt.outcome == "delivered")
    assert slowest < min(attempt.latency_ms for attempt in attempts if attempt.outcome == "retrying")


def test_a_message_that_cannot_be_read_fails_without_being_told(
    dispatch: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays for the dead-letter queue; its neighbour is delivered; the log does not quote it."""
    good = delivery()
    dispatch.send('{"contact_email": "zoe@example.com"}', good)
    messages = dispatch.receive(at_least=2)

    with caplog.at_level("DEBUG"):
        response = dispatch.work(messages)

    bad = next(message["MessageId"] for message in messages if "zoe@example" in message["Body"][:40])
    assert response == {"batchItemFailures": [{"itemIdentifier": bad}]}
    assert ids(dispatch.attempts()) == {good.delivery_id}
    assert "malformed message" in caplog.text
    assert _is_discreet(caplog)


def test_data_that_cannot_be_used_is_reported(dispatch: Dispatcher, caplog: pytest.LogCaptureFixture) -> None:
    """A delivery whose ids can be read is told of, and comes back for the version that understands it."""
    sent = delivery(start_time=None)
    dispatch.send(sent)

    with caplog.at_level("DEBUG"):
        dispatch.work()

    attempt = dispatch.attempt()
    assert (attempt.delivery_id, attempt.outcome) == (sent.delivery_id, "retrying")
    assert attempt.error == "invalid_message"
    assert _is_discreet(caplog)


def test_a_surprise_in_one_delivery_is_not_the_others(
    dispatch: Dispatcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that nobody thought of is reported as one, without its text."""

    def surprise(_delivery: object) -> None:
        raise RuntimeError("zoe@example.com")

    monkeypatch.setitem(subscribers.KINDS, "surprise", surprise)
    bad, good = delivery("surprise"), delivery()
    dispatch.send(bad, good)

    with caplog.at_level("DEBUG"):
        dispatch.work(dispatch.receive(at_least=2))

    outcomes = {attempt.delivery_id: (attempt.outcome, attempt.error) for attempt in dispatch.attempts()}
    assert outcomes == {bad.delivery_id: ("retrying", "internal"), good.delivery_id: ("delivered", None)}
    assert _is_discreet(caplog)


def test_no_contact_and_no_body_is_logged(dispatch: Dispatcher, caplog: pytest.LogCaptureFixture) -> None:
    """Logs say which delivery and what came of it, and nothing of whom it is about."""
    dispatch.partner.script = [answer(400, {"echo": "zoe@example.com"}), partners.reset]
    dispatch.send(delivery(), delivery(), delivery())

    with caplog.at_level("DEBUG"):
        dispatch.work(dispatch.receive(at_least=3))

    assert {record.__dict__.get("outcome") for record in caplog.records} >= {"delivered", "retrying"}
    assert _is_discreet(caplog)


def test_an_attempt_says_which_change_it_tells_of(
    dispatch: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    """By the id under which the log of the request has it."""
    one = delivery()
    dispatch.send(one)

    with caplog.at_level("INFO"):
        dispatch.work(dispatch.receive())

    [told] = [record.__dict__ for record in caplog.records if record.message == "attempt"]
    assert told["correlation_id"] == f"{one.data['appointment_id']}/{one.version}"


def test_attempts_and_outcomes_are_counted(dispatch: Dispatcher, capsys: pytest.CaptureFixture[str]) -> None:
    """One blob of metrics an invocation, in CloudWatch's embedded format."""
    dispatch.partner.script = [answer(503, {})]
    dispatch.send(delivery(), delivery(), delivery("fax"))
    messages = dispatch.receive(at_least=3)
    capsys.readouterr()

    dispatch.work(messages)

    lines = [line for line in json_lines(capsys) if "_aws" in line]
    (blob,) = lines
    counted = {name: blob[name] for name in blob if name.startswith("Deliver")}
    latency = counted.pop("DeliveryLatency")
    assert counted == {
        "DeliveryAttempts": [3.0],
        "DeliveriesDelivered": [1.0],
        "DeliveriesRetried": [1.0],
        "DeliveriesFailed": [1.0],
        "DeliveriesHeld": [0.0],
    }
    assert len(latency) == 3


def test_the_function_ends_in_time(dispatch: Dispatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the invocation has less time than an attempt may take, the attempt gets what there is."""
    set_environment(monkeypatch, {"WEBHOOK_TIMEOUT_SECONDS": "60"})
    dispatch.partner.always = partners.silence
    dispatch.send(delivery())
    messages = dispatch.receive()
    within = context(9)

    dispatch.work(messages, within)

    assert within.get_remaining_time_in_millis() > 5_000
    assert dispatch.attempt().error == "timeout"


def test_the_loop_that_lambda_keeps_serves_one_invocation_after_another(
    dispatch: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Lambda the event loop outlives an invocation: nothing in it belongs to an earlier one."""
    monkeypatch.setenv("LAMBDA_TASK_ROOT", "/var/task")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        for behaviour in (partners.drip, partners.flood, answer(200, {})):
            dispatch.partner.script = [behaviour]
            dispatch.send(delivery())
            dispatch.work(dispatch.receive())
            loop.run_until_complete(asyncio.sleep(0))  # what was left half read is thrown away
            assert not asyncio.all_tasks(loop)
    finally:
        asyncio.set_event_loop(None)
        loop.close()

    assert sorted(attempt.outcome for attempt in dispatch.attempts()) == [
        "delivered",
        "delivered",
        "retrying",
    ]


def _is_discreet(caplog: pytest.LogCaptureFixture) -> bool:
    # Whole records, with what is handed over beside the message; botocore's own are off in production.
    ours: list[dict[str, Any]] = [
        record.__dict__
        for record in caplog.records
        if not record.name.startswith(("botocore", "boto3", "urllib3"))
    ]
    return bool(ours) and not any(word in str(ours) for word in ("zoe@", "Zoë", "Secret", "echo"))
