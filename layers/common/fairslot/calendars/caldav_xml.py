"""The XML of CalDAV (RFC 4791, RFC 4918): the requests that we send, and a strict reading of answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers.expat import ExpatError, ParserCreate, XMLParserType
from xml.sax.saxutils import escape

from fairslot.calendars.interface import CalendarError

MOST_DEPTH = 32
MOST_ELEMENTS = 200_000
MOST_RESPONSES = 10_000

DAV, CALDAV, SERVER = "DAV:", "urn:ietf:params:xml:ns:caldav", "http://calendarserver.org/ns/"
_PREFIXES = {DAV: "D", CALDAV: "C", SERVER: "S"}
_NAMESPACES = " ".join(f'xmlns:{prefix}="{uri}"' for uri, prefix in _PREFIXES.items())
_STATUS = re.compile(r"HTTP/[0-9.]+ ([1-5][0-9]{2})(?: .*)?", re.ASCII | re.DOTALL)


def dav(name: str) -> str:
    """Return the name of an element of WebDAV."""
    return f"{{{DAV}}}{name}"


def cal(name: str) -> str:
    """Return the name of an element of CalDAV."""
    return f"{{{CALDAV}}}{name}"


DATA, ETAG = cal("calendar-data"), dav("getetag")
CHANGE_TAG, SYNC_TOKEN = f"{{{SERVER}}}getctag", dav("sync-token")


@dataclass(frozen=True, slots=True)
class Response:
    """What a multistatus says of one resource: the properties that it has, and the status of the others."""

    href: str
    properties: Mapping[str, Element]
    refused: Mapping[str, int]

    def text(self, name: str) -> str | None:
        """Return the text of a property; None if the resource does not have it."""
        found = self.properties.get(name)
        return None if found is None else (found.text or "").strip()

    def hrefs(self, name: str) -> list[str]:
        """Return the addresses in a property."""
        found = self.properties.get(name)
        return [] if found is None else [text for one in found.iter(dav("href")) if (text := _text(one))]


def propfind(*names: str) -> bytes:
    """Return a request for properties."""
    asked = "".join(f"<{_prefixed(name)}/>" for name in names)
    return _document(f"<D:propfind {_NAMESPACES}><D:prop>{asked}</D:prop></D:propfind>")


def query_events(condition: str) -> bytes:
    """Return a calendar-query for the whole objects whose event meets a condition.

    It asks neither to expand series nor for a limit: what a server leaves out then is lost without a word.
    """
    asked = f"<{_prefixed(ETAG)}/><{_prefixed(DATA)}/>"
    event = f'<C:comp-filter name="VEVENT">{condition}</C:comp-filter>'
    return _document(
        f"<C:calendar-query {_NAMESPACES}><D:prop>{asked}</D:prop>"
        f'<C:filter><C:comp-filter name="VCALENDAR">{event}</C:comp-filter></C:filter></C:calendar-query>'
    )


def between(start: str, end: str) -> str:
    """Return the condition that an event touches a time: iCalendar's form, in UTC."""
    return f'<C:time-range start="{start}" end="{end}"/>'


def with_uid(uid: str) -> str:
    """Return the condition that an event's UID contains a text."""
    match = f'<C:text-match collation="i;octet">{escape(uid)}</C:text-match>'
    return f'<C:prop-filter name="UID">{match}</C:prop-filter>'


def multistatus(body: bytes) -> list[Response]:
    """Read a multistatus. Raises CalendarError: `invalid_body`, `too_complex`.

    A response that has a status of its own is no response with properties: one that is not a success makes
    the whole unusable.
    """
    root = _parse(body)
    if root.tag != dav("multistatus"):
        raise CalendarError("invalid_body")
    found = root.findall(dav("response"))
    if len(found) > MOST_RESPONSES:
        raise CalendarError("too_complex")
    return [_response(one) for one in found]


def _response(element: Element) -> Response:
    href = _text(element.find(dav("href")))
    own = element.find(dav("status"))
    if own is not None:
        status = _status(own)
        if status == HTTPStatus.INSUFFICIENT_STORAGE:
            raise CalendarError("too_large")  # the server cut the answer off: RFC 5323 and 6578
        raise CalendarError("invalid_body")
    properties: dict[str, Element] = {}
    refused: dict[str, int] = {}
    for propstat in element.findall(dav("propstat")):
        status = _status(propstat.find(dav("status")))
        for one in propstat.findall(f"{dav('prop')}/*"):
            if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
                properties[one.tag] = one
            else:
                refused[one.tag] = status
    if not href or not (properties or refused):
        raise CalendarError("invalid_body")
    return Response(href, properties, refused)


def _status(element: Element | None) -> int:
    found = _STATUS.fullmatch(_text(element))
    if found is None:
        raise CalendarError("invalid_body")
    return int(found.group(1))


def _text(element: Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _prefixed(name: str) -> str:
    namespace, _, local = name.removeprefix("{").rpartition("}")
    return f"{_PREFIXES[namespace]}:{local}"


def _document(text: str) -> bytes:
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}'.encode()


def _parse(body: bytes) -> Element:
    """Parse a document without a document type, and so without entities of its own.

    By the parser's events: looking for `<!DOCTYPE` in the bytes misses it in another encoding.
    """
    builder = _Builder()
    parser = ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    builder.follow(parser)
    try:
        parser.Parse(body, True)  # noqa: FBT003  # it takes no names
        return builder.tree.close()
    except (ExpatError, AssertionError, LookupError, ValueError):
        raise CalendarError("invalid_body") from None


class _Builder:
    """Builds the tree of a document, within bounds."""

    def __init__(self) -> None:
        self.tree = TreeBuilder()
        self._depth = 0
        self._elements = 0

    def follow(self, parser: XMLParserType) -> None:
        """Take the events of a parser."""
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self.tree.data

    def _refuse(self, *_: object) -> None:
        raise CalendarError("invalid_body")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MOST_DEPTH or self._elements > MOST_ELEMENTS:
            raise CalendarError("too_complex")
        self.tree.start(_clark(name), attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self.tree.end(_clark(name))


def _clark(name: str) -> str:
    return f"{{{name}" if "}" in name else name
