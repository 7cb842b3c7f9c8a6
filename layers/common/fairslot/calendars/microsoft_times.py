"""Times as Microsoft Graph writes them: a local time and the name of a zone, Windows' or IANA's."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from fairslot.calendars.interface import CalendarError
from fairslot.domain.slots import Window, day_of, instant_of, slot_from, slot_of

_DAY = timedelta(days=1)
# What asks for times in UTC, and for ids that stay when an event is moved to another calendar.
PREFER = 'outlook.timezone="UTC", IdType="ImmutableId"'


class GraphTime(BaseModel):
    """A dateTimeTimeZone: seven digits of a fraction, no offset."""

    model_config = ConfigDict(strict=True)

    date_time: str = Field(alias="dateTime")
    time_zone: str = Field(alias="timeZone")


def in_utc(instant: datetime) -> dict[str, str]:
    """Write an instant as a dateTimeTimeZone."""
    return {"dateTime": instant.astimezone(UTC).replace(tzinfo=None).isoformat(), "timeZone": "UTC"}


def instants(start: GraphTime, end: GraphTime) -> tuple[datetime, datetime]:
    """Return the first and the last instant (UTC) that the times may mean. Raises CalendarError.

    A local time that a zone has twice, or skips, may mean two.
    """
    begin, finish = min(_readings(start)), max(_readings(end))
    if begin > finish:
        raise CalendarError("invalid_body")
    return begin, finish


def whole_days(start: GraphTime, end: GraphTime, zone: ZoneInfo) -> tuple[int, int]:
    """Return the slots [first, end) of an all-day event: its dates, in the coach's zone.

    Raises CalendarError. Graph writes the dates as midnights of whatever zone was asked for. Where it did
    not, these are instants, and all days count that they touch.
    """
    begin, finish = _local(start), _local(end)
    if begin > finish:
        raise CalendarError("invalid_body")
    if begin.time() != begin.time().min or finish.time() != finish.time().min:
        first, last = instants(start, end)
        begin, finish = (instant.astimezone(zone).replace(tzinfo=None) for instant in (first, last))
        if finish.time() != finish.time().min:
            finish += _DAY
    days = begin.date(), max(finish.date(), begin.date() + _DAY)
    try:
        first_slot, end_slot = (day_of(zone, day)[0] for day in days)
    except OverflowError:
        raise CalendarError("invalid_body") from None
    return first_slot, end_slot


def touched(start: datetime, end: datetime) -> tuple[int, int]:
    """Return the slots [first, end) that a time touches."""
    return slot_of(start), slot_from(end)


def asked(window: Window, *, margin: timedelta = timedelta()) -> tuple[str, str]:
    """Write when the window begins and ends, with so much before and after it, for a query."""
    first, end = instant_of(window.first_slot) - margin, instant_of(window.end_slot) + margin
    return f"{first:%Y-%m-%dT%H:%M:%SZ}", f"{end:%Y-%m-%dT%H:%M:%SZ}"


def _local(time: GraphTime) -> datetime:
    try:
        found = datetime.fromisoformat(time.date_time)
    except ValueError:
        raise CalendarError("invalid_body") from None
    if found.tzinfo is not None:
        raise CalendarError("invalid_body")
    return found


def _readings(time: GraphTime) -> tuple[datetime, datetime]:
    local, zone = _local(time), _zone(time.time_zone)
    try:
        early, late = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        raise CalendarError("invalid_body") from None
    return early, late


def _zone(name: str) -> tzinfo:
    """Return the zone of a name: UTC is what we ask for, others are what Graph may answer all the same."""
    if name == "UTC":
        return UTC
    # Imported late: 40 ms of a cold start that no reading needs.
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    try:
        return ZoneInfo(WINDOWS_TO_OLSON.get(name, name))
    except (OSError, ValueError, KeyError):
        raise CalendarError("invalid_body") from None
