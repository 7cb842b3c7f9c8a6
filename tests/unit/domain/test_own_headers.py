"""The headers that an endpoint may add to its requests: taken and sent by one list."""

from dataclasses import replace

import pytest

from fairslot.dispatch import subscribers
from fairslot.domain.errors import ValidationError
from fairslot.webhooks import subscriptions
from fairslot.webhooks.subscriptions import Subscription
from tests.support.mock_partner import EVENT_ID, delivery

OWN = ["X-Team", "x_tenant", "X-Auth-Token", "X-Request-Id", "traceparent", "Cache-Control", "X-Rangefinder"]
REFUSED = [
    "Authorization",
    "Content_Length",
    "Cookie",
    "Date",
    "Forwarded",
    "If-Match",
    "If_None_Match",
    "Origin",
    "Range",
    "User-Agent",
    "Via",
    "webhook_signature",
    "X-Accel-Redirect",
    "X-API-Key",
    "X-Forwarded-For",
    "X-HTTP-Method-Override",
    "X-Remote-User",
    "X_Sendfile",
]


def is_taken(name: str) -> bool:
    """Tell whether an endpoint can be given a header."""
    wish = Subscription(url=None, event_types=["*"], headers={name: "x"})
    try:
        subscriptions.accept(wish, names=["headers"])
    except ValidationError:
        return False
    return True


def is_sent(name: str) -> bool:
    """Tell whether a header that an endpoint has goes out with its events."""
    sent = replace(
        delivery("standard"),
        url="https://hooks.example.com/",
        endpoint_id=EVENT_ID,
        secrets=("ciphertext",),
        headers={name: "x"},
    )
    return name in subscribers.standard(sent).headers


@pytest.mark.parametrize("name", OWN)
def test_an_endpoint_has_headers_of_its_own(name: str) -> None:
    """What means nothing to a connection, a proxy or us is the customer's."""
    assert is_taken(name)
    assert is_sent(name)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_not_sent_either(name: str) -> None:
    """An endpoint from before a rule does not send what none can be given now."""
    assert not is_taken(name)
    assert not is_sent(name)
