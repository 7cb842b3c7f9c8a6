"""Clients that ask for pages, book and change, each its next request as soon as the last is answered."""

import asyncio
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aiohttp

from bench.load.target import Calendars, Target
from bench.load.traffic import Traffic

PAGE, BOOKING, CHANGE = "page", "booking", "change"
# In percent.
USUAL_MIX = {PAGE: 90, BOOKING: 8, CHANGE: 2}
_PAGE_DAYS = (7, 30)
# Starts to book: not so near that they are over before they are booked.
_FIRST, _LAST = timedelta(days=1), timedelta(days=58)
_TIMEOUT_SECONDS = 35.0  # the gateway's own is 30
_OK, _CREATED, _CONFLICT = 200, 201, 409


class _FailedError(Exception):
    """A response that should not be."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body.decode(errors='replace')}")


class BookedOutError(Exception):
    """The load has taken every start there was."""


@dataclass
class History:
    """What was answered about each appointment: its state after the last change, and the events of all.

    `unknown` are those about which a request was not answered, so that nobody knows what it did.
    """

    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[str]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)

    def note(self, answer: dict[str, Any], event: str) -> None:
        """Note a change that was answered."""
        self.last[answer["appointment_id"]] = answer
        self.events.setdefault(answer["appointment_id"], []).append(event)


class Load:
    """Clients on one stack; `mix` has the percent of pages, bookings and changes."""

    def __init__(self, target: Target, calendars: Calendars, mix: Mapping[str, int] = USUAL_MIX) -> None:
        self.traffic = Traffic()
        self.history = History()
        self._target = target
        self._calendars = calendars
        self._mix = mix
        # By calendar, each as often as it had coaches.
        self._free: dict[str, list[str]] = {one: [] for one in calendars.all}
        self._changeable: list[str] = []
        self._begun = 0.0

    async def run(self, *, clients: int, seconds: float) -> None:
        """Let so many clients work for so long."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(
            self._target.url,
            headers=self._target.headers,
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=0),
        ) as session:
            for calendar_id in self._free:
                await self._learn(session, calendar_id)
            self._begun = time.monotonic()
            await asyncio.gather(*(self._client(session, self._begun + seconds) for _ in range(clients)))
            self.traffic.seconds = time.monotonic() - self._begun

    async def _client(self, session: aiohttp.ClientSession, end: float) -> None:
        kinds, weights = list(self._mix), list(self._mix.values())
        work = {PAGE: self._page, BOOKING: self._book, CHANGE: self._change}
        while time.monotonic() < end:
            (kind,) = random.choices(kinds, weights)
            try:
                await work[kind](session)
            except (aiohttp.ClientError, TimeoutError, _FailedError, ValueError) as error:
                self.traffic.fail(kind, repr(error))

    def _calendar(self) -> str:
        return self._calendars.hot if random.random() < 0.5 else random.choice(self._calendars.spread)  # noqa: PLR2004

    async def _page(self, session: aiohttp.ClientSession) -> None:
        query: dict[str, str | int] = {"calendar_id": self._calendar(), "days": random.choice(_PAGE_DAYS)}
        begun = time.monotonic()
        async with session.get("/api/availability", params=query) as response:
            body = await response.read()
        if response.status != _OK:
            raise _FailedError(response.status, body)
        self.traffic.answered[PAGE].append((begun - self._begun, time.monotonic() - begun))

    async def _learn(self, session: aiohttp.ClientSession, calendar_id: str) -> None:
        """Look which starts are free, not as part of the load."""
        now = datetime.now(UTC)
        query = {
            "calendar_id": calendar_id,
            "start": (now + _FIRST).isoformat(),
            "end": (now + _LAST).isoformat(),
        }
        async with session.get("/api/availability", params=query) as response:
            page = await response.json()
        self._free[calendar_id] = [
            slot["start_time"] for slot in page["slots"] for _ in range(slot["available_coaches"])
        ]
        random.shuffle(self._free[calendar_id])

    async def _start_in(self, session: aiohttp.ClientSession, calendar_id: str) -> str:
        """Return a free start that no other client was given."""
        if not self._free[calendar_id]:
            await self._learn(session, calendar_id)
        if not self._free[calendar_id]:
            raise BookedOutError(f"{calendar_id} is booked out: give it more coaches, or take less time")
        return self._free[calendar_id].pop()

    async def _book(self, session: aiohttp.ClientSession) -> None:
        calendar_id = self._calendar()
        body = {
            "calendar_id": calendar_id,
            "start_time": await self._start_in(session, calendar_id),
            "contact_name": "Kim",
            "contact_email": "kim@example.com",
        }
        answer = await self._post(session, BOOKING, "/api/appointments", body)
        if answer is not None:
            self.history.note(answer, "created")
            self._changeable.append(answer["appointment_id"])

    async def _change(self, session: aiohttp.ClientSession) -> None:
        """Cancel, reschedule or reassign an appointment that no other client is changing."""
        if not self._changeable:
            return
        place = random.randrange(len(self._changeable))
        self._changeable[place], self._changeable[-1] = self._changeable[-1], self._changeable[place]
        appointment_id = self._changeable.pop()
        action = random.choice(["cancel", "reschedule", "reassign"])
        body: dict[str, Any] = {}
        if action == "reschedule":
            start = await self._start_in(session, self.history.last[appointment_id]["calendar_id"])
            body = {"start_time": start, "coach": "any"}
        self.history.unknown.add(appointment_id)
        answer = await self._post(session, CHANGE, f"/api/appointments/{appointment_id}/{action}", body)
        self.history.unknown.discard(appointment_id)
        # A move to where it is already changes nothing, and nobody is told of it.
        if answer is not None and answer["version"] > self.history.last[appointment_id]["version"]:
            self.history.note(answer, "cancelled" if action == "cancel" else "updated")
        if action != "cancel":
            self._changeable.append(appointment_id)

    async def _post(
        self, session: aiohttp.ClientSession, kind: str, path: str, body: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Send a request under a new key; return what was done, None if the time was taken."""
        begun = time.monotonic()
        async with session.post(path, json=body, headers={"X-Idempotency-Key": str(uuid4())}) as response:
            text = await response.read()
        took = time.monotonic() - begun
        if response.status in {_OK, _CREATED}:
            self.traffic.answered[kind].append((begun - self._begun, took))
            answer: dict[str, Any] = json.loads(text)
            return answer
        if response.status != _CONFLICT or json.loads(text)["error"] != "SLOT_UNAVAILABLE":
            raise _FailedError(response.status, text)
        self.traffic.refused[kind] += 1
        return None
