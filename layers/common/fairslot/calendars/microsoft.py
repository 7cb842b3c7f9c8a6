"""A calendar of Microsoft 365, read and written by Microsoft Graph.

https://learn.microsoft.com/en-us/graph/api/resources/calendar
A source makes one request after another: Exchange answers four at once for a mailbox and refuses the fifth.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx

from fairslot.calendars.event_ids import event_id
from fairslot.calendars.fetch import Limits
from fairslot.calendars.interface import AccessToken, CalendarError, Event, EventKey, Free, Sighting
from fairslot.calendars.microsoft_errors import MALFORMED_ID, REPEATED, code_of, microsoft_refusal
from fairslot.calendars.microsoft_events import (
    EXPAND,
    EXPAND_BOTH,
    SELECT,
    GraphEvent,
    Reading,
    Rules,
    changes,
    event_of,
    events_of,
    having,
    new_event,
)
from fairslot.calendars.microsoft_times import PREFER, asked
from fairslot.calendars.provider_api import Body, ProviderApi
from fairslot.domain.slots import Window

BASE_URL = "https://graph.microsoft.com/v1.0"
# Graph allows 1,000; with an expanded property these are long in coming.
PAGE = 250
# How often a move that met another change is begun again.
MOST_MOVES = 3

# The days of an all-day event are the coach's, which begin up to 14 hours before UTC's and end 12 after them.
_MARGIN = timedelta(days=1)
_HEADERS = {"Prefer": PREFER}
_SEEN = {"$select": SELECT, "$expand": EXPAND}
# 400: it is no id at all, or something else is wrong.
_GONE = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_REFUSED_TWICE = {HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT}
_CHANGED_MEANWHILE = {HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}


class MicrosoftCalendar:
    """One coach's calendar, whose events can be read."""

    def __init__(
        self,
        *,
        token: AccessToken,
        source_id: UUID,
        zone: ZoneInfo,
        mailbox: str | None = None,
        calendar_id: str | None = None,
        rules: Rules | None = None,
        base_url: str = BASE_URL,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the source and the coach's zone; the mailbox for an app-only token, else it is the token's.

        Without `calendar_id` it is the mailbox's default calendar.
        """
        self._source_id = source_id
        self._zone = zone
        self._rules = rules or Rules()
        self._mailbox = mailbox_path(mailbox)
        self._calendar = calendar_path(mailbox, calendar_id)
        self._api = ProviderApi(
            base_url=base_url, token=token, refusal=microsoft_refusal, limits=limits, transport=transport
        )

    async def free(self, window: Window) -> Free:
        """Return every slot that no event touches which takes time, and the events of ours.

        Raises CalendarError.
        """
        start, end = asked(window, margin=_MARGIN)
        params = {"startDateTime": start, "endDateTime": end, "$top": str(PAGE), **_SEEN}
        path = f"{self._calendar}/calendarView"
        reading = Reading(window, source_id=self._source_id, zone=self._zone, rules=self._rules)
        async with aclosing(self._pages(path, params)) as pages:
            async for body in pages:
                reading.add_events(body)
        return reading.free

    async def put(self, event: Event) -> Sighting:
        """Create the event, or move the one of its key; return where it stands.

        It is looked for first: how long Graph remembers a transaction id is not documented. The id then keeps
        two that look at once, or one whose answer is lost, from making two events. One that stands there as
        it was written before is left where the coach has moved it since. Raises CalendarError; `conflict`:
        the coach deleted it, and its transaction id stays taken.
        """
        found = await self._find(event.key) or await self._create(event)
        for _ in range(MOST_MOVES):
            if found.is_written(event):
                return found.sighting(event.key, self._zone)
            moved = await self._move(found, event)
            if moved is not None:
                return moved.sighting(event.key, self._zone)
            again = await self._find(event.key)
            if again is None:
                raise CalendarError("conflict")
            found = again
        raise CalendarError("http_412")

    async def remove(self, key: EventKey, ref: str | None) -> None:
        """Remove the event; one that is gone is removed. Raises CalendarError.

        One that is not found by `ref` is looked for by its key: ids change where a mailbox is moved.
        """
        if ref is not None and await self._delete(ref):
            return
        try:
            found = await self._find(key)
        except CalendarError as error:
            # A calendar that is gone took its events along.
            if error.ended == "unsupported":
                return
            raise
        if found is not None:
            await self._delete(found.id)

    async def _find(self, key: EventKey) -> GraphEvent | None:
        """Return the event of a key; a copy is none."""
        params = {"$filter": having(key), "$top": "50", "$select": SELECT, "$expand": EXPAND_BOTH}
        path = f"{self._calendar}/events"
        async with aclosing(self._pages(path, params)) as pages:
            async for body in pages:
                for event in events_of(body):
                    if event.key() == key:
                        return event
        return None

    def _pages(self, path: str, params: Mapping[str, str]) -> AsyncGenerator[Body]:
        return self._api.pages(path, params=params, headers=_HEADERS, following=next_page)

    async def _create(self, event: Event) -> GraphEvent:
        """Create the event and return it, or the one that a request before this one made."""
        answer = await self._api.request(
            "POST",
            f"{self._calendar}/events",
            headers=_HEADERS,
            body=new_event(event),
            allowed=_REFUSED_TWICE,
        )
        if answer.ok:
            made = event_of(answer.body)
            if made.transaction_id != event_id(event.key):
                raise CalendarError("invalid_body")
            # What was made before this request may have been changed since: look at it whole.
            return made if made.is_written(event) else await self._find(event.key) or made
        if code_of(answer.body) != REPEATED:
            raise microsoft_refusal(answer)
        found = await self._find(event.key)
        if found is None:
            # It was made once, and is not there: the coach deleted it.
            raise CalendarError("conflict")
        return found

    async def _move(self, found: GraphEvent, event: Event) -> GraphEvent | None:
        """Move an event that is as it was found; None if it is not."""
        answer = await self._api.request(
            "PATCH",
            self._event(found.id),
            headers={**_HEADERS, **({"If-Match": found.etag} if found.etag else {})},
            body=changes(event),
            allowed=_CHANGED_MEANWHILE | {HTTPStatus.NOT_FOUND, HTTPStatus.GONE},
        )
        return event_of(answer.body) if answer.ok else None

    async def _delete(self, ref: str) -> bool:
        """Delete an event; return whether it was there."""
        answer = await self._api.request("DELETE", self._event(ref), headers=_HEADERS, allowed=_GONE)
        if answer.status == HTTPStatus.BAD_REQUEST and code_of(answer.body) != MALFORMED_ID:
            raise microsoft_refusal(answer)
        return answer.ok

    def _event(self, ref: str) -> str:
        return f"{self._mailbox}/events/{quote(ref, safe='')}"


def mailbox_path(mailbox: str | None) -> str:
    """Return the path of a mailbox: by its address or id, or the token's own."""
    return f"users/{quote(mailbox, safe='')}" if mailbox else "me"


def calendar_path(mailbox: str | None, calendar_id: str | None) -> str:
    """Return the path of a calendar, the mailbox's default one without an id."""
    named = f"calendars/{quote(calendar_id, safe='')}" if calendar_id else "calendar"
    return f"{mailbox_path(mailbox)}/{named}"


def next_page(body: Body) -> tuple[str, Mapping[str, str]] | None:
    """Return where the next page is. Raises CalendarError."""
    link = body.get("@odata.nextLink")
    if link is None:
        return None
    if not isinstance(link, str) or not link:
        raise CalendarError("invalid_body")
    return link, {}
