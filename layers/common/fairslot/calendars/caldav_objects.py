"""The objects of a CalDAV calendar: which of them are ours, how ours are written, and what the rest takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from icalendar import Calendar
from icalendar import Event as Written

from fairslot.calendars.event_ids import digest_of, event_id, key_of, key_text
from fairslot.calendars.feed_parts import read, read_zones
from fairslot.calendars.feed_text import (
    EVENT,
    OWN_KEY,
    OWN_TEXT,
    SERIES,
    ZONE,
    ZONE_NAME,
    Part,
    only_times,
    property_of,
)
from fairslot.calendars.feed_times import instant, settle
from fairslot.calendars.feed_zones import clear_zones
from fairslot.calendars.icalendar_feed import days_of, free_of_calendars
from fairslot.calendars.interface import Event, EventKey, Free, Sighting
from fairslot.domain.slots import Window

_ALWAYS = (date(1600, 1, 1), date(9000, 1, 1))
_PRODUCT = "-//Fairslot//Fairslot//EN"


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as the server gives it: its address, its ETag, and its iCalendar text."""

    ref: str
    version: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Own:
    """An event of ours as it stands; `written` is the digest of what we wrote last, if it is still there."""

    sighting: Sighting
    written: str | None


def free_of_objects(objects: Iterable[Stored], window: Window, zone: ZoneInfo, source_id: UUID) -> Free:
    """Return what objects leave free, and which of them are ours: these take no time.

    An event of ours that recurs by now takes time too. A second object with the same key is a stranger's, as
    is one of another source. Raises CalendarError. Not thread-safe.
    """
    own: dict[EventKey, Sighting] = {}
    strange: list[Sequence[Part]] = []
    # Where we wrote it comes before a copy of it.
    for one in sorted(objects, key=lambda one: f"\nuid:{event_id_of(one.ref)}" not in one.text.lower()):
        calendars = only_times(one.text.encode(), *days_of(window, zone))
        found = _own(calendars, one, zone)
        if found is None or found.key.source_id != source_id or found.key in own:
            strange += calendars
            continue
        own[found.key] = found
        if not _is_plain(calendars):
            strange += calendars
    free = free_of_calendars(_merged(strange), window, zone)
    return replace(free, own=tuple(own.values()))


def own_of(one: Stored, zone: ZoneInfo) -> Own | None:
    """Return the event of ours that an object is; None for a stranger's. Not thread-safe."""
    calendars = only_times(one.text.encode(), *_ALWAYS)
    sighting = _own(calendars, one, zone)
    if sighting is None:
        return None
    digests = [text.lower() for part in calendars[0] for text in part.values(OWN_TEXT)]
    return Own(sighting, digests[0] if len(digests) == 1 else None)


def new_object(event: Event, now: datetime) -> bytes:
    """Return the object of an event that is not there yet."""
    calendar = Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", _PRODUCT)
    entry = Written()
    entry.add("UID", event_id(event.key))
    entry.add(OWN_KEY, key_text(event.key))
    entry.add("TRANSP", "OPAQUE")
    _write(entry, event, now)
    calendar.add_component(entry)
    return bytes(calendar.to_ical())


def moved_object(one: Stored, event: Event, now: datetime) -> bytes:
    """Return an object of ours with the event's time and title: what else the coach changed stays."""
    try:
        calendar = Calendar.from_ical(one.text)
        (entry,) = calendar.walk("VEVENT")
        _write(entry, event, now)
        return bytes(calendar.to_ical())
    except Exception:  # noqa: BLE001  # untrusted text can make a parser raise anything, and the error quotes it
        return new_object(event, now)


def event_id_of(ref: str) -> str:
    """Return the id in an address where we would have written."""
    return ref.rpartition("/")[2].removesuffix(".ics").lower()


def _write(entry: Any, event: Event, now: datetime) -> None:
    sequence = entry.get("SEQUENCE", -1)
    for name in ("DTSTART", "DTEND", "DURATION", "SUMMARY", "SEQUENCE", "DTSTAMP", "STATUS", OWN_TEXT):
        entry.pop(name, None)
    entry.add("DTSTAMP", now.astimezone(UTC))
    entry.add("DTSTART", event.start.astimezone(UTC))
    entry.add("DTEND", event.end.astimezone(UTC))
    entry.add("SUMMARY", event.title)
    entry.add("SEQUENCE", sequence + 1)
    entry.add(OWN_TEXT, digest_of(event))


def _own(calendars: Sequence[Sequence[Part]], one: Stored, zone: ZoneInfo) -> Sighting | None:
    """Return the sighting of an object by its key, if its UID is the key's and its times can be read."""
    events = [part for parts in calendars for part in parts if part.name == EVENT]
    masters = [part for part in events if not part.values("RECURRENCE-ID")]
    if len(calendars) != 1 or len(masters) != 1:
        return None
    (master,) = masters
    texts, uids = master.values(OWN_KEY), master.values("UID")
    key = key_of(texts[0].lower()) if len(texts) == 1 else None
    if key is None or [uid.lower() for uid in uids] != [event_id(key)]:
        return None
    clear_zones()
    read_zones(part for part in calendars[0] if part.name == ZONE)
    try:
        event = read(master)
        settle(event, zone)
        start, end = (instant(event[name].dt, zone) for name in ("DTSTART", "DTEND"))
    except Exception:  # noqa: BLE001  # as above; then it takes the time that it may, as a stranger's would
        return None
    # Clients write an end before the start, too.
    start, end = min(start, end), max(start, end)
    return Sighting(key=key, ref=one.ref, start=start, end=end, version=one.version)


def _is_plain(calendars: Sequence[Sequence[Part]]) -> bool:
    events = [part for parts in calendars for part in parts if part.name not in {ZONE, ZONE_NAME}]
    return len(events) == 1 and not any(events[0].values(name) for name in SERIES)


def _merged(calendars: Iterable[Sequence[Part]]) -> list[list[Part]]:
    """Put the events of calendars with the same zones together: reading them at once is faster.

    Each object keeps its UIDs to itself: what two objects say of one UID is two events.
    """
    groups: dict[tuple[str, ...], list[Part]] = {}
    for number, parts in enumerate(calendars):
        shared = [part for part in parts if part.name in {ZONE, ZONE_NAME}]
        group = groups.setdefault(tuple(line for part in shared for line in part.lines), shared)
        group += (_numbered(part, number) for part in parts if part.name not in {ZONE, ZONE_NAME})
    return list(groups.values())


def _numbered(part: Part, number: int) -> Part:
    return Part(
        part.name,
        [
            f"UID:{number}-{line.partition(':')[2]}" if property_of(line) == "UID" else line
            for line in part.lines
        ],
    )
