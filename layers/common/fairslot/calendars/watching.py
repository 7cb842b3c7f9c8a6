"""Ask a provider to tell of a calendar's changes, go on telling, or stop, whatever the calendar's kind."""

import asyncio
from typing import Protocol

from fairslot.calendars.interface import CalendarError, Watch
from fairslot.calendars.push_secret import Channel
from fairslot.messages.watches import WatchAnswer, WatchRequest


class Watched(Protocol):
    """A calendar whose provider tells of changes."""

    async def watch(self, channel: Channel, *, address: str) -> Watch:
        """Have the provider tell `address` of changes. Raises CalendarError."""

    async def stop(self, watch: Watch) -> None:
        """Have it stop; what has ended is stopped. Raises CalendarError."""


class Renewable(Watched, Protocol):
    """One whose channels can be renewed."""

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
    if request.action == "watch":
        channel = Channel(
            provider="google" if request.calendar_kind == "google" else "microsoft",
            source_id=request.source_id,
            generation=request.generation,
        )
        return await open_watched(request).watch(channel, address=request.address)
    watch = _named(request)
    if request.action == "stop":
        await open_watched(request).stop(watch)
        return None
    return await open_renewable(request).renew(watch)


def open_watched(request: WatchRequest) -> Watched:
    """Return the calendar of a request; CalendarError for a kind whose changes are not told."""
    raise CalendarError("unknown_kind")


def open_renewable(request: WatchRequest) -> Renewable:
    """Return the calendar of a request; CalendarError for a kind whose channels are not renewed."""
    raise CalendarError("unknown_kind")


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
