"""The password of a CalDAV account: which hosts get it, and which never do."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from fairslot.calendars import fetch
from fairslot.calendars.caldav_account import Account, Answer, DavClient, may_get_password
from fairslot.calendars.interface import CalendarError
from fairslot.platform import addresses
from fairslot.platform.http_client import MOST_REDIRECTS
from tests.support.environment import clear_caches, set_environment
from tests.unit.calendars.dav import ACCOUNT, HOST, LIMITS, Server, lookup

BASIC = "Basic Y29hY2g6czNjcmV0"
DONE = httpx.Response(207)


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find every name, and try again at once."""
    monkeypatch.setattr(addresses, "lookup", lookup)
    monkeypatch.setattr(fetch, "PAUSE_SECONDS", 0.0)


def send(server: Server, url: str = f"{HOST}/a/", account: Account = ACCOUNT, attempts: int = 1) -> Answer:
    client = DavClient(account, limits=replace(LIMITS, attempts=attempts), transport=server)
    return asyncio.run(client.send("PROPFIND", url, headers={"Depth": "1"}, content=b"<x/>"))


def refused(server: Server, url: str = f"{HOST}/a/", account: Account = ACCOUNT) -> CalendarError:
    with pytest.raises(CalendarError) as raised:
        send(server, url, account)
    assert "s3cret" not in repr(raised.value)
    return raised.value


def to(location: str | None, status: int = 301) -> httpx.Response:
    return httpx.Response(status, headers={"Location": location} if location is not None else {})


def test_a_request_carries_the_password() -> None:
    """Once, in the header; the host is asked by its address."""
    server = Server(DONE)
    assert send(server).url == f"{HOST}/a/"
    (request,) = server.requests
    assert (request.headers["authorization"], request.headers["host"]) == (BASIC, "dav.test")
    assert request.url.host == "93.184.216.34"
    assert "s3cret" not in repr(ACCOUNT)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_with_method_and_body(status: int) -> None:
    """PROPFIND is no GET: RFC 6764 sends clients on from the well-known address."""
    server = Server(to("/b/", status), to("https://cal.dav.test/c/", status), DONE)
    assert send(server).url == "https://cal.dav.test/c/"
    assert server.asked == ["PROPFIND dav.test/a/", "PROPFIND dav.test/b/", "PROPFIND cal.dav.test/c/"]
    for request in server.requests:
        assert (request.headers["authorization"], request.headers["depth"]) == (BASIC, "1")
        assert request.content == b"<x/>"


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("https://evil.test/", "other_domain"),
        ("https://dav.test.evil.test/", "other_domain"),
        ("https://evildav.test/", "other_domain"),
        ("https://test/", "blocked_address"),
        ("https://93.184.216.35/", "other_domain"),
        ("http://dav.test/", "invalid_url"),
        ("https://me:s3cret@dav.test/", "invalid_url"),
        ("https://dav.test:6379/", "invalid_url"),
        ("https://10.0.0.1/", "blocked_address"),
        ("https://169.254.169.254/latest/meta-data", "blocked_address"),
        ("http://127.0.0.1:8080/", "invalid_url"),
        ("file:///etc/passwd", "invalid_url"),
        ("//evil.test/x", "other_domain"),
        ("https://dav.test/#x", "invalid_url"),
        ("https://[", "invalid_url"),
    ],
)
def test_a_redirect_elsewhere_gets_nothing(location: str, reason: str) -> None:
    """Not even a request without the password."""
    server = Server(to(location))
    assert refused(server).reason == reason
    assert server.asked == ["PROPFIND dav.test/a/"]


def test_a_host_of_the_domain_that_is_inside_gets_nothing() -> None:
    """The guard looks at the address of each."""
    server = Server(to("https://inside.dav.test/"))
    assert refused(server).reason == "blocked_address"
    assert server.asked == ["PROPFIND dav.test/a/"]
    server = Server(DONE)
    account = replace(ACCOUNT, address="https://inside.test")
    assert refused(server, "https://inside.test/", account).reason == "blocked_address"
    assert server.requests == []


def test_redirects_without_end_do() -> None:
    """After so many."""
    server = Server(*[to("/a/")] * 20)
    assert refused(server).reason == "too_many_redirects"
    assert len(server.requests) == MOST_REDIRECTS + 1
    assert refused(Server(to(None), *[to(None)] * 9)).reason == "too_many_redirects"


@pytest.mark.parametrize(
    ("home", "url", "may"),
    [
        ("https://dav.test", "https://dav.test/x", True),
        ("https://dav.test", "https://DAV.test./x", True),
        ("https://dav.test", "https://p7.dav.test:8443/x", True),
        ("https://dav.test", "https://other.test", False),
        ("https://p7.dav.test", "https://dav.test", False),
        ("https://cloud.example.co.uk", "https://other.co.uk", False),
        ("https://caldav.icloud.com", "https://p01-caldav.icloud.com/1/", True),
        ("https://icloud.com", "https://p01-caldav.icloud.com/1/", True),
        ("https://caldav.icloud.com.evil.test", "https://p01-caldav.icloud.com/1/", False),
        ("https://evilicloud.com", "https://p01-caldav.icloud.com/1/", False),
        ("https://dav.test", "http://dav.test", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/x", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001/x", False),
        ("http://127.0.0.1:8000", "https://127.0.0.1:8000/x", False),
    ],
)
def test_which_hosts_may_get_it(home: str, url: str, may: bool) -> None:  # noqa: FBT001
    """Those that the coach named, the hosts below, and one provider's own domain."""
    assert may_get_password(httpx.URL(home), httpx.URL(url)) is may


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "invalid_url"),
        ("http://dav.test", "invalid_url"),
        ("ftp://dav.test", "invalid_url"),
        ("https://10.0.0.1", "blocked_address"),
        ("https://localhost", "blocked_address"),
        ("http://127.0.0.1:5232", "invalid_url"),
        ("https://[::1]", "blocked_address"),
        ("https://me:pw@dav.test", "invalid_url"),
        ("https://dav.test:22", "invalid_url"),
        ("https://[", "invalid_url"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(address: str, reason: str) -> None:
    """Before anything is sent."""
    with pytest.raises(CalendarError) as raised:
        DavClient(replace(ACCOUNT, address=address))
    assert raised.value.reason == reason


def test_an_address_may_leave_out_https() -> None:
    """As people write it."""
    server = Server(DONE)
    send(server, account=replace(ACCOUNT, address="dav.test"))
    assert server.asked == ["PROPFIND dav.test/a/"]


@pytest.fixture
def one_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Allow plain http to loopback."""
    set_environment(monkeypatch, {"WEBHOOK_ALLOW_LOOPBACK_HTTP": "true"})
    yield
    monkeypatch.undo()
    clear_caches()


@pytest.mark.usefixtures("one_machine")
def test_on_one_machine_loopback_may_be_asked() -> None:
    """The same port alone."""
    account = replace(ACCOUNT, address="http://127.0.0.1:5232")
    assert send(Server(DONE), "http://127.0.0.1:5232/a/", account).ok
    server = Server(to("http://127.0.0.1:6379/"))
    assert refused(server, "http://127.0.0.1:5232/a/", account).reason == "other_domain"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "reason", "ended"),
    [
        (401, "unauthorized", "disconnected"),
        (403, "forbidden", None),
        (404, "not_found", None),
        (410, "not_found", None),
        (405, "http_405", "unsupported"),
        (501, "http_501", None),
        (400, "http_400", None),
        (503, "http_503", None),
        (500, "http_500", None),
        (304, "http_304", None),
    ],
)
def test_what_a_refusal_means(status: int, reason: str, ended: str | None) -> None:
    """Only a refused password ends a connection, and only a method that there is not ends a calendar."""
    error = refused(Server(httpx.Response(status)))
    assert (error.reason, error.ended) == (reason, ended)


def test_a_server_that_asks_to_wait_is_obeyed() -> None:
    """429 with Retry-After."""
    error = refused(Server(httpx.Response(429, headers={"Retry-After": "77"})))
    assert (error.reason, error.after, error.ended) == ("rate_limited", 77, None)


@pytest.mark.parametrize("fault", [httpx.ConnectError("x"), httpx.ReadError("x"), httpx.Response(502)])
def test_a_passing_fault_is_tried_again(fault: httpx.Response | Exception) -> None:
    """And never ends a connection."""
    assert send(Server(fault, DONE), attempts=2).ok
    assert refused(Server(fault)).ended is None
