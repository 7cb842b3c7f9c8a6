"""Channels of the stand-in of Google: it posts a notification of each change, and `sync` first.

https://developers.google.com/workspace/calendar/api/guides/push
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from local.partners import server
from local.partners.google_answers import ACCOUNT, BASE, Refused, answer, calendar_of
from local.partners.google_store import Calendar, Channel

_SESSION = web.AppKey("session", ClientSession)
_TASKS = web.AppKey("tasks", set[asyncio.Task[None]])
# A notification that meets one of these is sent again.
_AGAIN = {500, 502, 503, 504}
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.2
routes = web.RouteTableDef()


async def lifetime(app: web.Application) -> AsyncIterator[None]:
    """Keep what sends notifications as long as the application runs."""
    app[_TASKS] = set()
    async with ClientSession(timeout=ClientTimeout(total=10)) as session:
        app[_SESSION] = session
        yield
        for task in app[_TASKS]:
            task.cancel()
        await asyncio.gather(*app[_TASKS], return_exceptions=True)


def tell(calendar: Calendar) -> None:
    """Tell the channels of a calendar that it has changed."""
    for channel in calendar.channels.values():
        channel.coming.put_nowait("exists")


@routes.post(f"{BASE}/calendars/{{calendar_id}}/events/watch")
async def watch(request: web.Request) -> web.Response:
    """Make a channel. Its id must be new, and its address https (or this machine)."""
    calendar, body = calendar_of(request), await server.json_object(request)
    address = urlsplit(str(body.get("address")))
    if address.scheme != "https" and address.hostname != server.HOST:
        raise Refused(401, "push.webhookUrlNotHttps")
    if not 0 < len(str(body.get("id", ""))) <= 64 or body.get("type") not in {"web_hook", "webhook"}:  # noqa: PLR2004
        raise Refused(400, "invalid")
    known = {channel_id for one in request[ACCOUNT].calendars.values() for channel_id in one.channels}
    if body["id"] in known:
        raise Refused(400, "channelIdNotUnique")
    seconds = min(
        int(body.get("params", {}).get("ttl", request[ACCOUNT].channel_seconds)),
        request[ACCOUNT].channel_seconds,
    )
    channel = Channel(
        id=body["id"],
        address=address.geturl(),
        token=body.get("token"),
        resource_id=calendar.resource_id,
        until=time.time() + seconds,
    )
    channel.coming.put_nowait("sync")
    calendar.channels[channel.id] = channel
    task = asyncio.create_task(_send_all(request.app, calendar, channel))
    request.app[_TASKS].add(task)
    task.add_done_callback(request.app[_TASKS].discard)
    made = {
        "kind": "api#channel",
        "id": channel.id,
        "resourceId": channel.resource_id,
        "resourceUri": _uri(calendar),
        "expiration": str(round(channel.until * 1000)),
    }
    return answer(request, made | ({"token": channel.token} if channel.token is not None else {}))


@routes.post(f"{BASE}/channels/stop")
async def stop(request: web.Request) -> web.Response:
    """Stop a channel; 404 for one that is not known."""
    body = await server.json_object(request)
    for calendar in request[ACCOUNT].calendars.values():
        channel = calendar.channels.get(body.get("id", ""))
        if channel is not None and channel.resource_id == body.get("resourceId"):
            del calendar.channels[channel.id]
            return web.Response(status=204)
    raise Refused(404, "notFound")


def _uri(calendar: Calendar) -> str:
    return f"https://www.googleapis.com{BASE}/calendars/{calendar.id}/events?alt=json"


async def _send_all(app: web.Application, calendar: Calendar, channel: Channel) -> None:
    """Send a channel's notifications, one after the other, until it ends or is stopped."""
    number = 0
    while True:
        state = await channel.coming.get()
        if time.time() >= channel.until or calendar.channels.get(channel.id) is not channel:
            return
        number += 1
        headers = {
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Channel-Expiration": format_datetime(
                datetime.fromtimestamp(channel.until, UTC), usegmt=True
            ),
            "X-Goog-Resource-ID": channel.resource_id,
            "X-Goog-Resource-URI": _uri(calendar),
            "X-Goog-Resource-State": state,
            "X-Goog-Message-Number": str(number),
            **({"X-Goog-Channel-Token": channel.token} if channel.token is not None else {}),
        }
        await _send(app[_SESSION], channel.address, headers)


async def _send(session: ClientSession, address: str, headers: dict[str, str]) -> None:
    for attempt in range(_ATTEMPTS):
        with suppress(ClientError, TimeoutError):
            async with session.post(address, headers=headers) as response:
                if response.status not in _AGAIN:
                    return
        await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
