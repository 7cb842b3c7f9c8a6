"""The identity of our events: the same for a key for ever, another for any other key."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.calendars.event_ids import digest_of, event_id, key_of, key_text
from fairslot.calendars.interface import Event, EventKey

KEY = EventKey(
    appointment_id=UUID("0b0f6f9e-52a1-4a8c-8f76-0b4f2d9f7a22"), source_id=UUID(int=7), generation=1
)
keys = st.builds(
    EventKey, appointment_id=st.uuids(), source_id=st.uuids(), generation=st.integers(1, 999_999_999)
)


def test_an_id_never_changes() -> None:
    """Events that were written by an earlier release are found by it."""
    assert event_id(KEY) == "4pcv5j3v0oakfa55ncte5imqvv2va9o7128p4jsak01l7gobtd8g"


@given(keys)
def test_an_id_is_one_that_providers_take(key: EventKey) -> None:
    """Google: 5 to 1,024 characters, a to v and 0 to 9."""
    assert re.fullmatch(r"[0-9a-v]{52}", event_id(key))


@given(keys, keys)
def test_another_key_is_another_event(one: EventKey, other: EventKey) -> None:
    """Appointment, source and generation all count."""
    assert (event_id(one) == event_id(other)) == (one == other)


def test_a_generation_on_is_another_event() -> None:
    """Where the event of the first was deleted, its id stays taken."""
    later = EventKey(appointment_id=KEY.appointment_id, source_id=KEY.source_id, generation=2)
    assert event_id(later) != event_id(KEY)


@given(keys)
def test_a_key_is_read_back(key: EventKey) -> None:
    """What was written to the property is the key."""
    assert key_of(key_text(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "x",
        key_text(KEY).upper(),
        key_text(KEY) + "\n",
        key_text(KEY)[:-1] + "0",
        key_text(KEY)[:-1] + "٣",
        key_text(KEY) + "9" * 10,
    ],
)
def test_anything_else_is_no_key(text: object) -> None:
    """Anybody can write such a property."""
    assert key_of(text) is None


def test_a_version_is_what_we_write_and_nothing_else() -> None:
    """Of the same instants and title, in whatever zone they are; it is found by a later release."""
    start = datetime(2026, 11, 30, 9, tzinfo=UTC)
    event = Event(key=KEY, start=start, end=start + timedelta(hours=1), title="Booked: Intro")
    digest = digest_of(event)
    assert digest == "dcf8f300851abfb8c965787150e388dc"
    assert digest_of(replace(event, start=start.astimezone(ZoneInfo("Asia/Tokyo")))) == digest
    others = [
        replace(event, start=start - timedelta(hours=1)),
        replace(event, end=start + timedelta(hours=2)),
        replace(event, title="Booked: Outro"),
    ]
    assert len({digest, *map(digest_of, others)}) == 4
