"""What is asked of the calendar reader, and what it tells."""

import asyncio
import json

import pytest

from fairslot.calendars.reading import read
from fairslot.domain.slots import bits_of_hex
from fairslot.messages.calendars import MessageError, Reading, Request

ASKED = {
    "coach_id": "coach-1",
    "kind": "calendar_api",
    "url": None,
    "time_zone": "America/New_York",
    "first_slot": 1_971_000,
    "slot_count": 100,
    "requested_at": "2026-03-09T13:00:00Z",
}


def request(**changes: object) -> Request:
    return Request.from_json(json.dumps({**ASKED, **changes}))


def test_a_reading_tells_what_it_answers() -> None:
    """The window and the free slots go with the request that they answer."""
    reading = Reading(request=request(more="x"), fetched_at="2026-03-09T13:00:01Z", free=1 << 99 | 1)
    told = json.loads(reading.to_json())
    free = told.pop("free")
    assert told == {
        "coach_id": "coach-1",
        "requested_at": "2026-03-09T13:00:00Z",
        "fetched_at": "2026-03-09T13:00:01Z",
        "ok": True,
        "first_slot": 1_971_000,
        "slot_count": 100,
    }
    assert bits_of_hex(free, 100) == 1 << 99 | 1


def test_a_reading_tells_of_events_that_it_could_not_read() -> None:
    """Where there are none it says nothing."""
    told = json.loads(Reading(request=request(), fetched_at="t", free=1, unreadable=2).to_json())
    assert (told["ok"], told["unreadable"]) == (True, 2)


def test_a_calendar_without_free_time_is_a_reading() -> None:
    """Nothing free is not the same as nothing known."""
    told = json.loads(Reading(request=request(), fetched_at="t", free=0).to_json())
    assert (told["ok"], told["free"]) == (True, "0" * 26)


def test_a_failure_tells_its_reason() -> None:
    """Without slots, and without a word that is not ours."""
    told = json.loads(Reading(request=request(), fetched_at="t", error="timeout").to_json())
    assert told == {
        "coach_id": "coach-1",
        "requested_at": "2026-03-09T13:00:00Z",
        "fetched_at": "t",
        "ok": False,
        "error": "timeout",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"coach_id": ""},
        {"coach_id": None},
        {"slot_count": 0},
        {"slot_count": 10**9},
        {"first_slot": "soon"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"time_zone": ""},
        {"kind": None},
    ],
)
def test_a_malformed_request_is_refused(changes: dict[str, object]) -> None:
    """The error quotes nothing of it."""
    with pytest.raises(MessageError) as raised:
        request(**changes)
    assert str(raised.value) == "The message does not have the agreed shape."


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
    reading = asyncio.run(read(request(**changes), seconds=5))
    assert (reading.ok, reading.free, reading.error) == (False, None, error)


def test_no_time_is_a_timeout() -> None:
    """When the invocation is nearly over nothing is begun."""
    reading = asyncio.run(read(request(kind="icalendar", url="https://feed.test/"), seconds=0))
    assert reading.error == "timeout"
