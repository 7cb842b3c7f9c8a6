"""Google Calendar (API v3): what a coach's calendar leaves free, and our events in it.

https://developers.google.com/workspace/calendar/api/v3/reference
"""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from fairslot.calendars.event_ids import PROPERTY, WRITTEN, digest_of, event_id, key_text
from fairslot.calendars.fetch import Limits
from fairslot.calendars.google_events import FIELDS, LIST_FIELDS, Reading, sighting, written
from fairslot.calendars.google_refusals import refusal
from fairslot.calendars.interface import AccessToken, CalendarError, Event, EventKey, Free, Sighting
from fairslot.calendars.provider_api import Body, ProviderApi
from fairslot.domain.slots import Window, instant_of

BASE_URL = "https://www.googleapis.com/calendar/v3"
PRIMARY = "primary"

# The most that one page has, and the longest time that one question about busy periods may be about.
_MOST_RESULTS = 2_500
_LONGEST_QUESTION = timedelta(days=60)
# How often an event is read again that somebody else changes at the same time.
_MOVES = 3

type Found = Mapping[str, Any]


class Google:
    """One calendar at Google: read, and written where the scopes allow it."""

    def __init__(
        self,
        *,
        token: AccessToken,
        source_id: UUID,
        calendar_id: str = PRIMARY,
        free_busy_only: bool = False,
        declined_is_free: bool = True,
        base_url: str = BASE_URL,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the source, its token and its calendar.

        `free_busy_only`: the scopes allow no events. `declined_is_free`: invitations that the coach declined
        take no time.
        """
        self._api = ProviderApi(
            base_url=base_url, token=token, refusal=refusal, limits=limits, transport=transport
        )
        self._source_id = source_id
        self._calendar_id = calendar_id
        self._events = f"calendars/{quote(calendar_id, safe='')}/events"
        self._free_busy_only = free_busy_only
        self._declined_is_free = declined_is_free

    async def free(self, window: Window) -> Free:
        """Return every slot that nothing touches which makes the coach busy.

        By busy periods alone our own events cannot be told from others: `own` is empty, and they are busy.
        """
        reading = Reading(window, source_id=self._source_id, declined_is_free=self._declined_is_free)
        if self._free_busy_only:
            await self._add_periods(reading, window)
            return replace(reading.free, sees_own=False)
        await self._add_events(reading, window)
        return reading.free

    async def put(self, event: Event) -> Sighting:
        """Create the event, or move the one of its key; return where it stands.

        It is looked for first, so that a repetition after a lost answer finds it; one that stands there as it
        was written before is left where the coach has moved it since. Raises CalendarError; `conflict`: it
        was deleted, and its id stays taken.
        """
        found = await self._get(event.key) or await self._insert(event)
        for _ in range(_MOVES):
            seen = self._seen(found)
            if seen is not None and written(found) == digest_of(event):
                return seen
            moved = await self._move(event, found)
            if moved is not None:
                return moved
            found = await self._get(event.key) or {"status": "cancelled"}
        raise CalendarError("http_412")

    async def remove(self, key: EventKey, ref: str | None) -> None:  # noqa: ARG002  # the key says the id
        """Delete the event; one that is gone or never was is deleted. Raises CalendarError."""
        gone = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
        await self._api.request(
            "DELETE", f"{self._events}/{event_id(key)}", params={"sendUpdates": "none"}, allowed=gone
        )

    async def _add_events(self, reading: Reading, window: Window) -> None:
        params = {
            "singleEvents": "true",
            "timeMin": _rfc3339(instant_of(window.first_slot)),
            "timeMax": _rfc3339(instant_of(window.end_slot)),
            "maxResults": str(_MOST_RESULTS),
            # Of the guests, the coach alone.
            "maxAttendees": "1",
            "fields": LIST_FIELDS,
        }

        def following(body: Body) -> tuple[str, Mapping[str, str]] | None:
            page_token = body.get("nextPageToken")
            return (self._events, params | {"pageToken": str(page_token)}) if page_token else None

        async with aclosing(self._api.pages(self._events, params=params, following=following)) as pages:
            async for page in pages:
                reading.add_events(page)

    async def _add_periods(self, reading: Reading, window: Window) -> None:
        start, end = instant_of(window.first_slot), instant_of(window.end_slot)
        while start < end:
            until = min(start + _LONGEST_QUESTION, end)
            question = {
                "timeMin": _rfc3339(start),
                "timeMax": _rfc3339(until),
                "items": [{"id": self._calendar_id}],
            }
            answer = await self._api.request("POST", "freeBusy", body=question)
            reading.add_periods(answer.body)
            start = until

    async def _get(self, key: EventKey) -> Found | None:
        """Return the event of a key, also a deleted one; None where there never was one."""
        answer = await self._api.request(
            "GET",
            f"{self._events}/{event_id(key)}",
            params={"fields": FIELDS},
            allowed={HTTPStatus.NOT_FOUND, HTTPStatus.GONE},
        )
        if answer.status == HTTPStatus.GONE:
            return {"status": "cancelled"}
        return answer.body if answer.ok else None

    async def _insert(self, event: Event) -> Found:
        """Create an event under its own id, and return it, or the one that has the id."""
        body = {"id": event_id(event.key), **_written(event)}
        params = {"sendUpdates": "none", "fields": FIELDS}
        try:
            answer = await self._api.request(
                "POST", self._events, params=params, body=body, allowed={HTTPStatus.CONFLICT}
            )
        except CalendarError as error:
            found = await self._search(event.key) if _is_unclear(error) else None
            if found is None:
                raise
            return found
        if answer.ok:
            return answer.body
        # What has the id and cannot be seen was deleted long ago.
        return await self._get(event.key) or {"status": "cancelled"}

    async def _search(self, key: EventKey) -> Found | None:
        """Look for an event by its property, as after a lost answer: ids are not said to be seen at once."""
        params = {
            "privateExtendedProperty": f"{PROPERTY}={key_text(key)}",
            "fields": f"kind,items({FIELDS})",
        }
        try:
            answer = await self._api.request("GET", self._events, params=params)
        except CalendarError:
            return None
        items = answer.body.get("items", [])
        # A copy that the coach made has the property as well.
        ours = (one for one in items if isinstance(one, dict) and one.get("id") == event_id(key))
        return next(ours, None) if isinstance(items, list) else None

    async def _move(self, event: Event, found: Found) -> Sighting | None:
        """Move an event as it was found; None where it has changed since."""
        etag = found.get("etag")
        body = _written(event)
        for name in ("start", "end"):
            # The other form is taken away: the coach may have made it an event of whole days.
            body[name] |= {"date": None}
        answer = await self._api.request(
            "PATCH",
            f"{self._events}/{event_id(event.key)}",
            params={"sendUpdates": "none", "fields": FIELDS},
            headers={"If-Match": etag} if isinstance(etag, str) else None,
            body=body,
            allowed={HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.PRECONDITION_FAILED},
        )
        return self._seen(answer.body) if answer.ok else None

    def _seen(self, found: Found) -> Sighting | None:
        """Return where an event of ours is; None where it lacks what makes it ours."""
        if found.get("status") == "cancelled":
            raise CalendarError("conflict")
        return sighting(found, source_id=self._source_id)


def _written(event: Event) -> Body:
    """Return what we write of an event: what the coach adds to it stays, as nothing else is named."""
    return {
        "summary": event.title,
        "start": {"dateTime": _rfc3339(event.start)},
        "end": {"dateTime": _rfc3339(event.end)},
        "extendedProperties": {"private": {PROPERTY: key_text(event.key), WRITTEN: digest_of(event)}},
    }


def _is_unclear(error: CalendarError) -> bool:
    """Tell whether a request may have been carried out although it failed."""
    return error.reason in {"timeout", "connection", "invalid_body"} or error.reason.startswith("http_5")


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
