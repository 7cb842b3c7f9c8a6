"""What Google Calendar says of events and busy periods, and what that leaves free.

https://developers.google.com/workspace/calendar/api/v3/reference/events
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fairslot.calendars.event_ids import PROPERTY, WRITTEN, event_id, key_of
from fairslot.calendars.interface import CalendarError, EventKey, Free, Sighting
from fairslot.domain.slots import Window, day_of, instant_of, slot_from, slot_of

type Item = Mapping[str, Any]

# Where somebody works and whose birthday it is take no time; unknown types do, also those that are no text.
_TAKES_NO_TIME = ("workingLocation", "birthday")

# The fields of an event that are asked for: no title, description, place or guest ever comes here.
FIELDS = "id,status,etag,start,end,extendedProperties/private"
LIST_FIELDS = (
    f"kind,timeZone,nextPageToken,items({FIELDS},transparency,eventType,attendees(self,responseStatus))"
)

# How far local days are from those of UTC, at most: where the zone is not known all of it is busy.
_EARLIEST, _LATEST = timedelta(hours=-14), timedelta(hours=12)


class Reading:
    """Collects what pages of events, or answers about busy periods, leave free of a window."""

    def __init__(self, window: Window, *, source_id: UUID, declined_is_free: bool = True) -> None:
        """Take the window, the source, and whether an invitation that the coach declined takes no time."""
        self._window = window
        self._source_id = source_id
        self._declined_is_free = declined_is_free
        self._busy = 0
        self._unreadable = 0
        self._own: list[Sighting] = []

    @property
    def free(self) -> Free:
        """What is free after everything that was added."""
        window = self._window
        bits = window.bits(window.first_slot, window.end_slot) & ~self._busy
        return Free(bits, self._unreadable, tuple(self._own))

    def add_events(self, page: Item) -> None:
        """Add a page of events.list. Raises CalendarError: it is none."""
        items = page.get("items", [])
        if page.get("kind") != "calendar#events" or not isinstance(items, list):
            raise CalendarError("invalid_body")
        zone = _zone(page.get("timeZone"))
        for item in items:
            if not isinstance(item, dict):
                raise CalendarError("invalid_body")
            self._add(item, zone)

    def add_periods(self, answer: Item) -> None:
        """Add an answer of freeBusy.query about one calendar.

        An error inside, which comes with a status of 200, is the error of the reading. Raises CalendarError.
        """
        calendars = answer.get("calendars")
        if not isinstance(calendars, dict) or len(calendars) != 1:
            raise CalendarError("invalid_body")
        (calendar,) = calendars.values()
        if not isinstance(calendar, dict):
            raise CalendarError("invalid_body")
        if calendar.get("errors"):
            raise _error_inside(calendar["errors"])
        periods = calendar.get("busy")
        if not isinstance(periods, list):
            raise CalendarError("invalid_body")
        for period in periods:
            if not isinstance(period, dict):
                raise CalendarError("invalid_body")
            self._close(
                _instant({"dateTime": period.get("start")}), _instant({"dateTime": period.get("end")})
            )

    def _add(self, item: Item, zone: ZoneInfo | None) -> None:
        if item.get("status") == "cancelled":
            return
        own = sighting(item, source_id=self._source_id, zone=zone)
        if own is not None:
            self._own.append(own)
        elif self._takes_time(item):
            self._close(_start(item, zone), _end(item, zone), is_sure=zone is not None or not _is_dated(item))

    def _takes_time(self, item: Item) -> bool:
        """Tell whether an event makes the coach busy. What is tentative or not known does."""
        return not (
            item.get("transparency") == "transparent"
            or item.get("eventType") in _TAKES_NO_TIME
            or (self._declined_is_free and _is_declined(item))
        )

    def _close(self, start: datetime | None, end: datetime | None, *, is_sure: bool = True) -> None:
        """Take the time from start to end, or all that it may be where one of them cannot be read."""
        window = self._window
        if start is not None and end is not None and end < start:
            start, end, is_sure = end, start, False
        if start is None or end is None or not is_sure:
            self._unreadable += 1
        first = slot_of(start) if start is not None else window.first_slot
        after = slot_from(end) if end is not None else window.end_slot
        self._busy |= window.bits(first, after)


def sighting(item: Item, *, source_id: UUID, zone: ZoneInfo | None = None) -> Sighting | None:
    """Return where our event is; None for a stranger's and for one whose times cannot be read.

    Ours has the id of the key that its private property names, and the key is of this source: a copy has the
    property, but another id, and what another source wrote takes time as anybody's.
    """
    key = own_key(item, source_id)
    if key is None:
        return None
    start, end = _start(item, zone), _end(item, zone)
    if start is None or end is None:
        return None
    etag = item.get("etag")
    version = etag if isinstance(etag, str) else None
    return Sighting(key=key, ref=event_id(key), start=min(start, end), end=max(start, end), version=version)


def own_key(item: Item, source_id: UUID) -> EventKey | None:
    """Return the key of an event that the source wrote, None for any other."""
    key = key_of(_private(item).get(PROPERTY))
    if key is None or key.source_id != source_id or item.get("id") != event_id(key):
        return None
    return key


def written(item: Item) -> object:
    """Return the digest of what we wrote last, as it stands in the event."""
    return _private(item).get(WRITTEN)


def _private(item: Item) -> Item:
    properties = item.get("extendedProperties")
    private = properties.get("private") if isinstance(properties, dict) else None
    return private if isinstance(private, dict) else {}


def _start(item: Item, zone: ZoneInfo | None) -> datetime | None:
    return _instant(item.get("start"), zone, unknown=_EARLIEST)


def _end(item: Item, zone: ZoneInfo | None) -> datetime | None:
    """Return the exclusive end."""
    return _instant(item.get("end"), zone, unknown=_LATEST)


def _instant(
    given: object, zone: ZoneInfo | None = None, *, unknown: timedelta = timedelta()
) -> datetime | None:
    """Return an EventDateTime as an instant: a date is where it begins in the calendar's zone."""
    if not isinstance(given, dict):
        return None
    try:
        if "dateTime" in given:
            return _aware(datetime.fromisoformat(given["dateTime"]), _zone(given.get("timeZone")))
        day = date.fromisoformat(given["date"])
        if zone is None:
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + unknown
        return instant_of(day_of(zone, day)[0])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _aware(instant: datetime, zone: ZoneInfo | None) -> datetime | None:
    """Return an instant that has its offset, or is on the clock of the zone that it names."""
    if instant.tzinfo is None and zone is None:
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)


def _zone(name: object) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if isinstance(name, str) else None
    except (OSError, ValueError, KeyError):
        return None


def _is_dated(item: Item) -> bool:
    return any(isinstance(item.get(end), dict) and "date" in item[end] for end in ("start", "end"))


def _is_declined(item: Item) -> bool:
    attendees = item.get("attendees")
    return isinstance(attendees, list) and any(
        isinstance(one, dict) and one.get("self") is True and one.get("responseStatus") == "declined"
        for one in attendees
    )


def _error_inside(errors: object) -> CalendarError:
    """Return the error that an answer of 200 has inside; an unknown one is Google's own failure."""
    reasons = {
        one.get("reason")
        for one in (errors if isinstance(errors, list) else [])
        if isinstance(one, dict) and isinstance(one.get("reason"), str)
    }
    if "notFound" in reasons:
        return CalendarError("not_found", ended="unsupported")
    return CalendarError("http_500")
