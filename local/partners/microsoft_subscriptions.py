"""Subscriptions of the stand-in of Microsoft Graph: it asks each address to prove itself, and posts to it."""

import asyncio
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aiohttp
from aiohttp import web

from local.partners import server
from local.partners.microsoft_answers import Refused
from local.partners.microsoft_oauth import STORE
from local.partners.microsoft_store import Calendar, Grant, Item, Mailbox, Store, Subscription

SHORTEST = timedelta(minutes=45)
LONGEST_STATE = 128
_PROOF_SECONDS = 10.0
_ANSWER_SECONDS = 3.0
_RESOURCE = re.compile(r"/?(?:me|users/(?P<user>[^/]+))(?:/calendars/(?P<calendar>[^/]+))?/events")
_POSTS = web.AppKey("posts", set[asyncio.Task[None]])


def add_posts(app: web.Application) -> None:
    """Have the application end what it posts when it ends."""
    app[_POSTS] = set()

    async def end(app: web.Application) -> None:
        for task in app[_POSTS]:
            task.cancel()
        await asyncio.gather(*app[_POSTS], return_exceptions=True)

    app.on_cleanup.append(end)


async def create(request: web.Request, grant: Grant) -> web.Response:
    """Create a subscription, after its addresses have proven themselves."""
    store, body = request.app[STORE], await server.json_object(request)
    mailbox, calendar_id = _watched(store, grant, str(body.get("resource")))
    for name in ("changeType", "notificationUrl"):
        if not isinstance(body.get(name), str):
            raise Refused(400, "InvalidRequest", f"{name} is missing")
    if len(body.get("clientState") or "") > LONGEST_STATE:
        raise Refused(400, "InvalidRequest", "clientState is too long")
    until = _until(store, body)
    for name in ("notificationUrl", "lifecycleNotificationUrl"):
        if name in body:
            await _prove(body[name])
    made = Subscription(str(uuid4()), mailbox, calendar_id, body, until)
    store.subscriptions[made.id] = made
    return web.json_response(_written(request, made), status=201)


async def update(request: web.Request, grant: Grant) -> web.Response:
    """Renew a subscription, and authorize it again."""
    subscription = _standing(request, grant)
    subscription.until = _until(request.app[STORE], await server.json_object(request))
    return web.json_response(_written(request, subscription))


async def delete(request: web.Request, grant: Grant) -> web.Response:
    """Delete a subscription."""
    del request.app[STORE].subscriptions[_standing(request, grant).id]
    return web.Response(status=204)


def tell(app: web.Application, mailbox: Mailbox, calendar: Calendar, event_id: str, change: str) -> None:
    """Post a change to all who subscribed to it."""
    for one in list(app[STORE].subscriptions.values()):
        concerned = one.mailbox is mailbox and one.calendar_id in {None, calendar.id}
        if not concerned or one.until < datetime.now(UTC) or change not in one.asked["changeType"].split(","):
            continue
        path = f"Users/{mailbox.id}/Events/{event_id}"
        data = {"@odata.type": "#Microsoft.Graph.Event", "@odata.id": path, "id": event_id}
        body = _notification(one) | {"changeType": change, "resource": path, "resourceData": data}
        _post(app, one.asked["notificationUrl"], body)


def tell_of_itself(app: web.Application, subscription: Subscription, event: str) -> None:
    """Post a lifecycle event to a subscription's address for those."""
    if event == "subscriptionRemoved":
        app[STORE].subscriptions.pop(subscription.id, None)
    if address := subscription.asked.get("lifecycleNotificationUrl"):
        _post(app, address, _notification(subscription) | {"lifecycleEvent": event})


def _notification(subscription: Subscription) -> Item:
    return {
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": server.rfc3339(subscription.until),
        "clientState": subscription.asked.get("clientState"),
        "tenantId": "9f4ebab6-520d-49c0-85cc-7b25c78d4a93",
    }


def _post(app: web.Application, address: str, notification: Item) -> None:
    async def post() -> None:
        status: Any = None
        try:
            timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(address, json={"value": [notification]}) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            status = type(error).__name__
        app[STORE].posts.append({"url": address, "body": notification, "status": status})

    task = asyncio.create_task(post())
    app[_POSTS].add(task)
    task.add_done_callback(app[_POSTS].discard)


async def _prove(address: str) -> None:
    """Have an address send a token back, decoded and as plain text."""
    token = f"Validation: Testing client application reachability for subscription {secrets.token_hex(8)}"
    try:
        timeout = aiohttp.ClientTimeout(total=_PROOF_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(address, params={"validationToken": token}) as answer,
        ):
            told = await answer.text()
            proven = answer.status == web.HTTPOk.status_code and answer.content_type == "text/plain"
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
        told, proven = "", False
    if not proven or told != token:
        raise Refused(400, "ValidationError", "Subscription validation request failed.")


def _watched(store: Store, grant: Grant, resource: str) -> tuple[Mailbox, str | None]:
    named = _RESOURCE.fullmatch(resource)
    if named is None:
        raise Refused(400, "InvalidRequest", "this resource is not known here")
    mailbox = store.mailbox(named["user"]) if named["user"] else grant.mailbox
    if mailbox is None:
        raise Refused(404, "ResourceNotFound")
    if grant.mailbox not in {None, mailbox} or not grant.scopes & {"Calendars.Read", "Calendars.ReadWrite"}:
        raise Refused(403, "ErrorAccessDenied")
    if named["calendar"] and named["calendar"] not in mailbox.calendars:
        raise Refused(404, "ErrorItemNotFound")
    return mailbox, named["calendar"]


def _until(store: Store, body: Item) -> datetime:
    now, longest = datetime.now(UTC), timedelta(minutes=store.settings.subscription_minutes)
    try:
        until = datetime.fromisoformat(body["expirationDateTime"])
    except (KeyError, ValueError, TypeError):
        raise Refused(400, "InvalidRequest", "expirationDateTime is missing") from None
    if until.tzinfo is None or until > now + longest:
        minutes = store.settings.subscription_minutes
        raise Refused(
            400, "ExtensionError", f"Subscription expiration can only be {minutes} minutes in the future."
        )
    return max(until, now + SHORTEST)


def _standing(request: web.Request, grant: Grant) -> Subscription:
    found = request.app[STORE].subscriptions.get(request.match_info["subscription_id"])
    if found is None or found.until < datetime.now(UTC):
        raise Refused(404, "ResourceNotFound", "The object was not found.")
    if grant.mailbox not in {None, found.mailbox}:
        raise Refused(403, "AccessDenied")
    return found


def _written(request: web.Request, subscription: Subscription) -> Item:
    return {
        "@odata.context": f"{request.url.origin()}/v1.0/$metadata#subscriptions/$entity",
        "id": subscription.id,
        "applicationId": "24d3b144-21ae-4080-943f-7067b395b913",
        "creatorId": subscription.mailbox.id,
        "latestSupportedTlsVersion": "v1_2",
        **{name: value for name, value in subscription.asked.items() if name != "clientState"},
        "expirationDateTime": f"{subscription.until:%Y-%m-%dT%H:%M:%S.%f}0Z",
    }
