"""The XML of CalDAV: what is no whole answer is none, and nothing in it is expanded."""

from xml.etree.ElementTree import fromstring

import pytest

from fairslot.calendars import caldav_xml as xml
from fairslot.calendars.interface import CalendarError
from tests.unit.calendars.dav import multistatus, response


def reason(body: bytes) -> str:
    with pytest.raises(CalendarError) as raised:
        xml.multistatus(body)
    return raised.value.reason


def test_properties_are_told_by_their_status() -> None:
    """Those of a failed propstat are not there."""
    body = multistatus(
        response("/a/", "<D:displayname> Work </D:displayname>", "<S:getctag>7</S:getctag>"),
        response("/b/", missing="<D:displayname>No</D:displayname>", status=403),
    ).content
    first, second = xml.multistatus(body)
    assert (first.href, first.text(xml.dav("displayname"))) == ("/a/", "Work")
    assert (first.text(xml.CHANGE_TAG), dict(first.refused)) == (None, {xml.CHANGE_TAG: 404})
    assert (second.text(xml.dav("displayname")), dict(second.refused)) == (
        None,
        {xml.dav("displayname"): 403},
    )


def test_addresses_in_a_property() -> None:
    """Empty ones are none."""
    hrefs = "<D:href>/a/</D:href><D:href> </D:href><D:href>/b/</D:href>"
    found = response("/", f"<C:calendar-home-set>{hrefs}</C:calendar-home-set>")
    (one,) = xml.multistatus(multistatus(found).content)
    assert one.hrefs(xml.cal("calendar-home-set")) == ["/a/", "/b/"]
    assert one.hrefs(xml.dav("owner")) == []


DOCTYPES = (
    '<!DOCTYPE D:multistatus [<!ENTITY x "boom">]>',
    '<!DOCTYPE D:multistatus [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE D:multistatus SYSTEM "http://169.254.169.254/x.dtd">',
    '<!DOCTYPE D:multistatus [<!ENTITY % x SYSTEM "http://10.0.0.1/"> %x;]>',
    "<!DOCTYPE D:multistatus>",
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("doctype", DOCTYPES)
def test_a_document_type_is_refused(doctype: str, encoding: str) -> None:
    """Before any entity of it is read, in whatever encoding it is written."""
    body = multistatus(response("/", "<D:displayname>x</D:displayname>")).content.decode()
    text = body.replace('encoding="utf-8"?>', f'encoding="{encoding}"?>{doctype}')
    assert xml.multistatus(text.replace(doctype, "").encode(encoding))
    assert reason(text.encode(encoding)) == "invalid_body"


def test_entities_without_a_document_type_are_not_known() -> None:
    """The five of XML are."""
    body = multistatus(response("/", "<D:displayname>a &amp; b</D:displayname>")).content
    assert xml.multistatus(body)[0].text(xml.dav("displayname")) == "a & b"
    assert reason(body.replace(b"&amp;", b"&boom;")) == "invalid_body"


@pytest.mark.parametrize("size", [1, 40, 150])
def test_a_truncated_document_is_none(size: int) -> None:
    """However little is missing."""
    body = multistatus(response("/", "<D:displayname>x</D:displayname>")).content
    assert reason(body[:-size]) == "invalid_body"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\x00\xff",
        b"<html><body>Sign in</body></html>",
        b'<multistatus xmlns="urn:other"/>',
        b"<multistatus/>",
        b'<D:multistatus xmlns:D="DAV:"/><!-- and --><more/>',
        b'<?xml version="1.0" encoding="latin-99"?><D:multistatus xmlns:D="DAV:"/>',
        b'<D:multistatus xmlns:D="DAV:"><X:response/></D:multistatus>',
    ],
)
def test_what_is_no_multistatus_is_refused(body: bytes) -> None:
    """A page to sign in is an answer of 200 too."""
    assert reason(body) == "invalid_body"


@pytest.mark.parametrize(
    "one",
    [
        "<D:response/>",
        "<D:response><D:href>/a</D:href></D:response>",
        response("", "<D:displayname>x</D:displayname>"),
        response("/a", "<D:displayname>x</D:displayname>").replace("200 x", "fine"),
        response("/a", "<D:displayname>x</D:displayname>").replace("200 x", "2000 x"),
        response("/a", "<D:displayname>x</D:displayname>").replace("<D:status>HTTP/1.1 200 x</D:status>", ""),
        "<D:response><D:href>/a</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>",
        "<D:response><D:href>/a</D:href><D:status>HTTP/1.1 200 OK</D:status></D:response>",
    ],
)
def test_a_response_that_says_nothing_makes_it_unusable(one: str) -> None:
    """Of a resource that is named nothing is known: it is not left out."""
    good = response("/b", "<D:displayname>x</D:displayname>")
    assert reason(multistatus(good, one).content) == "invalid_body"


def test_an_answer_that_the_server_cut_off_is_too_large() -> None:
    """507 for the collection: there was more (RFC 6578)."""
    cut = "<D:response><D:href>/</D:href><D:status>HTTP/1.1 507 Insufficient Storage</D:status></D:response>"
    assert reason(multistatus(cut).content) == "too_large"


def test_depth_and_number_are_bounded() -> None:
    """So is the memory that an answer takes."""
    deep = "<D:a>" * xml.MOST_DEPTH + "</D:a>" * xml.MOST_DEPTH
    assert reason(multistatus(deep).content) == "too_complex"
    assert reason(multistatus("<D:a/>" * xml.MOST_ELEMENTS).content) == "too_complex"
    many = [response("/", "<D:displayname/>")] * (xml.MOST_RESPONSES + 1)
    assert reason(multistatus(*many).content) == "too_complex"


def test_requests_are_well_formed_and_ask_for_no_less() -> None:
    """Neither a limit nor expanded series: what a server then leaves out is lost without a word."""
    asked = xml.query_events(xml.between("20260301T000000Z", "20260308T000000Z"))
    root = fromstring(asked)  # noqa: S314  # our own
    names = {one.tag for one in root.iter()}
    assert {xml.DATA, xml.ETAG, xml.cal("time-range")} <= names
    assert not {xml.cal("expand"), xml.dav("limit"), xml.cal("limit-recurrence-set")} & names
    by_uid = fromstring(xml.query_events(xml.with_uid("<&>")))  # noqa: S314
    assert [one.text for one in by_uid.iter(xml.cal("text-match"))] == ["<&>"]
    assert {one.tag for one in fromstring(xml.propfind(xml.CHANGE_TAG)).iter()} > {xml.CHANGE_TAG}  # noqa: S314
