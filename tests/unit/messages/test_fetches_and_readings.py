"""The messages of FetchesQueue and FetchedQueue: written, read again, and refused without quoting them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fairslot.domain.slots import bits_of_hex
from fairslot.messages.contract import MessageError
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import FreeSlots, Reading

ASKED: dict[str, Any] = {
    "coach_id": "coach-1",
    "kind": "calendar_api",
    "url": None,
    "time_zone": "America/New_York",
    "first_slot": 1_971_000,
    "slot_count": 100,
    "requested_at": "2026-03-09T13:00:00Z",
}
FETCHED_AT = datetime(2026, 3, 9, 13, 0, 1, tzinfo=UTC)


def request(**changes: object) -> FetchRequest:
    return FetchRequest.from_json(json.dumps({**ASKED, **changes}))


def reading(bits: int | None, unreadable: int = 0, error: str | None = None) -> Reading:
    free = None if bits is None else FreeSlots(window=request().window, bits=bits, unreadable=unreadable)
    return Reading.of(request(more="x"), fetched_at=FETCHED_AT, free=free, error=error)


def test_a_request_is_read_and_written_as_agreed() -> None:
    """Nothing of the agreed body is lost or renamed; the queue's delay is not in it."""
    asked = FetchRequest(**ASKED, delay_seconds=7)
    assert json.loads(asked.to_json()) == ASKED
    assert FetchRequest.from_json(asked.to_json()) == FetchRequest(**ASKED)


def test_a_request_for_a_source_says_which_and_a_reading_answers_it() -> None:
    """What the provider said comes back with it; credentials do not."""
    source: dict[str, Any] = {
        "source_id": "01a20a3b-77aa-7c21-b1c5-2b8f6d0e4a11",
        "generation": 3,
        "calendar_ref": "work",
        "credentials": "ciphertext",
    }
    asked = request(**source)
    assert json.loads(asked.to_json()) == ASKED | source
    failed = Reading.of(
        asked, fetched_at=FETCHED_AT, error="access_revoked", after=60.0, ended="disconnected"
    )
    assert Reading.from_json(failed.to_json()) == failed
    assert (failed.source_id, failed.generation) == (asked.source_id, 3)
    free = FreeSlots(window=asked.window, bits=5, tag="etag")
    read = Reading.of(asked, fetched_at=FETCHED_AT, free=free)
    assert Reading.from_json(read.to_json()) == read
    assert "ciphertext" not in failed.to_json() + read.to_json()


def test_a_reading_names_the_window_and_its_free_slots() -> None:
    """They go with the request that they answer."""
    body = json.loads(reading(1 << 99 | 1).to_json())
    free = body.pop("free")
    assert body == {
        "coach_id": "coach-1",
        "requested_at": "2026-03-09T13:00:00Z",
        "fetched_at": "2026-03-09T13:00:01Z",
        "ok": True,
        "first_slot": 1_971_000,
        "slot_count": 100,
    }
    assert bits_of_hex(free, 100) == 1 << 99 | 1


def test_a_reading_counts_the_events_that_it_could_not_read() -> None:
    """Where there are none the member is left out."""
    body = json.loads(reading(1, unreadable=2).to_json())
    assert (body["ok"], body["unreadable"]) == (True, 2)


def test_a_calendar_without_free_time_is_a_reading() -> None:
    """Nothing free is not the same as nothing known."""
    body = json.loads(reading(0).to_json())
    assert (body["ok"], body["free"]) == (True, "0" * 26)


def test_a_failure_names_its_reason() -> None:
    """Without slots."""
    body = json.loads(reading(None, error="timeout").to_json())
    assert body == {
        "coach_id": "coach-1",
        "requested_at": "2026-03-09T13:00:00Z",
        "fetched_at": "2026-03-09T13:00:01Z",
        "ok": False,
        "error": "timeout",
    }


@pytest.mark.parametrize(
    "written", [reading(1 << 99 | 1), reading(0, unreadable=3), reading(None, error="timeout")]
)
def test_a_reading_is_read_as_it_was_written(written: Reading) -> None:
    """Both ends of the queue use the same class."""
    assert Reading.from_json(written.to_json()) == written


@pytest.mark.parametrize(
    "changes",
    [
        {"coach_id": ""},
        {"fetched_at": "2026-03-09T13:00:01"},
        {"ok": None},
        {"free": None},
        {"free": "00"},
        {"free": "zz" * 13},
        {"free": "0" * 25 + "1"},
        {"slot_count": 10**9},
        {"first_slot": None},
        {"unreadable": -1},
    ],
)
def test_a_malformed_reading_is_refused(changes: dict[str, object]) -> None:
    """The error quotes nothing of it."""
    with pytest.raises(MessageError) as raised:
        Reading.from_json(json.dumps({**json.loads(reading(0).to_json()), **changes}))
    assert str(raised.value) == "The message does not have the agreed shape."


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
