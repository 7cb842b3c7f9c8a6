"""A stand-in of Google Calendar: `python -m local.partners.google --port 3003 --data DIR`.

It does what the reference of the Calendar API v3 says of the calls that are used here, and its answers are held
to Google's discovery document by the tests. Nobody has compared it with Google itself. Faults: as in `faults`
(GOOGLE_FAILURE_RATE and so on), and of single requests as in `next_faults`. The state ends with the process.

POST /control/accounts  {"email", "zone"?, "scopes"?, "role"?, "page_size"?} -> {"refresh_token", "access_token"}
POST /control/revoke    {"email"}    the grant ends
POST /control/expire    {"email"}    the access tokens end
POST /control/events    {"email", "event"}    an event that is not ours, of any kind
GET  /control/calls     what was called since the start
"""

import asyncio
import re
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from local.partners import field_mask, google_oauth, server
from local.partners.faults import Faults, Handler, add_faults
from local.partners.google_oauth import STORE
from local.partners.google_store import Account, Calendar, Item, Store, expanded, instant, is_busy
from local.partners.next_faults import add_next_faults

BASE = "/calendar/v3"
ACCOUNT = web.RequestKey("account", Account)
WEEK = 604_800
_SCOPE = "https://www.googleapis.com/auth/calendar"
_SCOPES = [f"{_SCOPE}.events", f"{_SCOPE}.calendarlist.readonly", f"{_SCOPE}.freebusy"]
_NEEDED = {"events": f"{_SCOPE}.events", "freeBusy": f"{_SCOPE}.freebusy"}
_ID = re.compile(r"[0-9a-v]{5,1024}")
routes = web.RouteTableDef()


def build(_data: Path, faults: Faults | None = None) -> web.Application:
    """Make the application."""
    app = web.Application()
    app[STORE] = Store()
    app[_NOTICES] = set()
    app.add_routes(routes)
    app.add_routes(google_oauth.routes)
    add_faults(app, faults or Faults.from_environment("GOOGLE"))
    add_next_faults(app)
    app.middlewares.append(_of_google)
    return app


_NOTICES = web.AppKey("notices", set[asyncio.Task[None]])


@web.middleware
async def _of_google(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the token and its scope, and leave out of an answer what was not asked for."""
    if not request.path.startswith(BASE):
        return await handler(request)
    store = request.app[STORE]
    store.calls.append(f"{request.method} {request.path_qs.removeprefix(BASE)}")
    account = store.by_access_token(request.headers.get("Authorization", "").removeprefix("Bearer "))
    if account is None:
        return _refusal(401, "authError")
    for part, scope in _NEEDED.items():
        if f"/{part}" in request.path and scope not in account.scopes:
            return _refusal(403, "insufficientPermissions")
    request[ACCOUNT] = account
    try:
        response = await handler(request)
    except _Refused as refused:
        return _refusal(refused.status, refused.reason)
    return response


class _Refused(Exception):  # noqa: N818  # an answer, not an error
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def _refusal(status: int, reason: str) -> web.Response:
    error = {
        "code": status,
        "message": reason,
        "errors": [{"domain": "global", "reason": reason, "message": reason}],
    }
    return web.json_response({"error": error}, status=status)


def _answer(request: web.Request, body: Any) -> web.Response:
    if "fields" in request.query:
        try:
            body = field_mask.apply(field_mask.parse(request.query["fields"]), body)
        except ValueError:
            raise _Refused(400, "invalidParameter") from None
    return web.json_response(body)


def _calendar(request: web.Request, *, writing: bool = False) -> Calendar:
    calendar = request[ACCOUNT].calendar(request.match_info["calendar_id"])
    if calendar is None:
        raise _Refused(404, "notFound")
    if writing and calendar.role not in {"owner", "writer"}:
        raise _Refused(403, "requiredAccessLevel")
    return calendar


@routes.get(f"{BASE}/calendars/{{calendar_id}}/events")
async def list_events(request: web.Request) -> web.Response:
    """Return single events of a time, in pages; or those with a private property."""
    calendar, query = _calendar(request), request.query
    if "privateExtendedProperty" in query:
        name, _, value = query["privateExtendedProperty"].partition("=")
        found = [
            one
            for one in calendar.events.values()
            if one["status"] != "cancelled" and _private(one).get(name) == value
        ]
    elif query.get("singleEvents") == "true":
        start, end = (datetime.fromisoformat(query[name]) for name in ("timeMin", "timeMax"))
        found = list(expanded(calendar, start, end))
    else:
        raise _Refused(400, "invalid")
    size = min(int(query.get("maxResults", "250")), calendar.page_size)
    begin = int(query.get("pageToken", "0"))
    page = [_of_one_guest(one) for one in found[begin : begin + size]]
    body = {"kind": "calendar#events", "summary": calendar.id, "timeZone": calendar.zone, "items": page}
    rest = {"nextPageToken": str(begin + size)} if len(found) > begin + size else {"nextSyncToken": "sync"}
    return _answer(request, body | rest)


def _private(event: Item) -> dict[str, str]:
    properties: dict[str, str] = event.get("extendedProperties", {}).get("private", {})
    return properties


def _of_one_guest(event: Item) -> Item:
    """Return an event with the calendar's owner alone of its guests, as maxAttendees=1 asks for."""
    own = [one for one in event.get("attendees", []) if one.get("self")]
    return event | {"attendees": own} if "attendees" in event else event


@routes.post(f"{BASE}/calendars/{{calendar_id}}/events")
async def insert_event(request: web.Request) -> web.Response:
    """Create an event; 409 where the id is taken, also by a deleted one."""
    calendar, body = _calendar(request, writing=True), await server.json_object(request)
    event_id = body.setdefault("id", secrets.token_hex(13))
    if not _ID.fullmatch(event_id):
        raise _Refused(400, "invalid")
    if event_id in calendar.events:
        raise _Refused(409, "duplicate")
    return _answer(request, store_event(request.app, calendar, {"status": "confirmed", **body}))


@routes.get(f"{BASE}/calendars/{{calendar_id}}/events/{{event_id}}")
async def get_event(request: web.Request) -> web.Response:
    """Return an event; a deleted one is cancelled."""
    return _answer(request, _event(request, _calendar(request)))


@routes.patch(f"{BASE}/calendars/{{calendar_id}}/events/{{event_id}}")
async def patch_event(request: web.Request) -> web.Response:
    """Change the members that are given; 412 where If-Match names an earlier version."""
    calendar = _calendar(request, writing=True)
    event = _event(request, calendar)
    _check_version(request, event)
    return _answer(
        request, store_event(request.app, calendar, _merged(event, await server.json_object(request)))
    )


@routes.delete(f"{BASE}/calendars/{{calendar_id}}/events/{{event_id}}")
async def delete_event(request: web.Request) -> web.Response:
    """Delete an event; 410 for one that is deleted."""
    calendar = _calendar(request, writing=True)
    event = _event(request, calendar)
    if event["status"] == "cancelled":
        raise _Refused(410, "deleted")
    _check_version(request, event)
    store_event(request.app, calendar, event | {"status": "cancelled"})
    return web.Response(status=204)


def _event(request: web.Request, calendar: Calendar) -> Item:
    try:
        return calendar.events[request.match_info["event_id"]]
    except KeyError:
        raise _Refused(404, "notFound") from None


def _check_version(request: web.Request, event: Item) -> None:
    if request.headers.get("If-Match", event["etag"]) not in {event["etag"], "*"}:
        raise _Refused(412, "conditionNotMet")


def _merged(whole: Item, part: Item) -> Item:
    """Return an object changed by patch semantics: null removes a member."""
    merged = dict(whole)
    for name, value in part.items():
        if isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = _merged(merged[name], value)
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged


def store_event(app: web.Application, calendar: Calendar, event: Item) -> Item:
    """Store an event that is valid as a new version, and tell the channels. Raises _Refused."""
    try:
        if instant(calendar, event["start"]) > instant(calendar, event["end"]):
            raise _Refused(400, "timeRangeEmpty")
    except (KeyError, ValueError, TypeError):
        raise _Refused(400, "required") from None
    stored = app[STORE].stamp({"kind": "calendar#event", "eventType": "default"} | event)
    calendar.events[stored["id"]] = stored
    for channel in calendar.channels:
        _notify(app, channel, "exists")
    return stored


@routes.post(f"{BASE}/freeBusy")
async def free_busy(request: web.Request) -> web.Response:
    """Return the busy periods of calendars; one that is not found is an error inside a 200."""
    body = await server.json_object(request)
    start, end = (datetime.fromisoformat(body[name]) for name in ("timeMin", "timeMax"))
    if (end - start).days > 60:  # noqa: PLR2004  # what people report: the reference has no number
        raise _Refused(400, "timeRangeTooLong")
    calendars: Item = {}
    for item in body["items"]:
        calendar = request[ACCOUNT].calendar(item["id"])
        if calendar is None:
            calendars[item["id"]] = {"errors": [{"domain": "global", "reason": "notFound"}], "busy": []}
            continue
        busy = [one for one in expanded(calendar, start, end) if is_busy(one)]
        periods = [[instant(calendar, one[edge]) for edge in ("start", "end")] for one in busy]
        calendars[item["id"]] = {
            "busy": [{"start": server.rfc3339(a), "end": server.rfc3339(b)} for a, b in periods]
        }
    times = {"timeMin": body["timeMin"], "timeMax": body["timeMax"]}
    return _answer(request, {"kind": "calendar#freeBusy", **times, "calendars": calendars})


@routes.get(f"{BASE}/users/me/calendarList")
async def calendar_list(request: web.Request) -> web.Response:
    """Return the calendars of the account."""
    account = request[ACCOUNT]
    items = [
        {
            "kind": "calendar#calendarListEntry",
            "id": one.id,
            "summary": one.id,
            "timeZone": one.zone,
            "accessRole": one.role,
            **({"primary": True} if one.id == account.email else {}),
        }
        for one in account.calendars.values()
    ]
    return _answer(request, {"kind": "calendar#calendarList", "items": items})
