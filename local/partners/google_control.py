"""What tests and people set in the stand-in of Google: accounts, their events, what becomes of grants."""

import secrets

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from local.partners import server
from local.partners.google_events import store_event
from local.partners.google_oauth import STORE, new_access_token
from local.partners.google_store import Account, Calendar, Item

_SCOPE = "https://www.googleapis.com/auth/calendar"
_SCOPES = {f"{_SCOPE}.events", f"{_SCOPE}.calendarlist.readonly", f"{_SCOPE}.freebusy"}
routes = web.RouteTableDef()


class NewAccount(BaseModel):
    """An account to make, or to make anew; `calendars` are those beside the primary one."""

    model_config = ConfigDict(extra="forbid")

    email: str
    refresh_token: str = ""
    zone: str = "Europe/Berlin"
    scopes: set[str] = _SCOPES
    role: str = "owner"
    page_size: int = 2_500
    calendars: list[str] = []
    unticked: set[str] = set()
    refuses: bool = False
    delegated: bool = False
    quota: int = 600
    channel_seconds: int = 604_800


@routes.post("/control/accounts")
async def make_account(request: web.Request) -> web.Response:
    """Make an account that has given its consent; return its tokens."""
    try:
        new = NewAccount.model_validate(await server.json_object(request))
    except ValidationError as error:
        raise server.problem(web.HTTPBadRequest, f"{error.error_count()} invalid members") from None
    account = Account(
        **new.model_dump(exclude={"zone", "role", "page_size", "calendars", "refresh_token"}),
        refresh_token=new.refresh_token or f"1//{secrets.token_urlsafe(24)}",
    )
    for calendar_id in (new.email, *new.calendars):
        account.calendars[calendar_id] = Calendar(calendar_id, new.zone, new.role, new.page_size)
    request.app[STORE].accounts[new.email] = account
    return web.json_response(
        {"refresh_token": account.refresh_token, "access_token": new_access_token(account)}
    )


@routes.post("/control/revoke")
async def revoke(request: web.Request) -> web.Response:
    """End the account's grant, as its owner can."""
    account, _ = await _named(request)
    account.revoke()
    return web.json_response({})


@routes.post("/control/expire")
async def expire(request: web.Request) -> web.Response:
    """End the account's access tokens; its grant stands."""
    account, _ = await _named(request)
    account.access_tokens.clear()
    return web.json_response({})


@routes.post("/control/unshare")
async def unshare(request: web.Request) -> web.Response:
    """Take the primary calendar away, as when it is deleted or no longer shared."""
    account, _ = await _named(request)
    del account.calendars[account.email]
    return web.json_response({})


@routes.post("/control/events")
async def add_event(request: web.Request) -> web.Response:
    """Add an event of any kind to the primary calendar."""
    account, body = await _named(request)
    event = {"id": secrets.token_hex(13), "status": "confirmed", **body["event"]}
    return web.json_response(store_event(request.app, account.calendars[account.email], event))


@routes.get("/control/events")
async def show_events(request: web.Request) -> web.Response:
    """Return all events of the primary calendar of ?email=, deleted ones too."""
    account = request.app[STORE].accounts[request.query["email"]]
    return web.json_response({"events": list(account.calendars[account.email].events.values())})


@routes.get("/control/tokens")
async def list_tokens(request: web.Request) -> web.Response:
    """Return what an account's grant has given: nothing of one that has ended."""
    account = request.app[STORE].accounts[request.query["email"]]
    given = {"refresh_token": account.refresh_token, "access_tokens": sorted(account.access_tokens)}
    return web.json_response(given)


@routes.get("/control/channels")
async def show_channels(request: web.Request) -> web.Response:
    """Return the ids of the channels of the primary calendar of ?email=."""
    account = request.app[STORE].accounts[request.query["email"]]
    return web.json_response({"channels": list(account.calendars[account.email].channels)})


@routes.get("/control/calls")
async def show_calls(request: web.Request) -> web.Response:
    """Return what was called since the start."""
    return web.json_response({"calls": request.app[STORE].calls})


async def _named(request: web.Request) -> tuple[Account, Item]:
    body = await server.json_object(request)
    try:
        return request.app[STORE].accounts[body["email"]], body
    except KeyError:
        raise server.problem(web.HTTPNotFound, "no such account") from None
