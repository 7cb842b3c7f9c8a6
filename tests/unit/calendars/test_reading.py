"""Reading a calendar: every failure is a reading with a reason."""

import asyncio

import pytest

from fairslot.calendars import reading as module
from fairslot.calendars.interface import Free
from fairslot.calendars.reading import read
from fairslot.domain.slots import Window
from fairslot.messages.fetches import FetchRequest

REQUEST = FetchRequest(
    coach_id="coach-1",
    kind="calendar_api",
    time_zone="America/New_York",
    first_slot=1_971_000,
    slot_count=100,
    requested_at="2026-03-09T13:00:00Z",
)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"kind": "carrier_pigeon"}, "unknown_kind"),
        ({"kind": "icalendar"}, "invalid_url"),
        ({"kind": "icalendar", "url": "file:///etc/passwd"}, "invalid_url"),
    ],
)
def test_what_cannot_be_read_is_told(changes: dict[str, object], error: str) -> None:
    """A calendar that nobody can read is an outcome."""
    reading = asyncio.run(read(REQUEST.model_copy(update=changes), seconds=5))
    assert (reading.free, reading.error) == (None, error)


def test_no_time_is_a_timeout() -> None:
    """When the invocation is nearly over nothing is begun."""
    asked = REQUEST.model_copy(update={"kind": "icalendar", "url": "https://feed.test/"})
    reading = asyncio.run(read(asked, seconds=0))
    assert reading.error == "timeout"


@pytest.mark.parametrize("sees_own", [True, False])
def test_what_cannot_see_our_events_does_not_say_that_they_are_gone(
    monkeypatch: pytest.MonkeyPatch, *, sees_own: bool
) -> None:
    """By free and busy times alone ours cannot be told from others."""

    class Calendar:
        async def free(self, _: Window) -> Free:
            return Free(0, sees_own=sees_own)

    async def opened(_: FetchRequest) -> Calendar:
        return Calendar()

    monkeypatch.setattr(module, "open_calendar", opened)
    found = asyncio.run(read(REQUEST, seconds=5)).free
    assert found is not None
    assert found.own_is_whole is sees_own
