"""What is changed at an endpoint reaches what is on the queue for it, after one attempt at the most."""

from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from background import results
from fairslot.dispatch import endpoint_limits
from fairslot.platform.db import Connection
from local.sqs import SqsStandIn
from tests.support.dispatch import Dispatcher, dispatcher
from tests.support.endpoints import PATH, set_delivery, subscribed
from tests.support.http import ask, booked
from tests.support.lambda_context import context
from tests.support.scripted_partner import answer
from tests.support.sqs_events import batch_event


@pytest.fixture
def dispatch(team: Connection, sqs: SqsStandIn) -> Iterator[Dispatcher]:
    """Set up both functions, the queues between them and a subscriber that answers with errors."""
    with dispatcher(sqs, max_attempts=13) as made:
        made.partner.always = answer(500, {})
        yield made


def subscriber(dispatch: Dispatcher) -> dict[str, Any]:
    """Make a subscriber and let it fail to take an event once."""
    made = subscribed(url=f"{dispatch.partner.url}/old")
    booked()
    attempt(dispatch)
    return made


def attempt(dispatch: Dispatcher) -> list[str]:
    """Make the attempts that are due, and have their results taken in; return the results."""
    dispatch.work()
    return dispatch.record_results()


def change(endpoint: dict[str, Any], **members: Any) -> None:
    """Change an endpoint."""
    assert ask("PATCH", f"{PATH}/{endpoint['endpoint_id']}", members).status == 200


def delivery() -> dict[str, Any]:
    """Return the only delivery there is."""
    (found,) = ask("GET", "/api/deliveries").json["data"]
    return dict(found)


def paths(dispatch: Dispatcher) -> list[str]:
    """Return where the subscriber was called."""
    return [request.path for request in dispatch.partner.received]


def test_a_subscriber_that_is_taken_away_is_told_nothing_more(dispatch: Dispatcher) -> None:
    """The attempt that was due finds out; the delivery is cancelled and its message gone."""
    made = subscriber(dispatch)
    assert ask("DELETE", f"{PATH}/{made['endpoint_id']}").status == 204
    attempt(dispatch)
    assert (delivery()["status"], delivery()["reason"]) == ("cancelled", "endpoint_disabled")
    assert (dispatch.left(), len(paths(dispatch))) == (0, 2)


def test_an_endpoint_that_is_turned_off_is_told_nothing_more(dispatch: Dispatcher) -> None:
    """The delivery has failed and can be recovered; a recovery begins a round of its own."""
    made = subscriber(dispatch)
    change(made, enabled=False)
    attempt(dispatch)
    assert (delivery()["status"], delivery()["reason"]) == ("failed", "endpoint_disabled")
    assert (dispatch.left(), len(paths(dispatch))) == (0, 2)
    change(made, enabled=True)
    dispatch.partner.always = answer(200)
    again = ask("POST", f"{PATH}/{made['endpoint_id']}/recover", {"since": "2020-01-01T00:00:00Z"})
    assert again.status == 200
    attempt(dispatch)
    assert delivery()["status"] == "delivered"


def test_another_address_is_asked_next(dispatch: Dispatcher) -> None:
    """The same delivery goes there, at once, and its attempts are counted on."""
    made = subscriber(dispatch)
    change(made, url=f"{dispatch.partner.url}/new")
    attempt(dispatch)
    dispatch.partner.always = answer(200)
    began = monotonic()
    attempt(dispatch)
    assert monotonic() - began < 1
    assert paths(dispatch) == ["/old", "/old", "/new"]
    assert [one["attempt"] for one in delivery()["attempts"]] == [1, 2, 3]
    assert (delivery()["status"], dispatch.left()) == ("delivered", 0)


def test_a_secret_that_was_replaced_signs_no_more(dispatch: Dispatcher) -> None:
    """Without an overlap, as one does when it is known to others."""
    made = subscriber(dispatch)
    path = f"{PATH}/{made['endpoint_id']}/rotate-secret"
    new = ask("POST", path, {"overlap_hours": 0}).json["secret"]
    attempt(dispatch)
    attempt(dispatch)
    last = dispatch.partner.received[-1]
    Webhook(new).verify(last.raw, dict(last.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(last.raw, dict(last.headers))


@pytest.mark.parametrize(
    "members", [{"headers": {"X-Tenant": "t"}}, {"concurrency": 3}, {"rate_per_second": 5}]
)
def test_headers_and_limits_go_along(dispatch: Dispatcher, members: dict[str, Any]) -> None:
    """Everything that messages carry."""
    made = subscriber(dispatch)
    change(made, **members)
    attempt(dispatch)
    (message,) = dispatch.receive()
    for name, value in members.items():
        assert f'"{name}":{value}'.replace("'", '"').replace(" ", "") in message["Body"].replace(" ", "")


def test_what_messages_do_not_carry_changes_none(dispatch: Dispatcher) -> None:
    """The message waits for its turn as it would have."""
    made = subscriber(dispatch)
    change(made, description="another", event_types=["*"])
    attempt(dispatch)
    assert dispatch.counts() == (0, 1, 0)
    assert delivery()["next_attempt_at"] is not None


def test_a_result_that_comes_again_sends_no_second_message(dispatch: Dispatcher) -> None:
    """Of one message comes one other."""
    made = subscriber(dispatch)
    change(made, url=f"{dispatch.partner.url}/new")
    dispatch.work()
    dispatch.record_results(times=3)
    assert dispatch.left() == 1


def test_a_message_that_was_received_again_goes_the_next_time(dispatch: Dispatcher) -> None:
    """Its old handle takes nothing away, which is no error; it is not replaced twice."""
    made = subscriber(dispatch)
    change(made, url=f"{dispatch.partner.url}/new")
    dispatch.work()
    (stale,) = dispatch.receive()
    dispatch.record_results()
    dispatch.work([stale])
    dispatch.partner.always = answer(200)
    dispatch.record_results()
    while dispatch.left():
        attempt(dispatch)
    assert paths(dispatch).count("/new") == 1
    assert delivery()["status"] == "delivered"


def test_what_was_held_back_finds_out_by_its_next_attempt(dispatch: Dispatcher) -> None:
    """It waits as another message, which carries the old address until then."""
    made = subscriber(dispatch)
    limiter = endpoint_limits.limiter(str(made["endpoint_id"]))
    limiter.broken, limiter.open_until = True, monotonic() + 3
    attempt(dispatch)
    assert delivery()["reason"] == "circuit_open"
    change(made, url=f"{dispatch.partner.url}/new")
    limiter.answered()
    attempt(dispatch)
    attempt(dispatch)
    assert paths(dispatch) == ["/old", "/old", "/new"]
    assert [one["attempt"] for one in delivery()["attempts"]] == [1, 2, 3]


def test_an_old_address_that_is_gone_says_nothing_of_the_new_one(dispatch: Dispatcher) -> None:
    """410 from where the endpoint was: it stays on, and the event is told where it is."""
    made = subscriber(dispatch)
    change(made, url=f"{dispatch.partner.url}/new")
    dispatch.partner.script = [answer(410, {}), answer(200)]
    attempt(dispatch)
    attempt(dispatch)
    assert paths(dispatch) == ["/old", "/old", "/new"]
    assert ask("GET", f"{PATH}/{made['endpoint_id']}").json["enabled"]
    assert delivery()["status"] == "delivered"


def test_what_has_arrived_otherwise_is_not_tried_again(dispatch: Dispatcher, team: Connection) -> None:
    """A second message of a delivery goes when the first has delivered."""
    subscriber(dispatch)
    set_delivery(team, status="delivered")
    attempt(dispatch)
    assert (dispatch.left(), len(paths(dispatch))) == (0, 2)


def test_a_dispatcher_of_before_changes_nothing(dispatch: Dispatcher) -> None:
    """What cannot be taken off the queue is not replaced either."""
    made = subscriber(dispatch)
    change(made, url=f"{dispatch.partner.url}/new")
    dispatch.work()
    (only,) = dispatch.attempts()
    report = only.to_json().replace('"receipt_handle"', '"of_another_version"')
    results.lambda_handler(batch_event(report), context())
    assert dispatch.counts() == (0, 1, 0)
