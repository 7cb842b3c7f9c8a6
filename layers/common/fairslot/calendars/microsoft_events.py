"""Events of Microsoft Graph: which take time, when, and which are ours."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairslot.calendars.event_ids import PROPERTY, WRITTEN, digest_of, event_id, key_of, key_text
from fairslot.calendars.interface import CalendarError, Event, EventKey, Free, Sighting
from fairslot.calendars.microsoft_times import GraphTime, in_utc, instants, touched, whole_days
from fairslot.domain.slots import Window, instant_of

# An extended property (MAPI's named property) is named in a set that an application makes up once.
_SET = "{8d2d1a66-5f0c-4c5e-9a1b-3f7f5f2f8f61}"
PROPERTY_ID = f"String {_SET} Name {PROPERTY}"
WRITTEN_ID = f"String {_SET} Name {WRITTEN}"
EXPAND = f"singleValueExtendedProperties($filter=id eq '{PROPERTY_ID}')"
EXPAND_BOTH = f"singleValueExtendedProperties($filter=id eq '{PROPERTY_ID}' or id eq '{WRITTEN_ID}')"
# Neither subject nor body: a title is never read.
SELECT = "id,start,end,isAllDay,showAs,isCancelled,responseStatus,type,transactionId"


class _Status(BaseModel):
    model_config = ConfigDict(strict=True)

    response: str | None = None


class _Property(BaseModel):
    model_config = ConfigDict(strict=True)

    id: str
    value: str | None = None


class GraphEvent(BaseModel):
    """An event or an occurrence, as far as it is read."""

    model_config = ConfigDict(strict=True)

    id: str = Field(min_length=1)
    etag: str | None = Field(None, alias="@odata.etag")
    start: GraphTime
    end: GraphTime
    is_all_day: bool | None = Field(None, alias="isAllDay")
    show_as: str | None = Field(None, alias="showAs")
    is_cancelled: bool | None = Field(None, alias="isCancelled")
    status: _Status | None = Field(None, alias="responseStatus")
    type: str | None = None
    transaction_id: str | None = Field(None, alias="transactionId")
    properties: list[_Property] = Field([], alias="singleValueExtendedProperties")

    def takes_time(self, *, working_elsewhere: bool) -> bool:
        """Return whether the coach is not free; whatever Graph may say one day is busy."""
        if self.is_cancelled or (self.status and self.status.response == "declined"):
            return False
        if self.show_as == "workingElsewhere":
            return working_elsewhere
        return self.show_as != "free"

    def slots(self, zone: ZoneInfo) -> tuple[int, int]:
        """Return the slots [first, end) that the event touches. Raises CalendarError."""
        if self.is_all_day:
            return whole_days(self.start, self.end, zone)
        return touched(*instants(self.start, self.end))

    def key(self) -> EventKey | None:
        """Return the key of an event of ours; None for a stranger's.

        The property alone proves nothing: a copy has it too, but not the id of the request that made ours.
        Nor are the occurrences ours of what a coach made a series.
        """
        key = key_of(self._property(PROPERTY_ID))
        is_ours = key is not None and self.transaction_id == event_id(key)
        return key if is_ours and self.type in {None, "singleInstance"} else None

    def is_written(self, event: Event) -> bool:
        """Return whether this is what was written last, whatever the coach has changed since.

        Graph may answer a write without the properties; then the times say it. Raises CalendarError.
        """
        digest = self._property(WRITTEN_ID)
        if digest is not None:
            return digest == digest_of(event)
        return not self.is_all_day and instants(self.start, self.end) == (event.start, event.end)

    def _property(self, name: str) -> str | None:
        return next((one.value for one in self.properties if one.id == name), None)

    def sighting(self, key: EventKey, zone: ZoneInfo) -> Sighting:
        """Return where this event of ours stands. Raises CalendarError."""
        if self.is_all_day:
            start, end = map(instant_of, whole_days(self.start, self.end, zone))
        else:
            start, end = instants(self.start, self.end)
        return Sighting(key=key, ref=self.id, start=start, end=end, version=self.etag)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a coach's settings say of events: whether working elsewhere is busy."""

    working_elsewhere_is_busy: bool = False


def event_of(body: object) -> GraphEvent:
    """Read an event. Raises CalendarError."""
    try:
        return GraphEvent.model_validate(body)
    except ValidationError:
        raise CalendarError("invalid_body") from None


def events_of(body: dict[str, Any]) -> list[GraphEvent]:
    """Read a page of events. Raises CalendarError: a part of a calendar is none."""
    found = body.get("value")
    if not isinstance(found, list):
        raise CalendarError("invalid_body")
    return [event_of(one) for one in found]


class Reading:
    """Collects what pages of events leave free of a window, and the events of ours."""

    def __init__(self, window: Window, *, source_id: UUID, zone: ZoneInfo, rules: Rules) -> None:
        """Take the window, the source, and the coach's zone and rules."""
        self._window = window
        self._source_id = source_id
        self._zone = zone
        self._rules = rules
        self._busy = 0
        self._own: dict[EventKey, Sighting] = {}

    @property
    def free(self) -> Free:
        """What is free after everything that was added."""
        window = self._window
        bits = window.bits(window.first_slot, window.end_slot) & ~self._busy
        return Free(bits, own=tuple(self._own.values()))

    def add_events(self, body: dict[str, Any]) -> None:
        """Add a page of events. Raises CalendarError."""
        for event in events_of(body):
            key = self._key(event)
            # Of two with the same key, which no calendar should have, one is ours.
            if key is not None and key not in self._own:
                self._own[key] = event.sighting(key, self._zone)
            elif event.takes_time(working_elsewhere=self._rules.working_elsewhere_is_busy):
                self._busy |= self._window.bits(*event.slots(self._zone))

    def _key(self, event: GraphEvent) -> EventKey | None:
        """Return the key of an event of this source; another's is a stranger to it."""
        key = event.key()
        return key if key is not None and key.source_id == self._source_id else None


def new_event(event: Event) -> dict[str, Any]:
    """Write an event to create: nobody is invited, and a repeated request makes no second one."""
    return {**changes(event), "showAs": "busy", "transactionId": event_id(event.key)}


def changes(event: Event) -> dict[str, Any]:
    """Write what a move changes; a coach may have made the event all-day."""
    properties = {PROPERTY_ID: key_text(event.key), WRITTEN_ID: digest_of(event)}
    return {
        "subject": event.title,
        "start": in_utc(event.start),
        "end": in_utc(event.end),
        "isAllDay": False,
        "singleValueExtendedProperties": [{"id": id_, "value": value} for id_, value in properties.items()],
    }


def having(key: EventKey) -> str:
    """Write the filter that finds the events that have a key's property, copies too."""
    return (
        f"singleValueExtendedProperties/Any(ep: ep/id eq '{PROPERTY_ID}' and ep/value eq '{key_text(key)}')"
    )
