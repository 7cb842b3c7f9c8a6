"""Finding the calendars of an account, from whatever address the coach gives."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from fairslot.calendars.caldav_discovery import FoundCalendar, choose, discover
from fairslot.calendars.interface import CalendarError
from fairslot.platform import addresses
from tests.unit.calendars.dav import ACCOUNT, HOST, LIMITS, Server, lookup, multistatus, response

CALENDAR_TYPE = "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>"
FOLDER = "<D:resourcetype><D:collection/></D:resourcetype>"
EVENTS = '<C:supported-calendar-component-set><C:comp name="VEVENT"/></C:supported-calendar-component-set>'
TASKS = '<C:supported-calendar-component-set><C:comp name="VTODO"/></C:supported-calendar-component-set>'
INBOX = (
    "<D:resourcetype><D:collection/><C:schedule-inbox/></D:resourcetype>"
    "<C:schedule-default-calendar-URL><D:href>/home/second</D:href></C:schedule-default-calendar-URL>"
)
READ_ONLY = (
    "<D:current-user-privilege-set><D:privilege><D:read/></D:privilege></D:current-user-privilege-set>"
)
BOTH = (
    "<D:current-user-privilege-set><D:privilege><D:write-content/></D:privilege>"
    "<D:privilege><D:bind/></D:privilege></D:current-user-privilege-set>"
)
PRINCIPAL = multistatus(
    response("/", f"{FOLDER}<D:current-user-principal><D:href>/u/me/</D:href></D:current-user-principal>")
)
HOME = multistatus(response("/u/me/", "<C:calendar-home-set><D:href>/home/</D:href></C:calendar-home-set>"))
LISTED = multistatus(
    response("/home/", FOLDER),
    response("/home/first/", f"{CALENDAR_TYPE}{EVENTS}{READ_ONLY}<D:displayname>Shared</D:displayname>"),
    response("/home/second/", f"{CALENDAR_TYPE}{EVENTS}{BOTH}"),
    response("/home/tasks/", f"{CALENDAR_TYPE}{TASKS}"),
    response("/home/inbox/", INBOX),
    response("/home/third/", f"{CALENDAR_TYPE}<D:displayname>No rights told</D:displayname>"),
)
FOUND = [
    FoundCalendar(url=f"{HOST}/home/second/", name="second", writable=True, is_default=True),
    FoundCalendar(url=f"{HOST}/home/first/", name="Shared", writable=False),
    FoundCalendar(url=f"{HOST}/home/third/", name="No rights told", writable=True),
]


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find every name."""
    monkeypatch.setattr(addresses, "lookup", lookup)


def find(server: Server, address: str = HOST) -> list[FoundCalendar]:
    return asyncio.run(discover(replace(ACCOUNT, address=address), limits=LIMITS, transport=server))


def refused(server: Server, address: str = HOST) -> str:
    with pytest.raises(CalendarError) as raised:
        find(server, address)
    return raised.value.reason


def to(location: str) -> httpx.Response:
    return httpx.Response(301, headers={"Location": location})


def test_the_way_from_a_host_to_its_calendars() -> None:
    """Well-known address, principal, home, calendars: the default first, and what can hold events alone."""
    server = Server(to("/dav/"), PRINCIPAL, HOME, LISTED)
    assert find(server) == FOUND
    assert server.asked == [
        "PROPFIND dav.test/.well-known/caldav",
        "PROPFIND dav.test/dav/",
        "PROPFIND dav.test/u/me/",
        "PROPFIND dav.test/home/",
    ]
    assert [one.headers["depth"] for one in server.requests] == ["0", "0", "0", "1"]


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_server_without_the_well_known_address(status: int) -> None:
    """Its root is asked."""
    server = Server(httpx.Response(status), PRINCIPAL, HOME, LISTED)
    assert find(server) == FOUND
    assert server.asked[1] == "PROPFIND dav.test/"


def test_a_page_at_the_well_known_address_is_no_answer() -> None:
    """As of a server whose root is a web site."""
    page = httpx.Response(200, content=b"<html>Welcome</html>")
    assert find(Server(page, PRINCIPAL, HOME, LISTED)) == FOUND


def test_an_address_with_a_path_is_asked_itself() -> None:
    """Nextcloud's is /remote.php/dav."""
    server = Server(PRINCIPAL, HOME, LISTED)
    assert find(server, f"{HOST}/remote.php/dav/") == FOUND
    assert server.asked[0] == "PROPFIND dav.test/remote.php/dav/"
    server = Server(httpx.Response(404), PRINCIPAL, HOME, LISTED)
    assert find(server, f"{HOST}/typo/") == FOUND
    assert server.asked[1] == "PROPFIND dav.test/.well-known/caldav"


def test_a_calendars_own_address_is_that_calendar() -> None:
    """Nobody is asked for more."""
    server = Server(multistatus(response("/home/third/", f"{CALENDAR_TYPE}<D:displayname>X</D:displayname>")))
    assert find(server, f"{HOST}/home/third/") == [
        FoundCalendar(url=f"{HOST}/home/third/", name="X", writable=True)
    ]
    assert len(server.requests) == 1


def test_homes_on_another_host_of_the_provider() -> None:
    """As iCloud's are."""
    home = multistatus(
        response(
            "/u/me/",
            "<C:calendar-home-set><D:href>https://p07-caldav.icloud.com:443/1/calendars/</D:href></C:calendar-home-set>",
        )
    )
    server = Server(PRINCIPAL, home, multistatus(response("/1/calendars/work/", CALENDAR_TYPE)))
    (found,) = find(server, "https://caldav.icloud.com/dav")
    assert found.url == "https://p07-caldav.icloud.com/1/calendars/work/"
    assert server.asked[2] == "PROPFIND p07-caldav.icloud.com/1/calendars/"


def test_no_host_that_a_server_names_gets_the_password() -> None:
    """Neither by a redirect, nor as a principal, a home or a calendar."""
    evil = "https://evil.test/"
    principal = multistatus(
        response("/", f"<D:current-user-principal><D:href>{evil}</D:href></D:current-user-principal>")
    )
    home = multistatus(
        response("/u/me/", f"<C:calendar-home-set><D:href>{evil}</D:href></C:calendar-home-set>")
    )
    listed = multistatus(response(f"{evil}x/", CALENDAR_TYPE))
    for answers in ((to(evil),), (principal,), (PRINCIPAL, home), (PRINCIPAL, HOME, listed)):
        server = Server(*answers)
        assert refused(server) == "other_domain"
        assert not [one for one in server.asked if "evil" in one]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((httpx.Response(401),), "unauthorized"),
        ((httpx.Response(503),), "http_503"),
        ((httpx.ConnectError("x"),), "connection"),
        ((httpx.Response(404), httpx.Response(404)), "not_found"),
        ((PRINCIPAL, multistatus(response("/u/me/", missing="<C:calendar-home-set/>"))), "not_found"),
        ((PRINCIPAL, HOME, multistatus(response("/home/", FOLDER))), "not_found"),
        ((PRINCIPAL, HOME, httpx.Response(207, content=b"<x/>")), "invalid_body"),
        ((multistatus(response("/", "", "<D:current-user-principal/>")),) * 2, "not_found"),
    ],
)
def test_an_account_without_calendars(answers: tuple[httpx.Response | Exception, ...], reason: str) -> None:
    """Says why."""
    assert refused(Server(*answers)) == reason


def test_only_some_homes_are_asked() -> None:
    """A server that names thousands is asked for five."""
    homes = "".join(f"<D:href>/home/{number}/</D:href>" for number in range(1000))
    many = multistatus(response("/u/me/", f"<C:calendar-home-set>{homes}</C:calendar-home-set>"))
    server = Server(PRINCIPAL, many, *[LISTED] * 5)
    find(server)
    assert len(server.requests) == 2 + 5


def test_the_given_calendar_or_the_default_is_chosen() -> None:
    """One that is to be written to must allow that."""
    assert choose(FOUND, writes=True) == FOUND[0]
    assert choose(FOUND, f"{HOST}/home/third", writes=True) == FOUND[2]
    assert choose(FOUND[1:], writes=True) == FOUND[2]
    assert choose(FOUND[1:2], writes=False) == FOUND[1]
    assert choose(FOUND, FOUND[1].url, writes=False) == FOUND[1]


@pytest.mark.parametrize(
    ("found", "url", "reason"),
    [
        (FOUND, f"{HOST}/home/other/", "not_found"),
        (FOUND, FOUND[1].url, "forbidden"),
        (FOUND[1:2], None, "forbidden"),
        ([], None, "not_found"),
    ],
)
def test_a_calendar_that_cannot_be_chosen(found: list[FoundCalendar], url: str | None, reason: str) -> None:
    """Says why."""
    with pytest.raises(CalendarError) as raised:
        choose(found, url, writes=True)
    assert raised.value.reason == reason
