"""What the stand-in of Microsoft Graph remembers: mailboxes, grants, events and subscriptions."""

import itertools
import secrets
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, rrule
from dateutil.rrule import weekday as rrule_day
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

type Item = dict[str, Any]

# Members of an event that are the stand-in's own: never answered.
CHANGED = "_changed"
_KINDS = {"daily": DAILY, "weekly": WEEKLY, "absoluteMonthly": MONTHLY}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass
class Calendar:
    """A calendar of a mailbox; a page has `page_size` events at most, whatever is asked for."""

    id: str
    name: str
    can_edit: bool = True
    page_size: int = 1_000
    events: dict[str, Item] = field(default_factory=dict)


@dataclass(eq=False)
class Mailbox:
    """Somebody's mailbox.

    `transactions` is what is done about a transaction id that was given before: `same` answers with its
    event, `refused` with an error, and `forgotten` makes another event. `by_application` tells whether the
    operator's application may open it.
    """

    address: str
    zone: str = "UTC"
    transactions: str = "same"
    by_application: bool = True
    id: str = field(default_factory=lambda: str(uuid4()))
    calendars: dict[str, Calendar] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    in_flight: int = 0

    @property
    def default(self) -> Calendar:
        """The default calendar, which is the first."""
        return next(iter(self.calendars.values()))


@dataclass
class Grant:
    """What an access token opens: a mailbox, or those of the organization where it is the application's."""

    mailbox: Mailbox | None
    scopes: frozenset[str]
    until: float


@dataclass
class Consent:
    """What somebody consented to, and the refresh tokens that are good for it."""

    mailbox: Mailbox
    scopes: frozenset[str]
    refresh_tokens: set[str] = field(default_factory=set)


@dataclass
class Subscription:
    """A subscription to the changes of a mailbox, or of one of its calendars."""

    id: str
    mailbox: Mailbox
    calendar_id: str | None
    asked: Item
    until: datetime


@dataclass
class Settings:
    """What tests set.

    `rotates`: refresh tokens are replaced at each use; `strict_rotation`: the old one ends.
    """

    subscription_minutes: int = 10_080
    rotates: bool = True
    strict_rotation: bool = True
    token_seconds: int = 3_600
    # How long a mailbox is busy with each request.
    request_seconds: float = 0.0
    client_id: str = "fairslot"
    client_secret: str = "operator"  # noqa: S105  # a stand-in's, for everybody to know
    # The public key (PEM) of the application's certificate, and its thumbprint.
    certificate: str = ""
    thumbprint: str = ""


class Store:
    """All of it. The state ends with the process."""

    def __init__(self) -> None:
        self.mailboxes: dict[str, Mailbox] = {}
        self.consents: list[Consent] = []
        self.grants: dict[str, Grant] = {}
        self.codes: dict[str, tuple[Consent, str]] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.settings = Settings()
        # Calls of the API and what came of notifications, for tests.
        self.calls: list[str] = []
        self.posts: list[Item] = []
        self._numbers = itertools.count(1)

    def mailbox(self, named: str) -> Mailbox | None:
        """Return a mailbox by its address or id."""
        wanted = named.casefold()
        return next(
            (one for one in self.mailboxes.values() if wanted in {one.id, one.address.casefold()}), None
        )

    def stamp(self, event: Item) -> Item:
        """Give an event a new version."""
        key = f"ck{next(self._numbers)}"
        return event | {
            "changeKey": key,
            "@odata.etag": f'W/"{key}"',
            "lastModifiedDateTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z",
        }


def new_id() -> str:
    """Return an id of an event, which no path may have as it is."""
    return f"AAkALg{secrets.token_urlsafe(24)}="


def zone_of(name: str) -> tzinfo:
    """Return the zone of a name, Windows' or IANA's. Raises ValueError."""
    try:
        return UTC if name == "UTC" else ZoneInfo(WINDOWS_TO_OLSON.get(name, name))
    except (OSError, LookupError):
        raise ValueError(name) from None


def instant(given: Item) -> datetime:
    """Return a dateTimeTimeZone as an instant. Raises KeyError, ValueError, TypeError."""
    return datetime.fromisoformat(given["dateTime"]).replace(tzinfo=zone_of(given["timeZone"]))


def in_zone(given: Item, zone: str, *, is_all_day: bool) -> Item:
    """Return a time as it is in another zone; the midnights of whole days are those of every zone."""
    local = datetime.fromisoformat(given["dateTime"])
    if not is_all_day:
        local = instant(given).astimezone(zone_of(zone)).replace(tzinfo=None)
    return {"dateTime": f"{local:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": zone}


def expanded(calendar: Calendar, start: datetime, end: datetime) -> Iterator[Item]:
    """Yield the single events that touch a time, a series as its occurrences and exceptions."""
    for event in calendar.events.values():
        for one in occurrences(event, end):
            begin, finish = instant(one["start"]), instant(one["end"])
            if begin < end and (finish > start or begin == finish >= start):
                yield one


def occurrences(event: Item, end: datetime) -> Iterator[Item]:
    """Yield what a series, or an event that is none, has before an instant."""
    recurrence = event.get("recurrence")
    if not recurrence:
        yield event
        return
    zone = event["start"]["timeZone"]
    first = datetime.fromisoformat(event["start"]["dateTime"])
    length = datetime.fromisoformat(event["end"]["dateTime"]) - first
    changed = event.get(CHANGED, {})
    # On the wall clock: a series keeps its hour when clocks change.
    for at in _rule(recurrence, first):
        if at.replace(tzinfo=zone_of(zone)) >= end + timedelta(days=1):
            return
        day = at.date().isoformat()
        if day in changed:
            if changed[day] is not None:
                yield changed[day]
            continue
        once = {name: value for name, value in event.items() if name not in {"recurrence", CHANGED}}
        yield once | {
            "id": f"{event['id']}.{day}",
            "type": "occurrence",
            "seriesMasterId": event["id"],
            "transactionId": None,
            "start": {"dateTime": at.isoformat(), "timeZone": zone},
            "end": {"dateTime": (at + length).isoformat(), "timeZone": zone},
        }


def found(calendar: Calendar, event_id: str) -> Item | None:
    """Return an event, or an occurrence of one, by its id."""
    if event_id in calendar.events:
        return calendar.events[event_id]
    master, _, day = event_id.rpartition(".")
    series = calendar.events.get(master)
    if series is None:
        return None
    after = datetime.combine(date.fromisoformat(day), time(), UTC) + timedelta(days=2)
    return next((one for one in occurrences(series, after) if one["id"] == event_id), None)


def change_occurrence(calendar: Calendar, event: Item, changed: Item | None) -> None:
    """Make an exception of an occurrence, or leave it out of its series."""
    series, day = calendar.events[event["seriesMasterId"]], event["id"].rpartition(".")[2]
    exception = None if changed is None else changed | {"type": "exception"}
    series[CHANGED] = {**series.get(CHANGED, {}), day: exception}


def copied(event: Item) -> Item:
    """Return what a calendar's program makes of an event that is copied."""
    return deepcopy(event) | {"id": new_id(), "transactionId": None}


def _rule(recurrence: Item, first: datetime) -> rrule:
    pattern, limits = recurrence["pattern"], recurrence["range"]
    days = [rrule_day(_DAYS.index(day.lower())) for day in pattern.get("daysOfWeek", [])]
    until = None
    if limits["type"] == "endDate":
        until = datetime.combine(date.fromisoformat(limits["endDate"]), time.max)
    count = limits["numberOfOccurrences"] if limits["type"] == "numbered" else None
    return rrule(
        _KINDS[pattern["type"]],
        dtstart=first,
        interval=pattern.get("interval", 1),
        byweekday=days or None,
        until=until,
        count=count,
    )
