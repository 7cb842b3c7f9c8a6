"""Ask a provider to tell of a calendar's changes, go on telling, or stop, whatever the calendar's kind."""

import asyncio
from typing import Protocol
from zoneinfo import ZoneInfo

from fairslot.calendars.interface import CalendarError, Watch
from fairslot.calendars.push_secret import Channel, configured
from fairslot.messages.watches import WatchAnswer, WatchRequest

_DAY_SECONDS = 86_400.0


class Channels(Protocol):
    """The channels of one calendar, whatever its kind."""

    async def watch(self, channel: Channel, *, address: str) -> Watch:
        """Have the provider tell `address` of changes. Raises CalendarError."""

    async def stop(self, watch: Watch) -> None:
        """Have it stop; what has ended is stopped. Raises CalendarError."""


class RenewableChannels(Channels, Protocol):
    """Those of a kind whose channels can be renewed."""

    async def renew(self, watch: Watch) -> Watch | None:
        """Have the provider go on; None if the channel is gone. Raises CalendarError."""


async def carry_out(request: WatchRequest, *, seconds: float) -> WatchAnswer:
    """Return what became of a request in `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return _answer(request, await _carried_out(request))
    except CalendarError as error:
        return _failed(request, error.reason, after=error.after)
    except TimeoutError:
        return _failed(request, "timeout")


async def _carried_out(request: WatchRequest) -> Watch | None:
    if request.action == "renew":
        return await (await _open_microsoft(request)).renew(_named(request))
    channels = await _open(request)
    if request.action == "stop":
        await channels.stop(_named(request))
        return None
    channel = Channel(
        provider="google" if request.calendar_kind == "google" else "microsoft",
        source_id=request.source_id,
        generation=request.generation,
    )
    return await channels.watch(channel, address=request.address)


async def _open(request: WatchRequest) -> Channels:
    """Return what makes and stops a source's channels. Raises CalendarError; `unknown_kind`."""
    if request.calendar_kind == "google":
        from fairslot.calendars.google_opening import open_google

        opened = await open_google(
            calendar_ref=request.calendar_ref, credentials=request.credentials, source_id=request.source_id
        )
        if opened.free_busy_only:
            # The scopes allow no channel, until the coach connects again.
            raise CalendarError("forbidden", after=_DAY_SECONDS)
        return opened.channels(configured())
    return await _open_microsoft(request)


async def _open_microsoft(request: WatchRequest) -> RenewableChannels:
    """Return what makes, renews and deletes a source's subscriptions. Raises CalendarError."""
    if request.calendar_kind != "microsoft":
        raise CalendarError("unknown_kind")
    from fairslot.calendars.microsoft_opening import open_microsoft

    opened = await open_microsoft(
        calendar_ref=request.calendar_ref,
        credentials=request.credentials,
        source_id=request.source_id,
        zone=ZoneInfo("UTC"),  # no times are read
    )
    if opened.address is not None:
        raise CalendarError("forbidden", after=_DAY_SECONDS)
    return opened.subscriptions(configured())


def _named(request: WatchRequest) -> Watch:
    """Return the channel that a request names."""
    if request.channel_id is None or request.expires_at is None:
        raise CalendarError("not_found")
    return Watch(
        channel_id=request.channel_id, resource_id=request.resource_id, expires_at=request.expires_at
    )


def _answer(request: WatchRequest, watch: Watch | None) -> WatchAnswer:
    if request.action == "renew" and watch is None:
        return _failed(request, "not_found", gone=True)
    return WatchAnswer(
        action=request.action,
        source_id=request.source_id,
        generation=request.generation,
        channel_id=watch.channel_id if watch else request.channel_id,
        resource_id=watch.resource_id if watch else request.resource_id,
        expires_at=watch.expires_at if watch else None,
    )


def _failed(request: WatchRequest, error: str, *, after: float = 0.0, gone: bool = False) -> WatchAnswer:
    return WatchAnswer(
        action=request.action,
        source_id=request.source_id,
        generation=request.generation,
        channel_id=request.channel_id,
        resource_id=request.resource_id,
        error=error,
        after=after,
        gone=gone,
    )
