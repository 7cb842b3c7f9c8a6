"""A stand-in of Microsoft 365's calendars: `python -m local.partners.microsoft --port 3004 --data DIR`.

It does what the reference of Microsoft Graph v1.0 says of the calls that are used here, and its answers are
held to the models of Microsoft's SDK by the tests. Nobody has compared it with Graph itself. Faults: as in
`faults` (MICROSOFT_FAILURE_RATE and so on), and of single requests as in `next_faults`. What tests set and
see is in `microsoft_control`. The state ends with the process.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from time import time

from aiohttp import web

from local.partners import microsoft_control, microsoft_oauth, microsoft_subscriptions, server
from local.partners.faults import Faults, Handler, add_faults
from local.partners.microsoft_answers import Refused, event_answer, filtered, page
from local.partners.microsoft_events import changed, complete, stored, take_out
from local.partners.microsoft_oauth import STORE
from local.partners.microsoft_schedule import get_schedule
from local.partners.microsoft_store import Calendar, Grant, Item, Mailbox, expanded, found
from local.partners.next_faults import add_next_faults

BASE = "/v1.0"
MAILBOX = web.RequestKey("mailbox", Mailbox)
GRANT = web.RequestKey("grant", Grant)
# Exchange answers this many at once for a mailbox.
MOST_AT_ONCE = 4
_READ = {"Calendars.ReadBasic", "Calendars.Read", "Calendars.ReadWrite"}
_EXTENDED = _READ - {"Calendars.ReadBasic"}
_WRITE = {"Calendars.ReadWrite"}
routes = web.RouteTableDef()


def build(_data: Path, faults: Faults | None = None) -> web.Application:
    """Make the application."""
    app = web.Application()
    app[STORE] = microsoft_control.new_store()
    app.add_routes(routes)
    for owner in ("me", "users/{user}"):
        _add_mailbox(app, f"{BASE}/{owner}")
    app.add_routes(microsoft_oauth.routes)
    app.add_routes(microsoft_control.routes)
    microsoft_subscriptions.add_posts(app)
    add_faults(app, faults or Faults.from_environment("MICROSOFT"))
    add_next_faults(app)
    app.middlewares.append(_of_graph)
    return app


def _add_mailbox(app: web.Application, owner: str) -> None:
    router = app.router
    router.add_get(f"{owner}/calendars", list_calendars)
    router.add_post(f"{owner}/calendar/getSchedule", schedule)
    for calendar in (f"{owner}/calendar", f"{owner}/calendars/{{calendar_id}}"):
        router.add_get(f"{calendar}/calendarView", calendar_view)
        router.add_get(f"{calendar}/events", list_events)
        router.add_post(f"{calendar}/events", create_event)
    router.add_get(f"{owner}/events/{{event_id}}", get_event)
    router.add_patch(f"{owner}/events/{{event_id}}", update_event)
    router.add_delete(f"{owner}/events/{{event_id}}", delete_event)


@web.middleware
async def _of_graph(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the token, what it opens, and how much is asked of a mailbox at once."""
    if not request.path.startswith(f"{BASE}/"):
        return await handler(request)
    request.app[STORE].calls.append(f"{request.method} {request.path_qs.removeprefix(BASE)}")
    try:
        grant = request[GRANT] = _granted(request)
        if request.path.startswith(f"{BASE}/subscriptions"):
            return await handler(request)
        mailbox = request[MAILBOX] = _opened(request, grant)
        mailbox.in_flight += 1
        try:
            await asyncio.sleep(request.app[STORE].settings.request_seconds)
            return await handler(request)
        finally:
            mailbox.in_flight -= 1
    except Refused as refused:
        return refused.answer()


def _granted(request: web.Request) -> Grant:
    """Return what the token of the request opens."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    grant = request.app[STORE].grants.get(token)
    if grant is None or grant.until < time():
        raise Refused(401, "InvalidAuthenticationToken", "Lifetime validation failed.")
    return grant


def _opened(request: web.Request, grant: Grant) -> Mailbox:
    """Return the mailbox of the request, if the token opens it and it is not asked for too much at once."""
    user = request.match_info.get("user")
    if user is None and grant.mailbox is None:
        raise Refused(400, "BadRequest", "/me request is only valid with delegated authentication flow.")
    mailbox = request.app[STORE].mailbox(user) if user is not None else grant.mailbox
    if mailbox is None:
        raise Refused(404, "ErrorInvalidUser")
    is_allowed = mailbox.by_application if grant.mailbox is None else grant.mailbox is mailbox
    needed = _READ
    if request.method != "GET" and not request.path.endswith("getSchedule"):
        needed = _WRITE
    elif "$expand" in request.query or "$filter" in request.query:
        needed = _EXTENDED
    if not is_allowed or not grant.scopes & needed:
        raise Refused(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    if mailbox.in_flight >= MOST_AT_ONCE:
        message = "Application is over its MailboxConcurrency limit."
        raise Refused(429, "ApplicationThrottled", message, Retry_After="1")
    return mailbox


def _calendar(request: web.Request, *, writing: bool = False) -> Calendar:
    mailbox, calendar_id = request[MAILBOX], request.match_info.get("calendar_id")
    calendar = mailbox.default if calendar_id is None else mailbox.calendars.get(calendar_id)
    if calendar is None:
        raise Refused(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    if writing and not calendar.can_edit:
        raise Refused(403, "ErrorAccessDenied")
    return calendar


async def list_calendars(request: web.Request) -> web.Response:
    """Return the calendars of the mailbox."""
    mailbox = request[MAILBOX]
    value = [
        {"id": one.id, "name": one.name, "canEdit": one.can_edit, "isDefaultCalendar": one is mailbox.default}
        for one in mailbox.calendars.values()
    ]
    return web.json_response({"value": value})


async def schedule(request: web.Request) -> web.Response:
    """Return free/busy times."""
    return await get_schedule(request, request.app[STORE])


async def calendar_view(request: web.Request) -> web.Response:
    """Return the single events of a time, in pages."""
    try:
        edges = [datetime.fromisoformat(request.query[name]) for name in ("startDateTime", "endDateTime")]
    except (KeyError, ValueError):
        raise Refused(400, "ErrorInvalidParameter") from None
    calendar = _calendar(request)
    found_here = sorted(expanded(calendar, *edges), key=lambda one: (one["start"]["dateTime"], one["id"]))
    return page(request, calendar, found_here)


async def list_events(request: web.Request) -> web.Response:
    """Return events and series as they are, in pages; with a $filter, those with an extended property."""
    calendar = _calendar(request)
    return page(request, calendar, filtered(request, list(calendar.events.values())))


async def create_event(request: web.Request) -> web.Response:
    """Create an event; a transaction id that was given before is answered as the mailbox is set to."""
    calendar, mailbox = _calendar(request, writing=True), request[MAILBOX]
    event = complete(await server.json_object(request), mailbox)
    transaction_id = event["transactionId"]
    if transaction_id in mailbox.given and mailbox.transactions != "forgotten":
        earlier = calendar.events.get(mailbox.given[transaction_id])
        if earlier is None or mailbox.transactions == "refused":
            raise Refused(409, "ErrorDuplicateTransactionId", "Your request can't be completed.")
        return event_answer(request, earlier, status=201)
    if transaction_id is not None:
        mailbox.given[transaction_id] = event["id"]
    return event_answer(request, stored(request.app, mailbox, calendar, event, "created"), status=201)


async def get_event(request: web.Request) -> web.Response:
    """Return an event."""
    return event_answer(request, _event(request)[1])


async def update_event(request: web.Request) -> web.Response:
    """Change the members that are given; 412 where If-Match names an earlier version."""
    calendar, event = _event(request)
    if request.headers.get("If-Match", "*") not in {"*", event["@odata.etag"]}:
        raise Refused(
            412, "ErrorIrresolvableConflict", "The send or update operation could not be performed."
        )
    after = changed(event, await server.json_object(request))
    return event_answer(request, stored(request.app, request[MAILBOX], calendar, after, "updated"))


async def delete_event(request: web.Request) -> web.Response:
    """Delete an event, or leave an occurrence out of its series."""
    calendar, event = _event(request)
    take_out(request.app, request[MAILBOX], calendar, event)
    return web.Response(status=204)


def _event(request: web.Request) -> tuple[Calendar, Item]:
    event_id = request.match_info["event_id"]
    if not event_id.startswith("AA"):
        raise Refused(400, "ErrorInvalidIdMalformed", "Id is malformed.")
    for calendar in request[MAILBOX].calendars.values():
        if (event := found(calendar, event_id)) is not None:
            return calendar, event
    raise Refused(404, "ErrorItemNotFound", "The specified object was not found in the store.")


type _Subscribing = Callable[[web.Request, Grant], Awaitable[web.Response]]


def _with_grant(act: _Subscribing) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return await act(request, request[GRANT])

    return handle


routes.post(f"{BASE}/subscriptions")(_with_grant(microsoft_subscriptions.create))
routes.patch(f"{BASE}/subscriptions/{{subscription_id}}")(_with_grant(microsoft_subscriptions.update))
routes.delete(f"{BASE}/subscriptions/{{subscription_id}}")(_with_grant(microsoft_subscriptions.delete))


if __name__ == "__main__":
    server.main(build, port=3004, description=str(__doc__).partition(":")[0])
