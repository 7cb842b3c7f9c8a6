"""Radicale and Xandikos: how their calendars are found, and where they differ (docs/calendars.md)."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from fairslot.calendars.caldav import CaldavCalendar
from fairslot.calendars.caldav_discovery import discover
from fairslot.calendars.caldav_objects import new_object
from fairslot.calendars.event_ids import event_id
from fairslot.calendars.interface import CalendarError
from tests.support.caldav_servers import CaldavServer, Radicale, Xandikos
from tests.support.caldav_tried import TriedCaldav, text_of
from tests.support.environment import clear_caches, set_environment
from tests.support.tried_calendar import SOURCE, ZONE, Foreign, an_event, asked, at, busy, moved, stands


@pytest.fixture(scope="module", params=[Radicale, Xandikos], ids=lambda made: made.name)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CaldavServer]:
    """Each of the servers."""
    with request.param(tmp_path_factory.mktemp(request.param.name)) as running:
        yield running


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Allow plain http to this machine."""
    set_environment(monkeypatch, {"WEBHOOK_ALLOW_LOOPBACK_HTTP": "true"})
    yield
    monkeypatch.undo()
    clear_caches()


@pytest.fixture
def url(server: CaldavServer) -> str:
    """An empty calendar."""
    return server.make_calendar()


def calendar(server: CaldavServer, url: str) -> CaldavCalendar:
    return CaldavCalendar(account=server.account, url=url, source_id=SOURCE, zone=ZONE)


def test_the_calendars_are_found(server: CaldavServer, url: str) -> None:
    """From the server's address, from the home's, and from the calendar's own."""
    for address in (server.url, f"{server.url}{server.home}"):
        found = asyncio.run(discover(replace(server.account, address=address)))
        assert url in {one.url for one in found}
        assert all(one.writable for one in found)
    (own,) = asyncio.run(discover(replace(server.account, address=url)))
    assert own.url == url


def test_a_wrong_password_is_told(server: CaldavServer, url: str) -> None:
    """By discovery, reading and writing alike."""
    account = replace(server.account, password="wrong")
    wrong = CaldavCalendar(account=account, url=url, source_id=SOURCE, zone=ZONE)
    for attempt in (discover(account), wrong.free(asked()), wrong.put(an_event())):
        with pytest.raises(CalendarError) as raised:
            asyncio.run(attempt)
        assert (raised.value.reason, raised.value.ended) == ("unauthorized", "disconnected")


def test_a_calendar_that_is_gone_is_told(server: CaldavServer, url: str) -> None:
    """It is not free; what is to be removed is gone with it."""
    event = an_event()
    put = asyncio.run(calendar(server, url).put(event))
    server.request("DELETE", url)
    for attempt in (calendar(server, url).free(asked()), calendar(server, url).put(event)):
        with pytest.raises(CalendarError) as raised:
            asyncio.run(attempt)
        assert raised.value.ended is None
    asyncio.run(calendar(server, url).remove(event.key, put.ref))


def test_what_a_client_wrote_anew_under_another_name_is_ours(server: CaldavServer, url: str) -> None:
    """It is found by its UID, moved and removed there."""
    tried = TriedCaldav(server.name, server.account, url)
    event = an_event()
    server.put(f"{url}other.ics", new_object(event, event.start))
    there = moved(event, 12, 10)
    put = asyncio.run(calendar(server, url).put(there))
    assert put.ref == f"{url}other.ics"
    asyncio.run(stands(tried, there))
    asyncio.run(calendar(server, url).remove(event.key, None))
    asyncio.run(stands(tried))


def test_many_at_once_make_one_event(server: CaldavServer, url: str) -> None:
    """Two attempts that overtake each other, as after a delivery that was doubled."""
    tried = TriedCaldav(server.name, server.account, url)
    event = an_event()

    async def all_at_once() -> None:
        await asyncio.gather(*(calendar(server, url).put(event) for _ in range(4)))

    asyncio.run(all_at_once())
    asyncio.run(stands(tried, event))


def test_a_calendar_of_many_events_is_read_whole(server: CaldavServer, url: str) -> None:
    """Nothing is cut off."""
    for number in range(30):
        start = at(8 + number // 5, 8 + number % 5)
        event = Foreign(start=start, end=start.replace(minute=30))
        server.put(f"{url}{number}.ics", text_of(event, f"event-{number}"))
    assert len(busy(asyncio.run(calendar(server, url).free(asked())))) == 30


EXPECTED = {
    "radicale": {
        "well-known": (301, "/"),
        "ETag": True,
        "same UID": 409,
        "rewritten": True,
        "tag": "getctag",
        "tasks": False,
    },
    "xandikos": {
        "well-known": (302, "/"),
        "ETag": True,
        "same UID": 412,
        "rewritten": False,
        "tag": "getctag",
        "tasks": True,
    },
}


def make_for_tasks(server: CaldavServer) -> str:
    """Ask for a calendar that holds no events."""
    url = f"{server.url}{server.home}tasks-{uuid4()}/"
    kind = (
        '<C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>'
        '<C:supported-calendar-component-set><C:comp name="VTODO"/></C:supported-calendar-component-set>'
        "</D:prop></D:set></C:mkcalendar>"
    )
    assert server.request("MKCALENDAR", url, content=kind).status_code == 201
    return url


def test_what_differs(server: CaldavServer, url: str) -> None:
    """The table of the documentation."""
    well_known = server.request("PROPFIND", f"{server.url}.well-known/caldav", headers={"Depth": "0"})
    event = an_event()
    text = new_object(event, event.start)
    first = server.put(f"{url}{event_id(event.key)}.ics", text)
    again = server.request(
        "PUT",
        f"{url}again.ics",
        content=text,
        headers={"Content-Type": "text/calendar", "If-None-Match": "*"},
    )
    tag = asyncio.run(calendar(server, url).free(asked())).tag or ""
    returned = server.request("GET", f"{url}{event_id(event.key)}.ics").content
    found = {
        "well-known": (well_known.status_code, well_known.headers.get("Location")),
        "ETag": "ETag" in first.headers,
        "same UID": again.status_code,
        "rewritten": returned != text,
        "tag": tag.partition(" ")[0],
        "tasks": make_for_tasks(server) in {one.url for one in asyncio.run(discover(server.account))},
    }
    assert found == EXPECTED[server.name]
