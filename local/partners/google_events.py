"""Events and busy periods of the stand-in of Google.

https://developers.google.com/workspace/calendar/api/v3/reference/events
"""

import re
import secrets
from datetime import datetime, timedelta

from aiohttp import web

from local.partners import server
from local.partners.google_answers import ACCOUNT, BASE, Refused, answer, calendar_of
from local.partners.google_channels import tell
from local.partners.google_oauth import STORE
from local.partners.google_store import Calendar, Item, expanded, instant, is_busy, occurrence

_ID = re.compile(r"[0-9a-v]{5,1024}")
# What people report: the reference has no number.
_LONGEST_QUESTION = timedelta(days=60)
routes = web.RouteTableDef()


@routes.get(f"{BASE}/calendars/{{calendar_id}}/events")
async def list_events(request: web.Request) -> web.Response:
    """Return single events of a time, in pages; or those with a private property."""
    calendar, query = calendar_of(request), request.query
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
        raise Refused(400, "invalid")
    size = min(int(query.get("maxResults", "250")), calendar.page_size)
    begin = int(query.get("pageToken", "0"))
    page = [_of_one_guest(one) for one in found[begin : begin + size]]
    body = {"kind": "calendar#events", "summary": calendar.id, "timeZone": calendar.zone, "items": page}
    rest = {"nextPageToken": str(begin + size)} if len(found) > begin + size else {"nextSyncToken": "sync"}
    return answer(request, body | rest)


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
    calendar, body = calendar_of(request, writing=True), await server.json_object(request)
    event_id = body.setdefault("id", secrets.token_hex(13))
    if not _ID.fullmatch(event_id):
        raise Refused(400, "invalid")
    if event_id in calendar.events:
        raise Refused(409, "duplicate")
    return answer(request, store_event(request.app, calendar, {"status": "confirmed", **body}))


@routes.get(f"{BASE}/calendars/{{calendar_id}}/events/{{event_id}}")
async def get_event(request: web.Request) -> web.Response:
    """Return an event; a deleted one is cancelled."""
    return answer(request, _event(request, calendar_of(request)))


@routes.patch(f"{BASE}/calendars/{{calendar_id}}/events/{{event_id}}")
async def patch_event(request: web.Request) -> web.Response:
    """Change the members that are given; 412 where If-Match names an earlier version."""
    calendar = calendar_of(request, writing=True)
    event = _event(request, calendar)
    _check_version(request, event)
    changed = _merged(event, await server.json_object(request))
    return answer(request, store_event(request.app, calendar, changed))


@routes.delete(f"{BASE}/calendars/{{calendar_id}}/events/{{event_id}}")
async def delete_event(request: web.Request) -> web.Response:
    """Delete an event; 410 for one that is deleted."""
    calendar = calendar_of(request, writing=True)
    event = _event(request, calendar)
    if event["status"] == "cancelled":
        raise Refused(410, "deleted")
    _check_version(request, event)
    # A series takes what was changed of its occurrences with it.
    changed = [one for one in calendar.events.values() if one.get("recurringEventId") == event["id"]]
    for one in (*changed, event):
        store_event(request.app, calendar, one | {"status": "cancelled"})
    return web.Response(status=204)


def _event(request: web.Request, calendar: Calendar) -> Item:
    event_id = request.match_info["event_id"]
    event = calendar.events.get(event_id) or occurrence(calendar, event_id)
    if event is None:
        raise Refused(404, "notFound")
    return event


def _check_version(request: web.Request, event: Item) -> None:
    if request.headers.get("If-Match", event["etag"]) not in {event["etag"], "*"}:
        raise Refused(412, "conditionNotMet")


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
    """Store an event as a new version, and tell the channels. Raises Refused."""
    try:
        if instant(calendar, event["start"]) > instant(calendar, event["end"]):
            raise Refused(400, "timeRangeEmpty")
    except (KeyError, ValueError, TypeError):
        raise Refused(400, "required") from None
    stored = app[STORE].stamp({"kind": "calendar#event", "eventType": "default"} | event)
    for guest in stored.get("attendees", []):
        if guest.get("email") == calendar.id:
            guest["self"] = True
    calendar.events[stored["id"]] = stored
    tell(calendar)
    return stored


@routes.post(f"{BASE}/freeBusy")
async def free_busy(request: web.Request) -> web.Response:
    """Return the busy periods of calendars; one that is not found is an error inside a 200."""
    body = await server.json_object(request)
    start, end = (datetime.fromisoformat(body[name]) for name in ("timeMin", "timeMax"))
    if end - start > _LONGEST_QUESTION:
        raise Refused(400, "timeRangeTooLong")
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
    return answer(request, {"kind": "calendar#freeBusy", **times, "calendars": calendars})


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
    return answer(request, {"kind": "calendar#calendarList", "items": items})
