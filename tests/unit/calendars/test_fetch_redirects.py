"""Where a feed's server sends us on: followed through the guard, hop by hop, with nothing of ours."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from fairslot.calendars.fetch import Limits, fetch
from fairslot.calendars.interface import CalendarError
from fairslot.platform import addresses
from fairslot.platform.http_client import MOST_REDIRECTS
from fairslot.platform.settings import settings
from tests.unit.calendars.test_fetch import Script, ok

LIMITS = Limits(attempts=4, answer_seconds=5, total_seconds=10)
URL = "https://calendar.test/feed.ics?token=s3cret"
PUBLIC, OTHER, INSIDE = "93.184.216.34", "93.184.216.35", "10.0.0.1"
NAMES = {"calendar.test": [PUBLIC], "cdn.test": [OTHER], "inner.test": [OTHER, INSIDE]}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The names that there are, with their addresses; a test may change them."""
    known = {name: [*found] for name, found in NAMES.items()}

    async def lookup(host: str, _port: int) -> Sequence[str]:
        return known.get(host, [])

    monkeypatch.setattr(addresses, "lookup", lookup)
    return known


def to(location: str | None, status: int = 302, cookie: str = "") -> httpx.Response:
    headers = {"Location": location, "Set-Cookie": cookie}
    return httpx.Response(status, headers={name: value for name, value in headers.items() if value})


def get(script: Script, url: str = URL) -> bytes:
    return asyncio.run(fetch(url, accept="text/calendar", limits=LIMITS, transport=script))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_with_nothing_of_ours(status: int) -> None:
    """The next host gets a request of its own: no cookie, no query, no word of where we come from."""
    script = Script(to("https://cdn.test/a/b.ics", status, cookie="session=s3cret; Path=/"), ok())
    assert get(script) == b"body"
    first, second = script.requests
    assert (first.url.host, first.headers["host"]) == (PUBLIC, "calendar.test")
    assert (str(second.url), second.headers["host"]) == (f"https://{OTHER}/a/b.ics", "cdn.test")
    assert second.extensions["sni_hostname"] == "cdn.test"
    assert not {"cookie", "authorization", "referer"} & set(second.headers)
    assert "s3cret" not in repr((second.url, second.headers))


def test_a_place_on_the_same_host_is_found() -> None:
    """A relative Location is relative to what was asked; webcal is https there too."""
    script = Script(to("../b.ics", cookie="session=s3cret; Path=/"), to("webcal://cdn.test/c.ics"), ok())
    assert get(script, "https://calendar.test/x/a.ics") == b"body"
    assert "cookie" not in script.requests[1].headers
    assert [str(one.url) for one in script.requests[1:]] == [
        f"https://{PUBLIC}/b.ics",
        f"https://{OTHER}/c.ics",
    ]


@pytest.mark.parametrize(
    "location",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "https://inner.test/",
        "https://localhost/",
        "https://cdn.test:6379/",
        "https://me:s3cret@cdn.test/",
        "http://cdn.test/feed.ics",
        "http://127.0.0.1:8080/",
        "//10.0.0.1/",
        "file:///etc/passwd",
        "gopher://cdn.test/",
        "mailto:x@cdn.test",
        "javascript:alert(1)",
        "data:text/calendar,x",
        "urn:x",
        "http:foo",
        "x:y",
        "https://xn--a/",
        "https://cdn.test:99999/",
        None,
    ],
)
def test_a_redirect_to_anywhere_else_is_refused(location: str | None) -> None:
    """Nothing is sent there, and it is not tried again."""
    script = Script(to(location), ok())
    with pytest.raises(CalendarError, match=r"^(blocked_address|invalid_url)$"):
        get(script)
    assert len(script.requests) == 1


def test_a_name_that_changes_on_the_way_is_looked_up_again(names: dict[str, list[str]]) -> None:
    """A public host that sends us to itself, where it has an inside address meanwhile, gets nothing."""

    async def rebind() -> httpx.Response:
        names["calendar.test"] = [INSIDE]
        return to(URL)

    script = Script(rebind, ok())
    with pytest.raises(CalendarError, match=r"^blocked_address$"):
        get(script)
    assert len(script.requests) == 1


def test_redirects_are_counted() -> None:
    """Five are followed, a sixth is not, whatever attempts are left."""
    hops = [to(f"https://cdn.test/{number}") for number in range(MOST_REDIRECTS)]
    assert get(Script(*hops, ok())) == b"body"
    script = Script(*hops, to("https://cdn.test/more"), ok())
    with pytest.raises(CalendarError, match=r"^too_many_redirects$"):
        get(script)
    assert len(script.requests) == MOST_REDIRECTS + 1


def test_a_fault_behind_a_redirect_starts_again() -> None:
    """The next attempt asks the first address again, which may point elsewhere by then."""
    script = Script(to("https://cdn.test/a"), httpx.Response(503, headers={"Retry-After": "0"}), ok())
    assert get(script) == b"body"
    assert [one.headers["host"] for one in script.requests] == ["calendar.test", "cdn.test", "calendar.test"]


@pytest.mark.parametrize("scheme", ["webcal", "WEBCAL", "webcals"])
def test_webcal_is_https(scheme: str) -> None:
    """As calendars write addresses to subscribe to; it is judged as any other."""
    script = Script(ok())
    assert get(script, f"{scheme}://calendar.test/feed.ics") == b"body"
    assert str(script.requests[0].url) == f"https://{PUBLIC}/feed.ics"
    with pytest.raises(CalendarError, match=r"^blocked_address$"):
        get(Script(ok()), f"{scheme}://10.0.0.1/feed.ics")


def test_real_servers_on_loopback_redirect_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over sockets: one server sends us to another, by the tests' setting alone."""

    async def answer(writer: asyncio.StreamWriter, text: str) -> None:
        writer.write(f"HTTP/1.1 {text}".encode())
        await writer.drain()
        writer.close()

    async def run() -> bytes:
        async def last(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answer(writer, "200 OK\r\nContent-Length: 4\r\n\r\nbody")

        async def first(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answer(
                writer, f"302 Found\r\nLocation: http://127.0.0.1:{ports[1]}/\r\nContent-Length: 0\r\n\r\n"
            )

        async with (
            await asyncio.start_server(first, "127.0.0.1", 0) as one,
            await asyncio.start_server(last, "127.0.0.1", 0) as two,
        ):
            ports = [server.sockets[0].getsockname()[1] for server in (one, two)]
            return await fetch(f"http://127.0.0.1:{ports[0]}/", accept="*/*", limits=LIMITS)

    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    settings.cache_clear()
    try:
        assert asyncio.run(run()) == b"body"
    finally:
        monkeypatch.undo()
        settings.cache_clear()
