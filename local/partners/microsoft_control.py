"""What tests and people set and see of the stand-in of Microsoft Graph.

POST /control/mailboxes  {"address", "zone"?, "scopes"?, "page_size"?, "transactions"?, "by_application"?,
                          "can_edit"?, "refresh_token"?}
                          -> {"id", "calendar_id", "refresh_token", "access_token"}
POST /control/settings   members of `microsoft_store.Settings`
POST /control/expire     {"address"}    the access tokens end
POST /control/revoke     {"address"}    the consent ends, and its tokens
POST /control/events     {"address", "event"}    what is not ours, also members that Graph computes
POST /control/copies     {"address", "id"}    the coach copies an event
POST /control/lifecycle  {"address", "event"}    all subscriptions of the mailbox are told of themselves
POST /control/lapse      {"address"}    the subscriptions of the mailbox end without a word
GET  /control/mailboxes/{address}    its events, and how many subscriptions it has
GET  /control/calls      what was called since the start
GET  /control/posts      what came of notifications
"""

from dataclasses import fields, replace
from datetime import UTC, datetime

from aiohttp import web

from local.partners import server
from local.partners.microsoft_events import complete, stored
from local.partners.microsoft_oauth import STORE, consent, new_access_token, new_refresh_token
from local.partners.microsoft_store import Calendar, Item, Mailbox, Settings, Store, copied, new_id
from local.partners.microsoft_subscriptions import tell_of_itself

_SCOPES = ["Calendars.ReadWrite", "offline_access"]
routes = web.RouteTableDef()


def new_store() -> Store:
    """Return an empty store."""
    return Store()


@routes.post("/control/mailboxes")
async def add_mailbox(request: web.Request) -> web.Response:
    """Add a mailbox with a calendar, and give tokens for it; one that is there keeps its events."""
    store, body = request.app[STORE], await server.json_object(request)
    mailbox = store.mailbox(body["address"]) or Mailbox(body["address"])
    for name in ("zone", "transactions", "by_application"):
        setattr(mailbox, name, body.get(name, getattr(mailbox, name)))
    if not mailbox.calendars:
        made = Calendar(new_id(), "Calendar")
        mailbox.calendars[made.id] = made
    mailbox.default.page_size = body.get("page_size", mailbox.default.page_size)
    mailbox.default.can_edit = body.get("can_edit", mailbox.default.can_edit)
    store.mailboxes[mailbox.address] = mailbox
    agreed = consent(store, mailbox, body.get("scopes", _SCOPES))
    answer = {
        "id": mailbox.id,
        "calendar_id": mailbox.default.id,
        "refresh_token": new_refresh_token(agreed, body.get("refresh_token")),
        "access_token": new_access_token(store, mailbox, agreed.scopes),
    }
    return web.json_response(answer)


@routes.post("/control/settings")
async def change_settings(request: web.Request) -> web.Response:
    """Change settings."""
    store, body = request.app[STORE], await server.json_object(request)
    if unknown := body.keys() - {one.name for one in fields(Settings)}:
        return web.json_response({"error": f"unknown: {', '.join(unknown)}"}, status=400)
    store.settings = replace(store.settings, **body)
    return web.json_response(body)


@routes.post("/control/expire")
async def expire(request: web.Request) -> web.Response:
    """End the access tokens of a mailbox."""
    store, mailbox = request.app[STORE], await _mailbox(request)
    for grant in store.grants.values():
        if grant.mailbox is mailbox:
            grant.until = 0.0
    return web.json_response({})


@routes.post("/control/revoke")
async def revoke(request: web.Request) -> web.Response:
    """End the consent of a mailbox."""
    store, mailbox = request.app[STORE], await _mailbox(request)
    store.consents = [one for one in store.consents if one.mailbox is not mailbox]
    store.grants = {token: one for token, one in store.grants.items() if one.mailbox is not mailbox}
    return web.json_response({})


@routes.post("/control/events")
async def add_event(request: web.Request) -> web.Response:
    """Add an event as the coach, or somebody who invites the coach, would."""
    mailbox, body = await _mailbox(request), await server.json_object(request)
    event = complete(body["event"], mailbox)
    return web.json_response(stored(request.app, mailbox, mailbox.default, event, "created"))


@routes.post("/control/copies")
async def copy(request: web.Request) -> web.Response:
    """Copy an event as a calendar's program does."""
    mailbox, body = await _mailbox(request), await server.json_object(request)
    event = copied(mailbox.default.events[body["id"]])
    return web.json_response(stored(request.app, mailbox, mailbox.default, event, "created"))


@routes.post("/control/lifecycle")
async def tell_lifecycle(request: web.Request) -> web.Response:
    """Tell the subscriptions of a mailbox of themselves."""
    mailbox, body = await _mailbox(request), await server.json_object(request)
    concerned = [one for one in request.app[STORE].subscriptions.values() if one.mailbox is mailbox]
    for one in concerned:
        tell_of_itself(request.app, one, body["event"])
    return web.json_response({"told": len(concerned)})


@routes.post("/control/lapse")
async def lapse(request: web.Request) -> web.Response:
    """End the subscriptions of a mailbox."""
    store, mailbox = request.app[STORE], await _mailbox(request)
    for one in store.subscriptions.values():
        if one.mailbox is mailbox:
            one.until = datetime.fromtimestamp(0, UTC)
    return web.json_response({})


@routes.get("/control/mailboxes/{address}")
async def show_mailbox(request: web.Request) -> web.Response:
    """Show a mailbox."""
    store = request.app[STORE]
    mailbox = _known(store, request.match_info["address"])
    now = datetime.now(UTC)
    watching = [one for one in store.subscriptions.values() if one.mailbox is mailbox and one.until > now]
    events = [one for calendar in mailbox.calendars.values() for one in calendar.events.values()]
    return web.json_response({"events": events, "subscriptions": len(watching)})


@routes.get("/control/calls")
async def show_calls(request: web.Request) -> web.Response:
    """Show what was called."""
    return web.json_response(request.app[STORE].calls)


@routes.get("/control/posts")
async def show_posts(request: web.Request) -> web.Response:
    """Show what came of notifications."""
    return web.json_response(request.app[STORE].posts)


async def _mailbox(request: web.Request) -> Mailbox:
    body: Item = await server.json_object(request)
    return _known(request.app[STORE], body["address"])


def _known(store: Store, address: str) -> Mailbox:
    mailbox = store.mailbox(address)
    if mailbox is None:
        raise server.problem(web.HTTPNotFound, "no such mailbox")
    return mailbox
