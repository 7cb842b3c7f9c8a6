"""How Microsoft Graph writes what it answers: OData's $select, $expand and $filter, pages and errors."""

import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from local.partners.microsoft_store import Calendar, Item, in_zone, zone_of

_PREFERRED_ZONE = re.compile(r'outlook\.timezone="([^"]+)"')
_ONE = r"id eq '([^']+)'"
_EXPAND = re.compile(rf"singleValueExtendedProperties\(\$filter={_ONE}(?: or {_ONE})?\)")
_FILTER = re.compile(
    r"singleValueExtendedProperties/Any\(ep: ep/id eq '([^']+)' and ep/value eq '([^']+)'\)", re.IGNORECASE
)
_PROPERTIES = "singleValueExtendedProperties"


class Refused(Exception):  # noqa: N818  # an answer, not an error
    """Graph refuses the request."""

    def __init__(self, status: int, code: str, message: str = "", **headers: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message or code, headers

    def answer(self) -> web.Response:
        """Return the answer."""
        body = {"error": {"code": self.code, "message": self.message, "innerError": {"request-id": "0"}}}
        headers = {name.replace("_", "-"): value for name, value in self.headers.items()}
        return web.json_response(body, status=self.status, headers=headers)


def zone_asked(request: web.Request) -> str:
    """Return the zone in which the client prefers times."""
    named = _PREFERRED_ZONE.search(request.headers.get("Prefer", ""))
    zone = named[1] if named else "UTC"
    try:
        zone_of(zone)
    except ValueError:
        raise Refused(400, "ErrorInvalidTimeZone") from None
    return zone


def event_answer(request: web.Request, event: Item, *, status: int = 200) -> web.Response:
    """Answer with one event."""
    return web.json_response(written(request, event), status=status)


def written(request: web.Request, event: Item) -> Item:
    """Write an event: what was selected of it, in the zone that was asked for."""
    zone, query = zone_asked(request), request.query
    whole = {name: value for name, value in event.items() if not name.startswith("_")}
    for edge in ("start", "end"):
        whole[edge] = in_zone(event[edge], zone, is_all_day=event["isAllDay"])
    properties = whole.pop(_PROPERTIES, [])
    if "$select" in query:
        wanted = {"id", "@odata.etag", *query["$select"].split(",")}
        whole = {name: value for name, value in whole.items() if name in wanted}
    if "$expand" in query:
        named = _EXPAND.fullmatch(query["$expand"])
        if named is None:
            raise Refused(400, "BadRequest", "this $expand is not known here")
        shown = [one for one in properties if one["id"] in named.groups()]
        whole |= {_PROPERTIES: shown} if shown else {}
    return whole


def filtered(request: web.Request, events: Sequence[Item]) -> list[Item]:
    """Return the events that have the property of the $filter."""
    text = request.query.get("$filter")
    if text is None:
        return list(events)
    asked = _FILTER.fullmatch(text)
    if asked is None:
        raise Refused(400, "ErrorInvalidUrlQueryFilter")
    wanted = {"id": asked[1], "value": asked[2]}
    return [one for one in events if wanted in one.get(_PROPERTIES, [])]


def page(request: web.Request, calendar: Calendar, events: Sequence[Item]) -> web.Response:
    """Answer with a page, which says where the next one is."""
    size = min(_number(request, "$top", 10), calendar.page_size)
    skipped = _number(request, "$skip", 0)
    body: dict[str, Any] = {
        "@odata.context": f"{request.url.origin()}/v1.0/$metadata#events",
        "value": [written(request, one) for one in events[skipped : skipped + size]],
    }
    if len(events) > skipped + size:
        body["@odata.nextLink"] = str(request.url.update_query({"$skip": str(skipped + size)}))
    return web.json_response(body)


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal():
        raise Refused(400, "BadRequest", f"{name} is no number")
    return int(text)
