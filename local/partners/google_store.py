"""What the stand-in of Google remembers: accounts, their tokens, calendars, events and channels."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

type Item = dict[str, Any]


@dataclass
class Channel:
    """A subscription to changes, until `until` (Unix seconds)."""

    id: str
    address: str
    token: str
    resource_id: str
    until: float
    messages: int = 0


@dataclass
class Calendar:
    """A calendar: events by id, deleted ones too, as their ids stay taken."""

    id: str
    zone: str
    role: str = "owner"
    # How many events a page has at most, less than are asked for.
    page_size: int = 2_500
    events: dict[str, Item] = field(default_factory=dict)
    channels: list[Channel] = field(default_factory=list)


@dataclass
class Account:
    """Somebody's account: what they granted, and whether the grant still stands."""

    email: str
    scopes: set[str]
    refresh_token: str
    revoked: bool = False
    access_tokens: set[str] = field(default_factory=set)
    calendars: dict[str, Calendar] = field(default_factory=dict)

    def calendar(self, calendar_id: str) -> Calendar | None:
        """Return one of the account's calendars."""
        return self.calendars.get(self.email if calendar_id == "primary" else calendar_id)


class Store:
    """All accounts. The state ends with the process."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.codes: dict[str, tuple[str, str]] = {}
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
        for one in _occurrences(calendar, event, end):
            # Of instants, as days are compared in the calendar's zone.
            if instant(calendar, one["start"]) < end and instant(calendar, one["end"]) > start:
                yield one


def is_busy(event: Item) -> bool:
    """Tell whether freeBusy has the event."""
    return (
        event.get("transparency") != "transparent"
        and event.get("eventType", "default") not in {"workingLocation", "birthday"}
        and not any(
            one.get("self") and one.get("responseStatus") == "declined" for one in event.get("attendees", [])
        )
    )


def _occurrences(calendar: Calendar, event: Item, end: datetime) -> Iterator[Item]:
    rules = event.get("recurrence")
    if not rules:
        yield event
        return
    zone = ZoneInfo(event["start"].get("timeZone") or calendar.zone)
    first = instant(calendar, event["start"]).astimezone(zone)
    length = instant(calendar, event["end"]) - first
    # On the wall clock: a series keeps its hour when clocks change.
    for at in rrulestr("\n".join(rules), dtstart=first.replace(tzinfo=None)):
        begin = at.replace(tzinfo=zone)
        if begin >= end:
            return
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
