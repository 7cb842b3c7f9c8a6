"""What one attempt at writing an event says, whatever the calendar does."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from fairslot.calendars import opening
from fairslot.calendars.interface import CalendarError, Event, EventKey, Sighting
from fairslot.dispatch.attempt_policy import Health, health
from fairslot.dispatch.result import Result
from fairslot.dispatch.subscribers import deliver
from fairslot.messages.contract import MessageError
from fairslot.messages.deliveries import Delivery

APPOINTMENT, SOURCE = UUID(int=1), UUID(int=2)
START = datetime(2026, 3, 3, 14, tzinfo=UTC)
END = START + timedelta(minutes=30)
DATA: dict[str, Any] = {
    "write": "put",
    "appointment_id": str(APPOINTMENT),
    "source_id": str(SOURCE),
    "source_generation": 4,
    "generation": 3,
    "event_revision": 7,
    "kind": "google",
    "url": None,
    "calendar_ref": "primary",
    "credentials": "ciphertext",
    "time_zone": "Europe/Paris",
    "start_time": "2026-03-03T14:00:00Z",
    "end_time": "2026-03-03T14:30:00Z",
    "title": "Booked: Intro",
    "ref": "ref",
}
KEY = EventKey(appointment_id=APPOINTMENT, source_id=SOURCE, generation=3)

type Write = Callable[..., Result]


class Calendar:
    """A calendar that notes what is asked of it, and fails if it is told to."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.opened: dict[str, Any] = {}
        self.error: CalendarError | None = None
        self.seconds = 0.0
        self.ref = "new-ref"

    async def open(self, **given: Any) -> "Calendar":
        """Stand in for `open_writable`."""
        self.opened = given
        return self

    async def put(self, event: Event) -> Sighting:
        """Note an event."""
        await self._asked(event)
        return Sighting(key=event.key, ref=self.ref, start=event.start, end=event.end, version="etag")

    async def remove(self, key: EventKey, ref: str | None) -> None:
        """Note a removal."""
        await self._asked((key, ref))

    async def _asked(self, what: object) -> None:
        self.asked.append(what)
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error


@pytest.fixture
def calendar(monkeypatch: pytest.MonkeyPatch) -> Calendar:
    """A calendar that every source opens."""
    made = Calendar()
    monkeypatch.setattr(opening, "open_writable", made.open)
    return made


def message(**data: Any) -> Delivery:
    """Make a delivery."""
    return Delivery(
        delivery_id=uuid4(),
        event_id=uuid4(),
        kind="calendar_event",
        type="appointment.created",
        timestamp=START,
        version=1,
        data={**DATA, **data},
    )


def write(seconds: float = 5.0, **data: Any) -> Result:
    """Make an attempt."""
    return asyncio.run(deliver(message(**data), seconds=seconds))


def test_an_event_is_put(calendar: Calendar) -> None:
    """With the identity that the database gave it; what is kept says where it is."""
    result = write()
    assert calendar.asked == [Event(key=KEY, start=START, end=END, title="Booked: Intro")]
    assert calendar.opened.pop("zone").key == "Europe/Paris"
    assert calendar.opened == {
        "kind": "google",
        "url": None,
        "calendar_ref": "primary",
        "credentials": "ciphertext",
        "source_id": SOURCE,
    }
    assert result.error is None
    assert result.answer == {
        "source_generation": "4",
        "done": "put",
        "generation": "3",
        "start": "2026-03-03T14:00:00+00:00",
        "end": "2026-03-03T14:30:00+00:00",
        "ref": "new-ref",
        "version": "etag",
    }


def test_an_event_is_removed(calendar: Calendar) -> None:
    """By its key, and by what the provider calls it."""
    result = write(write="remove", start_time=None, end_time=None)
    assert calendar.asked == [(KEY, "ref")]
    assert (result.error, result.answer["done"]) == (None, "remove")


def test_what_is_out_of_date_writes_nothing(calendar: Calendar) -> None:
    """It is done, and says nothing."""
    assert write(write="none").answer == {}
    assert calendar.asked == []


def test_a_name_that_is_too_long_is_not_kept(calendar: Calendar) -> None:
    """The event can be found without."""
    calendar.ref = "x" * 3_000
    assert "ref" not in write().answer


@pytest.mark.parametrize(
    ("error", "final", "status", "after"),
    [
        (CalendarError("timeout"), False, None, 0.0),
        (CalendarError("http_503", after=30.0), False, 503, 30.0),
        (CalendarError("rate_limited", after=7.0), False, None, 7.0),
        (CalendarError("forbidden"), False, None, 0.0),
        (CalendarError("conflict"), True, None, 0.0),
        (CalendarError("unknown_kind"), True, None, 0.0),
        (CalendarError("access_revoked", ended="disconnected"), True, None, 0.0),
    ],
)
def test_an_error_is_told(
    calendar: Calendar, error: CalendarError, *, final: bool, status: int | None, after: float
) -> None:
    """Whether another attempt is of use, and when; and the provider's word that none is."""
    calendar.error = error
    result = write()
    assert (result.error, result.final, result.status_code, result.retry_after) == (
        error.reason,
        final,
        status,
        after,
    )
    ended = {"ended": error.ended, "source_id": str(SOURCE)} if error.ended else {}
    assert result.answer == {"source_generation": "4", **ended}


def test_a_calendar_that_hangs_is_a_timeout(calendar: Calendar) -> None:
    """The attempt ends in its time."""
    calendar.seconds = 60.0
    result = write(seconds=0.05)
    assert (result.error, result.final) == ("timeout", False)
    assert health(message(), result).state == "silent"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, Health("healthy")),
        (CalendarError("timeout"), Health("silent")),
        (CalendarError("http_503", after=9.0), Health("failing")),
        (CalendarError("rate_limited", after=9.0), Health("healthy", pause=9.0)),
        (CalendarError("conflict"), Health("healthy")),
        (CalendarError("access_revoked", ended="disconnected"), Health("healthy")),
        (CalendarError("secret_unavailable"), Health("unknown")),
    ],
)
def test_an_attempt_tells_of_the_calendar(
    calendar: Calendar, error: CalendarError | None, expected: Health
) -> None:
    """What was written, or refused, closes its circuit again; what was not asked says nothing."""
    calendar.error = error
    assert health(message(), write()) == expected
    assert health(message(), write(write="none")) == Health("unknown")


@pytest.mark.parametrize(
    "data", [{"time_zone": "Nowhere"}, {"start_time": None}, {"write": "copy"}, {"source_id": 7}]
)
def test_data_that_cannot_be_used(calendar: Calendar, data: dict[str, Any]) -> None:
    """It is refused."""
    with pytest.raises(MessageError):
        write(**data)
    assert calendar.asked == []


def test_each_calendar_has_its_own_limits() -> None:
    """One that does not answer delays no other one."""
    other = message(source_id=str(APPOINTMENT))
    assert message().destination != other.destination
