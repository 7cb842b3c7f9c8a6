"""Customers' own subscribers: what they get, what they may ask for, and what they cannot make us do."""

from collections.abc import Iterator
from dataclasses import replace
from time import monotonic, sleep
from uuid import uuid4

import pytest
from standardwebhooks.webhooks import Webhook

from fairslot.dispatch import endpoint_limits
from fairslot.platform import signing_secrets
from local.sqs import SqsStandIn
from tests.support import scripted_partner as partners
from tests.support.deliveries import subscription
from tests.support.dispatch import Dispatcher, dispatcher
from tests.support.environment import set_environment
from tests.support.scripted_partner import Behaviour, answer


@pytest.fixture
def dispatch(sqs: SqsStandIn) -> Iterator[Dispatcher]:
    """Set up the dispatcher with short waits."""
    with dispatcher(sqs, WEBHOOK_TIMEOUT_SECONDS="1") as made:
        yield made


def test_a_subscriber_gets_a_thin_signed_event(dispatch: Dispatcher) -> None:
    """Both secrets verify, the customer's header comes along, and of who has booked nothing is told."""
    new, old = signing_secrets.make(), signing_secrets.make()
    sent = subscription(
        f"{dispatch.partner.url}/hook?tenant=1",
        new,
        old,
        headers={"X-Tenant": "t-1", "Host": "evil", "Webhook-Id": "1", "Content-Length": "3"},
    )
    dispatch.send(sent)

    assert dispatch.work() == {"batchItemFailures": []}

    (request,) = dispatch.partner.received
    assert request.path == "/hook?tenant=1"
    for secret in (new, old):
        assert Webhook(secret).verify(request.raw, dict(request.headers)) == request.body
    assert request.headers["webhook-id"] == request.headers["x-idempotency-key"] == str(sent.event_id)
    assert (request.headers["x-tenant"], request.headers["content-type"]) == ("t-1", "application/json")
    assert request.headers["host"] == dispatch.partner.url.removeprefix("http://")
    assert request.body["type"] == "appointment.created"
    assert request.body["timestamp"].endswith("Z")
    assert request.body["data"]["appointment_id"] == "a-1"
    assert not {"contact_name", "contact_email", "contact_id"} & request.body["data"].keys()
    assert dispatch.attempt().outcome == "delivered"


def test_an_endpoint_is_told_why_another_was_turned_off(dispatch: Dispatcher) -> None:
    """`reason` is a word of ours there, and somebody's own words of an appointment."""
    data = {"endpoint_id": "e-1", "reason": "failing", "contact_email": "zoe@example.com"}
    dispatch.send(
        replace(subscription(dispatch.partner.url, type_="endpoint.disabled"), data=data),
        subscription(
            dispatch.partner.url, type_="appointment.cancelled", data={"reason": "A private matter"}
        ),
    )
    dispatch.work(dispatch.receive(at_least=2))
    told = {request.body["type"]: request.body["data"] for request in dispatch.partner.received}
    assert told == {
        "endpoint.disabled": {"endpoint_id": "e-1", "reason": "failing"},
        "appointment.cancelled": {},
    }


@pytest.mark.parametrize("body", [b"", b"OK", b'{"success": tr', b"\xff\xfe", b"[" * 60_000])
def test_any_2xx_is_a_success_whatever_its_body_is(dispatch: Dispatcher, body: bytes) -> None:
    """Whoever answers so has taken the event, also where it calls JSON what is none."""
    dispatch.partner.always = answer(200, body)
    dispatch.send(subscription(dispatch.partner.url))
    assert dispatch.work() == {"batchItemFailures": []}
    assert dispatch.attempt().outcome == "delivered"


def test_the_latency_is_the_subscribers_own(dispatch: Dispatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was waited for a secret and for the endpoint's rate is not its fault."""
    decrypt = signing_secrets.decrypt

    def slowly(ciphertext: str, context: dict[str, str]) -> str:
        sleep(0.4)
        return decrypt(ciphertext, context)

    monkeypatch.setattr(signing_secrets, "decrypt", slowly)
    one = subscription(dispatch.partner.url, rate_per_second=2)
    other = replace(one, delivery_id=uuid4())
    begun = monotonic()
    dispatch.send(one, other)
    dispatch.work(dispatch.receive(at_least=2))
    assert monotonic() - begun > 0.9
    assert all(attempt.latency_ms < 300 for attempt in dispatch.attempts())


def test_the_id_stays_and_the_signature_is_each_attempts_own(dispatch: Dispatcher) -> None:
    """A receiver tells a repetition by the id, and can refuse what is old."""
    secret = signing_secrets.make()
    dispatch.partner.script = [answer(500, {})]
    dispatch.send(subscription(dispatch.partner.url, secret))

    dispatch.work()
    dispatch.work()

    first, second = dispatch.partner.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    Webhook(secret).verify(second.raw, dict(second.headers))


def test_gone_ends_the_delivery(dispatch: Dispatcher) -> None:
    """At once: who records it turns the endpoint off."""
    dispatch.partner.script = [answer(410, {})]
    dispatch.send(subscription(dispatch.partner.url))
    assert dispatch.work() == {"batchItemFailures": []}
    attempt = dispatch.attempt()
    assert (attempt.outcome, attempt.error) == ("failed", "http_410")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://169.254.169.254/latest/meta-data/", "blocked_address"),
        ("http://[::1]:80/", "invalid_url"),
        ("https://127.1/", "blocked_address"),
        ("https://localhost/", "blocked_address"),
    ],
)
def test_no_request_leaves_for_an_inside_address(dispatch: Dispatcher, url: str, error: str) -> None:
    """Not even on one's own machine; and it is no use to try again."""
    dispatch.send(subscription(url))
    dispatch.work()
    attempt = dispatch.attempt()
    assert (attempt.error, attempt.outcome, attempt.status_code) == (error, "failed", None)


def test_a_redirect_inside_is_a_failure_like_any(dispatch: Dispatcher) -> None:
    """Nobody goes there."""
    dispatch.partner.script = [answer(302, {}, Location=f"{dispatch.partner.url}/inside")]
    dispatch.send(subscription(dispatch.partner.url))
    dispatch.work()
    assert dispatch.attempt().error == "http_302"
    assert len(dispatch.partner.received) == 1


def test_where_it_is_deployed_plain_http_goes_nowhere(
    dispatch: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the local stack's setting the own machine is as closed as any."""
    set_environment(monkeypatch, {"WEBHOOK_ALLOW_LOOPBACK_HTTP": ""})
    dispatch.send(subscription(dispatch.partner.url))
    dispatch.work()
    assert dispatch.attempt().error == "invalid_url"
    assert dispatch.partner.received == []


def test_a_secret_of_another_endpoint_does_not_open(dispatch: Dispatcher) -> None:
    """A ciphertext that was moved to another row signs nothing."""
    theirs, ours = subscription(dispatch.partner.url), subscription(dispatch.partner.url)
    dispatch.send(replace(ours, secrets=theirs.secrets))
    dispatch.work()
    assert dispatch.attempt().error == "secret_unavailable"
    assert dispatch.partner.received == []


@pytest.mark.parametrize("behaviour", [partners.silence, partners.drip, partners.drip_headers])
def test_an_endpoint_that_hangs_is_left_alone_and_the_others_are_not(
    dispatch: Dispatcher, behaviour: Behaviour
) -> None:
    """Its second batch costs no time at all; deliveries to others go out meanwhile."""
    dispatch.partner.always = behaviour
    with partners.scripted_partner() as other:
        hanging = subscription(dispatch.partner.url)
        dispatch.send(*[hanging] * 10)
        dispatch.work(dispatch.receive(at_least=10))
        dispatch.send(*[hanging] * 5, *(subscription(other.url) for _ in range(5)))
        messages = dispatch.receive(at_least=10)
        begun = monotonic()
        dispatch.work(messages)
        assert monotonic() - begun < 0.9
        assert len(other.received) >= 5 - sum(m["Body"].count(str(hanging.endpoint_id)) > 0 for m in messages)
    attempts = dispatch.attempts()
    left_alone = [attempt for attempt in attempts if attempt.error == "circuit_open"]
    assert left_alone
    for attempt in left_alone:
        assert attempt.next_attempt_at is not None
        assert (attempt.next_attempt_at - attempt.at).total_seconds() > 10


def test_a_subscriber_that_asks_for_time_gets_it_from_all_deliveries(dispatch: Dispatcher) -> None:
    """429 with Retry-After speaks for the endpoint: the next delivery is not sent meanwhile."""
    dispatch.partner.script = [answer(429, {}, Retry_After="30")]
    first = subscription(dispatch.partner.url)
    dispatch.send(first)
    dispatch.work()
    dispatch.send(replace(subscription(dispatch.partner.url), endpoint_id=first.endpoint_id))
    dispatch.work()
    attempts = dispatch.attempts()
    assert [attempt.error for attempt in attempts] == ["http_429", "circuit_open"]
    assert len(dispatch.partner.received) == 1
    assert endpoint_limits.limiter(str(first.endpoint_id)).open_until > monotonic() + 20
