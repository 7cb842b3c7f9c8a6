"""Finding the calendars of a CalDAV account: RFC 6764, RFC 5397, RFC 4791."""

from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from fairslot.calendars import caldav_xml as xml
from fairslot.calendars.caldav_account import Account, DavClient
from fairslot.calendars.caldav_xml import Response, cal, dav
from fairslot.calendars.fetch import Limits
from fairslot.calendars.icalendar_feed import apart
from fairslot.calendars.interface import CalendarError

WELL_KNOWN = "/.well-known/caldav"

_TYPE, _NAME, _RIGHTS = dav("resourcetype"), dav("displayname"), dav("current-user-privilege-set")
_PRINCIPAL, _HOMES = dav("current-user-principal"), cal("calendar-home-set")
_COMPONENTS, _DEFAULT = cal("supported-calendar-component-set"), cal("schedule-default-calendar-URL")
_OF_A_CALENDAR = (_TYPE, _NAME, _RIGHTS, _COMPONENTS, _DEFAULT)
# Rights that allow to create, change and remove an object: RFC 3744.
_WRITING = ({dav("write")}, {dav("all")}, {dav("write-content"), dav("bind")})
_MOST_HOMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCalendar:
    """A calendar that can hold events; `is_default` is the one that invitations go to."""

    url: str
    name: str
    writable: bool
    is_default: bool = False


async def discover(
    account: Account, *, limits: Limits | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> list[FoundCalendar]:
    """Return the account's calendars, the default first. Raises CalendarError.

    The account's address may be a calendar's own, which is then the only one, or any address of the server.
    `not_found`: there is no calendar there.
    """
    search = _Search(DavClient(account, limits=limits, transport=transport))
    found = await search.calendars()
    if not found:
        raise CalendarError("not_found")
    return sorted(found, key=lambda one: not one.is_default)


def choose(found: Sequence[FoundCalendar], url: str | None = None, *, writes: bool) -> FoundCalendar:
    """Return the calendar with that address, or without one the default: the first that can be used.

    Raises CalendarError: `not_found`, or `forbidden` for one that cannot be written to.
    """
    usable = [one for one in found if one.writable or not writes]
    if url is None:
        if not usable:
            raise CalendarError("forbidden" if found else "not_found")
        return usable[0]
    for one in found:
        if one.url.rstrip("/") == url.rstrip("/"):
            if one not in usable:
                raise CalendarError("forbidden")
            return one
    raise CalendarError("not_found")


class _Search:
    """One search for the calendars of an account."""

    def __init__(self, client: DavClient) -> None:
        self._client = client

    async def calendars(self) -> list[FoundCalendar]:
        principal = None
        for address in self._starts():
            try:
                base, found = await self._ask(address, "0", _PRINCIPAL, *_OF_A_CALENDAR)
            except CalendarError as error:
                if not _may_be_elsewhere(error):
                    raise
                continue
            if own := self._read(base, found[:1]):
                return own
            principal = self._first(base, found, _PRINCIPAL)
            if principal:
                break
        if principal is None:
            raise CalendarError("not_found")
        base, found = await self._ask(principal, "0", _HOMES)
        homes = [self._client.join(base, href) for one in found for href in one.hrefs(_HOMES)]
        calendars: list[FoundCalendar] = []
        for home in dict.fromkeys(homes[:_MOST_HOMES]):
            calendars += self._read(*await self._ask(home, "1", *_OF_A_CALENDAR))
        return calendars

    def _starts(self) -> list[str]:
        """Return where to begin: a path that was given comes before the well-known one."""
        given = self._client.address
        well_known = self._client.join(given, WELL_KNOWN)
        has_path = httpx.URL(given).path.strip("/")
        return [given, well_known] if has_path else [well_known, self._client.join(given, "/")]

    async def _ask(self, url: str, depth: str, *names: str) -> tuple[str, list[Response]]:
        headers = {"Content-Type": "application/xml; charset=utf-8", "Depth": depth}
        answer = await self._client.send("PROPFIND", url, headers=headers, content=xml.propfind(*names))
        return answer.url, await apart(lambda: xml.multistatus(answer.body))

    def _first(self, base: str, found: Sequence[Response], name: str) -> str | None:
        hrefs = [href for one in found for href in one.hrefs(name)]
        return self._client.join(base, hrefs[0]) if hrefs else None

    def _read(self, base: str, found: Sequence[Response]) -> list[FoundCalendar]:
        default = self._first(base, found, _DEFAULT)
        calendars = []
        for one in found:
            if _holds_events(one):
                url = self._client.join(base, one.href)
                name = one.text(_NAME) or httpx.URL(url).path.strip("/").rpartition("/")[2]
                is_default = default is not None and url.rstrip("/") == default.rstrip("/")
                calendars.append(
                    FoundCalendar(url=url, name=name, writable=_is_writable(one), is_default=is_default)
                )
        return calendars


def _may_be_elsewhere(error: CalendarError) -> bool:
    """Tell whether a server may have its calendars at another address: it knows nothing of this one."""
    return error.reason in {"not_found", "forbidden", "invalid_body", "http_400", "http_405"}


def _holds_events(one: Response) -> bool:
    kind = one.properties.get(_TYPE)
    if kind is None or kind.find(cal("calendar")) is None:
        return False
    # Without the property all components are allowed: RFC 4791, section 5.2.3.
    components = one.properties.get(_COMPONENTS)
    return components is None or any(
        part.get("name", "").upper() == "VEVENT" for part in components.iter(cal("comp"))
    )


def _is_writable(one: Response) -> bool:
    """Tell whether it can be written to; servers that do not say let the first attempt tell."""
    rights = one.properties.get(_RIGHTS)
    if rights is None:
        return True
    given = {right.tag for privilege in rights.iter(dav("privilege")) for right in privilege}
    return any(wanted <= given for wanted in _WRITING)
