"""DeliveriesQueue: one delivery per message, written by the database, read by the dispatcher."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, Field, JsonValue, ValidationError

from fairslot.messages import contract
from fairslot.messages.contract import MessageError
from fairslot.messages.correlation import correlation_id

CALENDAR_EVENT = "calendar_event"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentData:
    """The data of an `appointment.*` event; instants are RFC 3339 text in UTC, passed on as they are."""

    appointment_id: str
    coach_id: str
    start_time: str
    end_time: str
    status: str
    version: int
    calendar_id: str | None = None
    contact_name: str | None = None
    contact_email: str | None = None
    timezone: str | None = None
    contact_id: str | None = None
    block_id: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEventData:
    """The data of a `calendar_event`: what to do with an appointment's event in one of its coach's calendars.

    `put`: it is to be there from `start_time` to `end_time`; `remove`: it is not to be there; `none`: the
    message is out of date. `source_id` and what follows say which calendar; `credentials` are ciphertext, for
    the context {purpose: calendar, source_id}. `ref` is what the provider called the event.
    """

    write: Literal["put", "remove", "none"]
    appointment_id: UUID
    source_id: UUID
    generation: int
    kind: str = ""
    url: str | None = None
    calendar_ref: str | None = None
    credentials: str | None = None
    source_generation: int = 1
    time_zone: str = "UTC"
    start_time: AwareDatetime | None = None
    end_time: AwareDatetime | None = None
    title: str = ""
    ref: str | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The coach's time zone. Raises MessageError."""
        try:
            return ZoneInfo(self.time_zone)
        except (ValueError, ZoneInfoNotFoundError):
            raise MessageError from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one endpoint; `kind` is `crm`, `calendar_api`, `standard` or `calendar_event`.

    Other kinds are read too.

    Only `standard` has a URL, `headers` and `secrets`: ciphertexts, newest first, several during a rotation.
    `concurrency` and `rate_per_second` limit each dispatcher process. `revision` is the endpoint's when the
    message was made. `round` separates the first attempts from those of each replay. A requeued message also
    has the number of `attempts` made before it, and `since`: when the delivery was first received.
    """

    delivery_id: UUID
    event_id: UUID
    kind: str
    type: str
    timestamp: AwareDatetime
    version: int
    data: Mapping[str, JsonValue]
    url: str | None = None
    endpoint_id: UUID | None = None
    revision: int = 1
    round: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    concurrency: int | None = None
    rate_per_second: float | None = None
    attempts: Annotated[int, Field(ge=0)] = 0
    since: AwareDatetime | None = None

    @staticmethod
    def from_json(body: str) -> "Delivery":
        """Read a message's body. Raises MessageError."""
        return contract.read(Delivery, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return contract.write(self)

    @property
    def correlation_id(self) -> str | None:
        """The id of the change that it tells of, None where that is none of an appointment."""
        return correlation_id(self.data, self.version)

    @property
    def destination(self) -> str:
        """What the limits and the circuit breaker of an attempt are for: a calendar has its own."""
        if self.kind == CALENDAR_EVENT:
            return str(self.data.get("source_id"))
        return str(self.endpoint_id or self.kind)

    @property
    def provider(self) -> str | None:
        """Who has the calendar, with many others: the kind, and its host where there are many; else None."""
        if self.kind != CALENDAR_EVENT:
            return None
        return f"{self.data.get('kind')}:{urlsplit(str(self.data.get('url') or '')).netloc}"

    def appointment(self) -> AppointmentData:
        """Read `data` as an appointment's. Raises MessageError."""
        return _read(AppointmentData, self.data)

    def calendar_event(self) -> CalendarEventData:
        """Read `data` as a calendar event's. Raises MessageError."""
        return _read(CalendarEventData, self.data)


def _read[T](kind: type[T], data: Mapping[str, JsonValue]) -> T:
    try:
        return contract.adapter(kind).validate_python(data)
    except ValidationError:
        raise MessageError from None
