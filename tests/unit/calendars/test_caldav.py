"""One CalDAV calendar: what is asked, what is no answer, and what becomes of writes that meet something."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from fairslot.calendars import fetch
from fairslot.calendars.caldav_objects import new_object
from fairslot.calendars.event_ids import digest_of, event_id
from fairslot.calendars.interface import CalendarError, Event, Sighting
from fairslot.platform import addresses
from tests.unit.calendars.dav import (
    ASKED,
    CALENDAR,
    END,
    EVENT,
    KEY,
    LIMITS,
    START,
    Given,
    Server,
    calendar,
    lookup,
    multistatus,
    objects,
    ours,
    read,
    response,
    strangers,
    tag,
)

NAME = f"{event_id(KEY)}.ics"
REF = f"{CALENDAR}{NAME}"
MOVED = replace(EVENT, start=START.replace(hour=20), end=END.replace(hour=21))
CREATED, GONE = httpx.Response(201, headers={"ETag": '"new"'}), httpx.Response(404)
TAKEN = httpx.Response(412)


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find every name, and try again at once."""
    monkeypatch.setattr(addresses, "lookup", lookup)
    monkeypatch.setattr(fetch, "PAUSE_SECONDS", 0.0)


def unread(*answers: Given) -> CalendarError:
    with pytest.raises(CalendarError) as raised:
        read(Server(*answers))
    return raised.value


def put(server: Server, event: Event = EVENT) -> Sighting:
    return asyncio.run(calendar(server).put(event))


def remove(server: Server, ref: str | None = None) -> None:
    asyncio.run(calendar(server).remove(KEY, ref))


def stored(text: str | bytes, etag: str = '"old"') -> httpx.Response:
    return httpx.Response(200, headers={"ETag": etag}, content=text)


def at(name: str, text: str) -> httpx.Response:
    """Answer a search with one object at an address."""
    found = f'<D:getetag>"old"</D:getetag><C:calendar-data><![CDATA[{text}]]></C:calendar-data>'
    return multistatus(response(f"/home/work/{name}", found))


def test_a_reading_asks_for_the_window_and_a_margin() -> None:
    """The tag first: what changes in between is read again."""
    server = Server(tag("7"), objects(strangers()))
    found = read(server)
    assert (ASKED.slot_count - found.bits.bit_count(), found.tag) == (4, "getctag 7")
    assert server.asked == ["PROPFIND dav.test/home/work/", "REPORT dav.test/home/work/"]
    first, second = server.requests
    assert (first.headers["depth"], second.headers["depth"]) == ("0", "1")
    assert b'<C:time-range start="20260228T050000Z" end="20260306T050000Z"/>' in second.content


def test_a_calendar_without_events_is_free() -> None:
    """An empty multistatus is an answer."""
    found = read(Server(tag(), objects()))
    assert found.bits.bit_count() == ASKED.slot_count


def test_the_sync_token_is_a_tag_too() -> None:
    """Some servers have no other; some have none at all."""
    token = multistatus(response("/home/work/", "<D:sync-token>http://x/7</D:sync-token>", "<S:getctag/>"))
    assert read(Server(token, objects())).tag == "sync-token http://x/7"
    assert read(Server(tag(None), objects())).tag is None


@pytest.mark.parametrize(("now", "changed"), [(tag("7"), False), (tag("8"), True), (tag(None), True)])
def test_a_tag_says_whether_anything_changed(now: httpx.Response, changed: bool) -> None:  # noqa: FBT001
    """Without one anything may have."""
    assert asyncio.run(calendar(Server(now)).changed("getctag 7")) is changed


DATA = "<C:calendar-data>x</C:calendar-data>"


@pytest.mark.parametrize(
    "answer",
    [
        multistatus(response("/home/work/1.ics", '<D:getetag>"1"</D:getetag>', DATA)),
        multistatus(response("/home/work/1.ics", '<D:getetag>"1"</D:getetag>', DATA, 500)),
        multistatus(response("/home/work/1.ics", missing=f"<D:getetag/>{DATA}", status=403)),
        multistatus(response("/home/work/1.ics", "<C:calendar-data/>")),
        multistatus(response("/home/work/1.ics", "<C:calendar-data>sorry</C:calendar-data>")),
        multistatus(
            "<D:response><D:href>/home/work/1.ics</D:href><D:status>HTTP/1.1 404 x</D:status></D:response>"
        ),
        httpx.Response(200, content=b""),
        httpx.Response(200, content=objects().content),
        httpx.Response(204),
        httpx.Response(207, content=b""),
        httpx.Response(207, content=objects(strangers()).content[:-20]),
        httpx.Response(207, content=b"[]"),
    ],
)
def test_what_is_no_whole_answer_is_never_free(answer: httpx.Response) -> None:
    """An object whose text is missing could be any event."""
    assert unread(tag(), answer).reason == "invalid_body"


def test_addresses_elsewhere_are_refused() -> None:
    """An object that a server names at another host is no object of this calendar."""
    foreign = multistatus(
        response("https://evil.test/1.ics", f"<C:calendar-data><![CDATA[{strangers()}]]></C:calendar-data>")
    )
    assert unread(tag(), foreign).reason == "other_domain"


def test_an_object_without_a_zone_that_is_known_takes_what_it_may() -> None:
    """And is told."""
    text = strangers().replace("DTSTART:20260302T140000Z", "DTSTART;TZID=Nowhere/Land:20260302T140000")
    found = read(Server(tag(), objects(text)))
    assert found.unreadable == 1
    assert ASKED.slot_count - found.bits.bit_count() >= 96


@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_server_in_trouble_ends_nothing(status: int) -> None:
    """Nor does one that says nothing."""
    assert (unread(httpx.Response(status)).reason, unread(httpx.Response(status)).ended) == (
        f"http_{status}",
        None,
    )
    assert unread(httpx.ReadTimeout("x")).ended is None


def test_a_calendar_that_is_gone_is_told() -> None:
    """It is not free: nobody says so."""
    assert unread(GONE).reason == "not_found"
    assert unread(tag(), GONE).reason == "not_found"


def test_a_refused_password_ends_the_connection() -> None:
    """The server's clear word."""
    error = unread(httpx.Response(401))
    assert (error.reason, error.ended) == ("unauthorized", "disconnected")


def test_a_put_creates_where_nothing_is() -> None:
    """At the key's own address, and never over anything."""
    server = Server(CREATED)
    made = put(server)
    assert made == Sighting(key=KEY, ref=REF, start=START, end=END, version='"new"')
    (request,) = server.requests
    assert (request.method, request.headers["if-none-match"]) == ("PUT", "*")
    assert request.headers["content-type"] == "text/calendar; charset=utf-8"
    assert request.content == new_object(EVENT, START)


@pytest.mark.parametrize("refusal", [412, 409])
def test_a_put_that_was_done_is_adopted(refusal: int) -> None:
    """The answer was lost: the object says what was written, and nothing is written again."""
    server = Server(httpx.Response(refusal), stored(new_object(EVENT, START)))
    assert put(server) == Sighting(key=KEY, ref=REF, start=START, end=END, version='"old"')
    assert server.asked == [f"PUT dav.test/home/work/{NAME}", f"GET dav.test/home/work/{NAME}"]


def test_a_late_put_leaves_what_the_coach_moved() -> None:
    """It was written once as it is to be: what was changed since is the coach's."""
    text = new_object(EVENT, START).decode().replace("20260302T140000Z", "20260302T143000Z")
    server = Server(TAKEN, stored(text))
    assert put(server).start == START.replace(minute=30)
    assert len(server.requests) == 2


def test_a_put_moves_what_it_has_read_and_nothing_else() -> None:
    """With If-Match; where somebody changed it meanwhile it is read again."""
    server = Server(
        TAKEN,
        stored(new_object(EVENT, START)),
        TAKEN,
        stored(new_object(EVENT, START), '"newer"'),
        httpx.Response(204),
    )
    found = put(server, MOVED)
    assert (found.start, found.end, found.version) == (MOVED.start, MOVED.end, None)
    first, second = server.requests[2], server.requests[4]
    assert (first.headers["if-match"], second.headers["if-match"]) == ('"old"', '"newer"')
    assert "if-none-match" not in second.headers
    assert f"X-FAIRSLOT-WRITTEN:{digest_of(MOVED)}".encode() in second.content


def test_a_proxy_that_compresses_hinders_no_move() -> None:
    """It weakens ETags, which If-Match never meets: they are asked for and compared without that."""
    server = Server(TAKEN, stored(new_object(EVENT, START), 'W/"old"'), httpx.Response(204))
    put(server, MOVED)
    assert server.requests[1].headers["accept-encoding"] == "identity"
    assert server.requests[2].headers["if-match"] == '"old"'


def test_a_put_that_always_meets_a_change_gives_up() -> None:
    """For now: the delivery is tried again."""
    server = Server(TAKEN, *[stored(new_object(EVENT, START)), TAKEN] * 3)
    with pytest.raises(CalendarError) as raised:
        put(server, MOVED)
    assert (raised.value.reason, raised.value.ended) == ("http_412", None)


def test_a_put_finds_ours_where_a_client_moved_it() -> None:
    """Clients may write an object anew at another address of the calendar."""
    server = Server(httpx.Response(409), GONE, at("other.ics", ours()), httpx.Response(204))
    assert put(server, MOVED).ref == f"{CALENDAR}other.ics"
    assert server.asked[2:] == ["REPORT dav.test/home/work/", "PUT dav.test/home/work/other.ics"]
    assert event_id(KEY).encode() in server.requests[2].content


@pytest.mark.parametrize("there", [GONE, stored(strangers())])
def test_an_address_that_is_taken_by_nothing_of_ours_is_a_conflict(there: httpx.Response) -> None:
    """A next generation has another address. What stands there is not touched."""
    server = Server(TAKEN, there, objects(strangers()))
    with pytest.raises(CalendarError) as raised:
        put(server)
    assert raised.value.reason == "conflict"
    assert [one.method for one in server.requests] == ["PUT", "GET", "REPORT"]


def test_a_put_that_cannot_see_what_it_met_writes_nothing() -> None:
    """It may be ours."""
    server = Server(TAKEN, stored("<html>Sign in</html>"))
    with pytest.raises(CalendarError) as raised:
        put(server)
    assert (raised.value.reason, len(server.requests)) == ("invalid_body", 2)


def test_a_removal_goes_to_where_it_was_seen() -> None:
    """Else to the key's own address."""
    server = Server(httpx.Response(204))
    remove(server, f"{CALENDAR}elsewhere.ics")
    assert server.asked == ["DELETE dav.test/home/work/elsewhere.ics"]
    server = Server(httpx.Response(200))
    remove(server)
    assert server.asked == [f"DELETE dav.test/home/work/{NAME}"]


@pytest.mark.parametrize("gone", [404, 410])
def test_a_removal_looks_for_what_is_not_there(gone: int) -> None:
    """A client may have moved it; only ours is removed."""
    server = Server(httpx.Response(gone), at("other.ics", ours()), httpx.Response(204))
    remove(server)
    assert server.asked[1:] == ["REPORT dav.test/home/work/", "DELETE dav.test/home/work/other.ics"]
    server = Server(httpx.Response(gone), at("copy.ics", ours(uid=f"copy-of-{event_id(KEY)}")))
    remove(server)
    assert [one.method for one in server.requests] == ["DELETE", "REPORT"]


def test_a_removal_from_a_calendar_that_is_gone_is_done() -> None:
    """The event went with it."""
    remove(Server(GONE, GONE))


def test_a_removal_at_another_host_is_refused() -> None:
    """An address that was kept gets the password no more than one that is answered."""
    server = Server()
    with pytest.raises(CalendarError) as raised:
        remove(server, "https://evil.test/1.ics")
    assert (raised.value.reason, server.requests) == ("other_domain", [])


def test_a_write_that_is_forbidden_is_told() -> None:
    """A calendar that was shared to be read."""
    with pytest.raises(CalendarError) as raised:
        put(Server(httpx.Response(403)))
    assert raised.value.reason == "forbidden"


def test_a_write_is_repeated_after_a_broken_connection() -> None:
    """It can be: the second attempt meets what the first one did."""
    server = Server(httpx.ReadError("x"), TAKEN, stored(new_object(EVENT, START)))
    limits = replace(LIMITS, attempts=2)
    assert asyncio.run(calendar(server, limits).put(EVENT)).version == '"old"'
