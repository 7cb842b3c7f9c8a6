"""A CalDAV calendar (RFC 4791): read as whole windows of events, and written to, an object an event."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx

from fairslot.calendars import caldav_xml as xml
from fairslot.calendars.caldav_account import Account, Answer, DavClient
from fairslot.calendars.caldav_objects import (
    Own,
    Stored,
    free_of_objects,
    moved_object,
    new_object,
    own_of,
)
from fairslot.calendars.event_ids import digest_of, event_id
from fairslot.calendars.feed_text import MARGIN
from fairslot.calendars.fetch import Limits
from fairslot.calendars.icalendar_feed import apart
from fairslot.calendars.interface import CalendarError, Event, EventKey, Free, Sighting
from fairslot.domain.slots import Window, instant_of

MOST_TRIES = 3

_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_TAKEN = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT)
_OBJECT = {"Content-Type": "text/calendar; charset=utf-8"}
# Compressing proxies change the ETag: to W/"x", or "x-gzip".
_AS_IT_IS = {"Accept-Encoding": "identity"}
_XML = {"Content-Type": "application/xml; charset=utf-8"}


class CaldavCalendar:
    """One coach's calendar at a CalDAV server, and the source that it is of."""

    def __init__(
        self,
        *,
        account: Account,
        url: str,
        source_id: UUID,
        zone: ZoneInfo,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the account, the calendar's address, and the coach's time zone. Raises CalendarError."""
        self._client = DavClient(account, limits=limits, transport=transport)
        self.url = self._client.join(self._client.address, url.rstrip("/") + "/")
        self._source_id = source_id
        self._zone = zone
        self._now = now

    async def free(self, window: Window) -> Free:
        """Return the slots that no event touches, the events of ours, and the calendar's tag before it.

        The server's idea of when an all-day or floating event is may differ from the coach's by a day: it is
        asked for more than the window.
        """
        tag = await self._tag()
        start, end = instant_of(window.first_slot) - MARGIN, instant_of(window.end_slot) + MARGIN
        answer = await self._report(xml.between(f"{start:%Y%m%dT%H%M%SZ}", f"{end:%Y%m%dT%H%M%SZ}"))
        free = await apart(
            lambda: free_of_objects(self._objects(answer), window, self._zone, self._source_id)
        )
        return Free(free.bits, free.unreadable, free.own, tag)

    async def changed(self, tag: str) -> bool:
        """Return whether the calendar's tag is another one; without tags it may always have changed."""
        return await self._tag() != tag

    async def put(self, event: Event) -> Sighting:
        """Create the event, or move the one of its key.

        One that stands there as we wrote it before, or as the coach moved it since, is left as it stands.
        `conflict`: the server refuses it and has nothing of ours; a next generation has another address.
        """
        ref = self._ref(event.key)
        answer = await self._put(ref, new_object(event, self._now()), {"If-None-Match": "*"})
        if answer.ok:
            return _sighting(event, answer.url, answer.version)
        for _ in range(MOST_TRIES):
            stored, own = await self._find(event.key)
            if own.written == digest_of(event):
                return own.sighting
            condition = {"If-Match": (stored.version or "*").removeprefix("W/")}
            answer = await self._put(stored.ref, moved_object(stored, event, self._now()), condition)
            if answer.ok:
                return _sighting(event, answer.url, answer.version)
        raise CalendarError(f"http_{answer.status}")

    async def remove(self, key: EventKey, ref: str | None) -> None:
        """Remove the event, wherever in the calendar it now is; one that is gone is removed."""
        target = self._ref(key) if ref is None else self._client.join(self.url, ref)
        answer = await self._client.send("DELETE", target, allowed=_GONE)
        if answer.ok:
            return
        try:
            found = await self._by_uid(key)
        except CalendarError as error:
            if error.reason != "not_found":
                raise
            return  # the calendar is gone, and the event with it
        for stored, _ in found:
            await self._client.send("DELETE", stored.ref, allowed=_GONE)

    def _ref(self, key: EventKey) -> str:
        return f"{self.url}{event_id(key)}.ics"

    async def _put(self, ref: str, content: bytes, condition: dict[str, str]) -> Answer:
        return await self._client.send(
            "PUT", ref, headers={**_OBJECT, **condition}, content=content, allowed=(*_TAKEN, *_GONE)
        )

    async def _find(self, key: EventKey) -> tuple[Stored, Own]:
        """Return our event where we wrote it, or where a client of the coach moved it in the calendar."""
        answer = await self._client.send("GET", self._ref(key), headers=_AS_IT_IS, allowed=_GONE)
        found = []
        if answer.ok:
            text = answer.body.decode("utf-8", "replace")
            found = await self._ours([Stored(answer.url, answer.version, text)], key)
        found = found or await self._by_uid(key)
        if not found:
            raise CalendarError("conflict")
        return found[0]

    async def _by_uid(self, key: EventKey) -> list[tuple[Stored, Own]]:
        answer = await self._report(xml.with_uid(event_id(key)))
        return await self._ours(await apart(partial(self._objects, answer)), key)

    async def _ours(self, objects: list[Stored], key: EventKey) -> list[tuple[Stored, Own]]:
        found = [(one, await apart(partial(own_of, one, self._zone))) for one in objects]
        return [(one, own) for one, own in found if own is not None and own.sighting.key == key]

    async def _report(self, condition: str) -> Answer:
        headers = {**_XML, "Depth": "1"}
        answer = await self._client.send(
            "REPORT", self.url, headers=headers, content=xml.query_events(condition)
        )
        return _multistatus(answer)

    def _objects(self, answer: Answer) -> list[Stored]:
        """Return the objects of an answer: one whose text is missing makes it no answer."""
        found = []
        for one in xml.multistatus(answer.body):
            text = one.text(xml.DATA)
            if not text:
                raise CalendarError("invalid_body")
            found.append(Stored(self._client.join(answer.url, one.href), one.text(xml.ETAG), text))
        return found

    async def _tag(self) -> str | None:
        """Return what changes with the calendar: the first of its tags, with the tag's name."""
        content = xml.propfind(xml.CHANGE_TAG, xml.SYNC_TOKEN)
        headers = {**_XML, "Depth": "0"}
        answer = _multistatus(await self._client.send("PROPFIND", self.url, headers=headers, content=content))
        for one in await apart(lambda: xml.multistatus(answer.body)):
            for name in (xml.CHANGE_TAG, xml.SYNC_TOKEN):
                if value := one.text(name):
                    return f"{name.rpartition('}')[2]} {value}"
        return None


def _multistatus(answer: Answer) -> Answer:
    if answer.status != HTTPStatus.MULTI_STATUS:
        raise CalendarError("invalid_body")
    return answer


def _sighting(event: Event, ref: str, version: str | None) -> Sighting:
    return Sighting(key=event.key, ref=ref, start=event.start, end=event.end, version=version)
