"""What the stand-in of Google remembers: accounts, their tokens, calendars, events and channels."""

import asyncio
import itertools
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

type Item = dict[str, Any]

# What a series leaves out is in its own zone here.
_OF_A_ZONE = re.compile(r"^(EXDATE);TZID=[^:]+:", re.MULTILINE)


@dataclass
class Channel:
    """A subscription to changes, until `until` (Unix seconds)."""

    id: str
    address: str
    token: str | None
    resource_id: str
    until: float
    # The states to tell of, in their order.
    coming: asyncio.Queue[str] = field(default_factory=asyncio.Queue)


@dataclass
class Calendar:
    """A calendar: events by id, deleted ones too, as their ids stay taken."""

    id: str
    zone: str
    role: str = "owner"
    # How many events a page has at most, less than are asked for.
    page_size: int = 2_500
    events: dict[str, Item] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)

    @property
    def resource_id(self) -> str:
        """What channels call the events of this calendar."""
        return sha256(self.id.encode()).hexdigest()[:27]


@dataclass
class Account:
    """Somebody's account: what they granted, and whether the grant still stands.

    `unticked` are scopes that they take out of a consent, and `refuses` is whether they refuse it as a whole.
    `delegated`: their organization lets a service account act for them. `quota` is the calls of a minute.
    """

    email: str
    scopes: set[str]
    refresh_token: str
    revoked: bool = False
    unticked: set[str] = field(default_factory=set)
    refuses: bool = False
    delegated: bool = False
    quota: int = 600
    channel_seconds: int = 604_800
    recent: deque[float] = field(default_factory=deque)
    access_tokens: set[str] = field(default_factory=set)
    calendars: dict[str, Calendar] = field(default_factory=dict)

    def calendar(self, calendar_id: str) -> Calendar | None:
        """Return one of the account's calendars."""
        return self.calendars.get(self.email if calendar_id == "primary" else calendar_id)

    def revoke(self) -> None:
        """End the grant."""
        self.revoked = True
        self.access_tokens.clear()

    def is_within_quota(self, now: float) -> bool:
        """Count a call at `now` in seconds, and tell whether the minute's quota has it."""
        while self.recent and self.recent[0] <= now - 60:
            self.recent.popleft()
        if len(self.recent) >= self.quota:
            return False
        self.recent.append(now)
        return True


@dataclass(frozen=True)
class Code:
    """What a consent gave: whose it is, and what has to be shown to use it."""

    email: str
    challenge: str
    redirect_uri: str


class Store:
    """All accounts. The state ends with the process."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.codes: dict[str, Code] = {}
        # Calls of the API, for tests.
        self.calls: list[str] = []
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """Return a number that was never given before."""
        return next(self._numbers)

    def by_access_token(self, token: str) -> Account | None:
        """Return whose token it is, if it is still valid."""
        return next((one for one in self.accounts.values() if token in one.access_tokens), None)

    def by_refresh_token(self, token: str) -> Account | None:
        """Return whose grant it is, if it still stands."""
        return next(
            (one for one in self.accounts.values() if one.refresh_token == token and not one.revoked), None
        )

    def stamp(self, event: Item) -> Item:
        """Give an event a new version."""
        return event | {"etag": f'"{self.number()}"', "updated": datetime.now(UTC).isoformat()}


def instant(calendar: Calendar, given: Item) -> datetime:
    """Return an EventDateTime as an instant. Raises KeyError, ValueError, TypeError."""
    if given.get("date"):
        return datetime.combine(date.fromisoformat(given["date"]), time(), ZoneInfo(calendar.zone))
    moment = datetime.fromisoformat(given["dateTime"])
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(given["timeZone"]))


def expanded(calendar: Calendar, start: datetime, end: datetime) -> Iterator[Item]:
    """Yield the single events that touch a time, a series as its occurrences."""
    for event in calendar.events.values():
        if event["status"] == "cancelled":
            continue
        for one in _occurrences(calendar, event):
            # Of instants, as days are compared in the calendar's zone.
            if instant(calendar, one["start"]) >= end:
                break
            if instant(calendar, one["end"]) > start:
                yield one


def occurrence(calendar: Calendar, event_id: str) -> Item | None:
    """Return an occurrence of a series by its id, as an event that may be changed; None for no such."""
    series = calendar.events.get(event_id.rpartition("_")[0])
    if series is None or series["status"] == "cancelled":
        return None
    for one in itertools.takewhile(lambda one: one["id"] <= event_id, _occurrences(calendar, series)):
        if one["id"] == event_id:
            return one | {"originalStartTime": one["start"]}
    return None


def is_busy(event: Item) -> bool:
    """Tell whether freeBusy has the event."""
    return (
        event.get("transparency") != "transparent"
        and event.get("eventType", "default") not in {"workingLocation", "birthday"}
        and not any(
            one.get("self") and one.get("responseStatus") == "declined" for one in event.get("attendees", [])
        )
    )


def _occurrences(calendar: Calendar, event: Item) -> Iterator[Item]:
    """Yield the occurrences of a series in their order, or the event itself."""
    rules = event.get("recurrence")
    if not rules:
        yield event
        return
    zone = ZoneInfo(event["start"].get("timeZone") or calendar.zone)
    first = instant(calendar, event["start"]).astimezone(zone)
    length = instant(calendar, event["end"]) - first
    replaced = {
        instant(calendar, one["originalStartTime"])
        for one in calendar.events.values()
        if one.get("recurringEventId") == event["id"]
    }
    # On the wall clock: a series keeps its hour when clocks change.
    on_the_clock = _OF_A_ZONE.sub(r"\1:", "\n".join(rules))
    for at in rrulestr(on_the_clock, dtstart=first.replace(tzinfo=None)):
        begin = at.replace(tzinfo=zone)
        if begin in replaced:
            continue
        once = {name: value for name, value in event.items() if name != "recurrence"}
        suffix = begin.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        yield once | {
            "id": f"{event['id']}_{suffix}",
            "recurringEventId": event["id"],
            **_times(event, begin, length),
        }


def _times(event: Item, begin: datetime, length: timedelta) -> Item:
    if event["start"].get("date"):
        return {
            "start": {"date": begin.date().isoformat()},
            "end": {"date": (begin + length).date().isoformat()},
        }
    return {
        "start": {"dateTime": begin.isoformat()},
        "end": {"dateTime": (begin.astimezone(UTC) + length).isoformat()},
    }
