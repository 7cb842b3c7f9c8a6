"""A POST to partners that misbehave on a real connection."""

import asyncio
import socket
from collections.abc import Iterator
from math import inf
from time import perf_counter

import pytest

from fairslot.platform.http_client import ANSWER_BYTES, Reply, RequestFailedError, post
from tests.support import scripted_partner as partners
from tests.support.scripted_partner import Behaviour, ScriptedPartner, answer

BODY = '{"a":"ö"}'.encode()


@pytest.fixture
def partner() -> Iterator[ScriptedPartner]:
    """Run a partner that the test tells how to behave."""
    with partners.scripted_partner() as server:
        yield server


def send(url: str, seconds: float = 10.0, until: float = inf) -> Reply:
    """Post a small body."""
    return asyncio.run(
        post(
            url, headers={"X-Idempotency-Key": "k"}, content=BODY, seconds=seconds, until=until, trusted=True
        )
    )


def test_the_body_and_the_answer_pass(partner: ScriptedPartner) -> None:
    """JSON there, status, headers and content back."""
    partner.script = [answer(201, {"id": 1}, Retry_After="3")]

    reply = send(f"{partner.url}/path?q=1")

    (request,) = partner.received
    assert (request.path, request.body) == ("/path?q=1", {"a": "ö"})
    assert request.headers["x-idempotency-key"] == "k"
    assert request.headers["user-agent"] == "Fairslot"
    assert (reply.status_code, reply.content, reply.whole) == (201, b'{"id": 1}', True)
    assert reply.headers["retry-after"] == "3"


def test_a_body_is_sent_in_time_or_not_at_all(partner: ScriptedPartner) -> None:
    """What is sent is the same with a limit as without; after it the partner gets nothing of the body."""
    send(partner.url, until=perf_counter() + 60)
    send(partner.url)
    limited, unlimited = partner.received
    assert (limited.raw, limited.headers) == (unlimited.raw, unlimited.headers)
    with pytest.raises(RequestFailedError) as raised:
        send(partner.url, until=perf_counter())
    assert raised.value.reason == "too_late"
    assert len(partner.received) == 2


@pytest.mark.parametrize("behaviour", [partners.silence, partners.drip, partners.drip_headers])
def test_the_whole_request_is_bounded(partner: ScriptedPartner, behaviour: Behaviour) -> None:
    """However the time is wasted, a byte now and then included, it ends when it should."""
    partner.script = [behaviour]
    begun = perf_counter()

    with pytest.raises(RequestFailedError) as raised:
        send(partner.url, seconds=0.3)

    assert raised.value.reason == "timeout"
    assert 0.3 <= perf_counter() - begun < 3


def test_a_partner_that_accepts_no_connection_in_time_is_a_timeout() -> None:
    """A listener whose queue is full lets callers wait: the bound holds for connecting too."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
        pytest.raises(RequestFailedError) as raised,
    ):
        send(f"http://127.0.0.1:{full.getsockname()[1]}", seconds=0.3)

    assert raised.value.reason == "timeout"


@pytest.mark.parametrize("behaviour", [partners.reset, partners.hang_up_half_way, partners.nonsense])
def test_a_broken_connection_is_told(partner: ScriptedPartner, behaviour: Behaviour) -> None:
    """There is no whole answer, whatever broke."""
    partner.script = [behaviour]

    with pytest.raises(RequestFailedError) as raised:
        send(partner.url)

    assert raised.value.reason == "connection"


def test_a_partner_that_is_not_there_is_told() -> None:
    """A refused connection is a broken one."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()

    with pytest.raises(RequestFailedError) as raised:
        send(f"http://127.0.0.1:{address[1]}")

    assert raised.value.reason == "connection"


@pytest.mark.parametrize("url", ["", "/webhooks/x", "ftp://example.com/", "http://[::1"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    """A mistake in a setting is no surprise."""
    with pytest.raises(RequestFailedError) as raised:
        send(url)

    assert raised.value.reason == "invalid_url"


def test_only_the_beginning_of_an_endless_answer_is_read(partner: ScriptedPartner) -> None:
    """Memory and time stay bounded, and the request counts as answered."""
    partner.script = [partners.flood]

    reply = send(partner.url)

    assert (reply.status_code, len(reply.content), reply.whole) == (200, ANSWER_BYTES, False)


def test_a_redirect_is_not_followed(partner: ScriptedPartner) -> None:
    """What was meant for one address goes to no other."""
    partner.script = [answer(307, {}, Location=f"{partner.url}/elsewhere")]

    assert send(f"{partner.url}/here").status_code == 307
    assert [request.path for request in partner.received] == ["/here"]


@pytest.mark.parametrize("location", ["https://xn--a/", "javascript:alert(1)", "http:foo", "urn:x"])
def test_wherever_a_redirect_leads_its_status_is_known(partner: ScriptedPartner, location: str) -> None:
    """A Location that is no URL is a redirect all the same."""
    partner.script = [answer(302, {}, Location=location)]

    assert send(partner.url).status_code == 302


def test_the_environments_proxy_is_not_used(
    partner: ScriptedPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries take the straight way, whatever the shell that started the process says."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    assert send(partner.url).status_code == 200
