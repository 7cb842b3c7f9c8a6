"""The objects of a CalDAV calendar: which are ours, and what the rest takes."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from icalendar import Calendar

from fairslot.calendars.caldav_objects import (
    Own,
    Stored,
    free_of_objects,
    moved_object,
    new_object,
    own_of,
)
from fairslot.calendars.event_ids import digest_of, event_id
from fairslot.calendars.interface import CalendarError, EventKey, Free
from fairslot.domain import slots
from tests.unit.calendars.dav import (
    ASKED,
    END,
    EVENT,
    KEY,
    OTHER,
    SOURCE,
    START,
    an_object,
    ours,
    strangers,
)
from tests.unit.calendars.feeds import NEW_YORK

REF = f"/home/work/{event_id(KEY)}.ics"


def free(*texts: str, ref: str = REF) -> Free:
    """Read objects; the first one is at the address where we write."""
    stored = [Stored(ref if not n else f"/home/work/{n}.ics", f'"{n}"', text) for n, text in enumerate(texts)]
    return free_of_objects(stored, ASKED, NEW_YORK, SOURCE)


def taken(found: Free) -> int:
    return ASKED.slot_count - found.bits.bit_count()


def hour(found: Free) -> bool:
    """Tell whether all of START to END is free."""
    wanted = ASKED.bits(slots.slot_of(START), slots.slot_of(END))
    return found.bits & wanted == wanted


def own(text: str | bytes) -> Own | None:
    return own_of(Stored(REF, '"1"', text.decode() if isinstance(text, bytes) else text), NEW_YORK)


def test_ours_takes_no_time_and_is_told() -> None:
    """With its address and version, in whatever zone the coach's client wrote it."""
    found = free(ours("DTSTART;TZID=America/New_York:20260302T090000", "DURATION:PT1H"))
    assert (taken(found), found.unreadable) == (0, 0)
    (seen,) = found.own
    assert (seen.key, seen.ref, seen.version, seen.start, seen.end) == (KEY, REF, '"0"', START, END)


def test_a_copy_is_a_strangers() -> None:
    """Clients copy our property with the event: the UID must be the key's too."""
    found = free(ours(), ours(uid="a-copy"))
    assert (taken(found), len(found.own)) == (4, 1)
    alone = free(ours(uid="a-copy"))
    assert (taken(alone), alone.own) == (4, ())


def test_a_second_object_with_the_key_is_a_strangers() -> None:
    """The one at the address where we write it is ours, whatever order the server lists them in."""
    there = ours("DTSTART:20260303T140000Z", "DTEND:20260303T150000Z")
    written, copied = Stored(REF, None, ours()), Stored("/home/work/1.ics", None, there)
    for both in ([written, copied], [copied, written]):
        found = free_of_objects(both, ASKED, NEW_YORK, SOURCE)
        assert (taken(found), [one.start for one in found.own]) == (4, [START])


def test_ours_of_another_source_is_a_strangers() -> None:
    """The appointment may be another coach's."""
    found = free(ours(key=replace(KEY, source_id=OTHER)))
    assert (taken(found), found.own) == (4, ())


def test_ours_that_recurs_takes_its_time() -> None:
    """A coach may make a series of it; no appointment takes the time of the others."""
    found = free(ours("DTSTART:20260302T140000Z", "DTEND:20260302T150000Z", "RRULE:FREQ=DAILY;COUNT=2"))
    assert (taken(found), len(found.own)) == (8, 1)


@pytest.mark.parametrize(
    "lines",
    [
        ("DTEND:20260302T150000Z",),
        ("DTSTART:yesterday", "DTEND:20260302T150000Z"),
        ("DTSTART;TZID=Nowhere/Land:20260302T090000", "DTEND;TZID=Nowhere/Land:20260302T100000"),
    ],
)
def test_ours_that_cannot_be_read_takes_what_it_may(lines: tuple[str, ...]) -> None:
    """As a stranger's does."""
    found = free(ours(*lines))
    assert not hour(found)
    assert (found.unreadable, found.own) == (1, ())


def test_ours_that_ends_before_it_starts_is_still_ours() -> None:
    """Where it stands is told in the order of time, as a span is stored."""
    (seen,) = free(ours("DTSTART:20260302T160000Z", "DTEND:20260302T150000Z")).own
    assert seen.end - seen.start == timedelta(hours=1)


def test_a_transparent_one_of_ours_is_still_ours() -> None:
    """It is told."""
    found = free(ours("DTSTART:20260302T140000Z", "DTEND:20260302T150000Z", "TRANSP:TRANSPARENT"))
    assert (taken(found), len(found.own)) == (0, 1)


@pytest.mark.parametrize(
    "key", ["", "x", "7.1.1", f"{UUID(int=7)}.{SOURCE}.0", f"{UUID(int=7)}.{SOURCE}.1.1"]
)
def test_what_is_no_key_is_a_strangers(key: str) -> None:
    """Whoever writes our property with something else gets nothing for it."""
    text = an_object(
        f"UID:{event_id(KEY)}",
        f"X-FAIRSLOT-EVENT:{key}",
        "DTSTART:20260302T140000Z",
        "DTEND:20260302T150000Z",
    )
    assert (taken(free(text)), free(text).own) == (4, ())


def test_two_keys_are_none() -> None:
    """Nor are two events in one object."""
    twice = ours().replace("UID:", f"X-FAIRSLOT-EVENT:{UUID(int=9)}.{SOURCE}.1\r\nUID:")
    assert (taken(free(twice)), free(twice).own) == (4, ())
    event = ours().partition("BEGIN:VEVENT")[2].partition("END:VCALENDAR")[0]
    double = ours().replace("END:VCALENDAR", f"BEGIN:VEVENT{event}END:VCALENDAR")
    assert (taken(free(double)), free(double).own) == (4, ())


def test_one_uid_in_two_objects_is_two_events() -> None:
    """A copy of a series with an exception of its own leaves the other as it is."""
    series = an_object(
        "UID:x", "DTSTART:20260302T140000Z", "DTEND:20260302T150000Z", "RRULE:FREQ=DAILY;COUNT=2"
    )
    exception = an_object(
        "UID:x",
        "RECURRENCE-ID:20260303T140000Z",
        "DTSTART:20260303T200000Z",
        "DTEND:20260303T210000Z",
    )
    assert taken(free(strangers(), series, exception)) == 4 + 4 + 4


def test_objects_keep_their_zones() -> None:
    """Two objects may each define a zone of the same name."""

    def with_zone(offset: str) -> str:
        zone = (
            "BEGIN:VTIMEZONE\r\nTZID:Office\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
            f"TZOFFSETFROM:{offset}\r\nTZOFFSETTO:{offset}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
        )
        text = an_object("UID:x", "DTSTART;TZID=Office:20260302T140000", "DURATION:PT1H")
        return text.replace("BEGIN:VEVENT", f"{zone}BEGIN:VEVENT")

    found = free(with_zone("+0000"), with_zone("-0300"))
    expected = ASKED.bits(slots.slot_of(START), slots.slot_of(END))
    later = 12
    assert ASKED.bits(ASKED.first_slot, ASKED.end_slot) & ~found.bits == expected | expected >> later


@pytest.mark.parametrize("text", ["", "x", "BEGIN:VCALENDAR\r\n", strangers()[:-20], "<html/>"])
def test_an_object_that_is_no_calendar_makes_the_reading_fail(text: str) -> None:
    """It could have been any event."""
    with pytest.raises(CalendarError) as raised:
        free(strangers(), text)
    assert raised.value.reason == "invalid_body"


def test_what_we_write_is_read_as_ours() -> None:
    """With the digest of what was written."""
    found = own(new_object(EVENT, START))
    assert found is not None
    assert (found.sighting.key, found.sighting.start, found.sighting.end) == (KEY, START, END)
    assert found.written == digest_of(EVENT)
    assert own(strangers()) is None


def test_a_digest_tells_versions_apart() -> None:
    """By times and title; the zone that a time is written in does not matter."""
    later = replace(EVENT, end=END.replace(hour=16))
    assert len({digest_of(one) for one in (EVENT, later, replace(EVENT, title="Other"))}) == 3
    assert digest_of(replace(EVENT, start=START.astimezone(NEW_YORK))) == digest_of(EVENT)


def test_a_move_keeps_what_the_coach_added() -> None:
    """Times and title are ours; notes, colours and alarms are the coach's."""
    text = new_object(EVENT, START).decode()
    text = text.replace("END:VEVENT", "DESCRIPTION:Mine\r\nSTATUS:TENTATIVE\r\nEND:VEVENT")
    there = replace(EVENT, start=START.replace(day=3), end=END.replace(day=3), title="Moved")
    made = moved_object(Stored(REF, '"1"', text), there, START)
    (entry,) = Calendar.from_ical(made).walk("VEVENT")
    assert (str(entry["DESCRIPTION"]), str(entry["SUMMARY"]), entry["SEQUENCE"]) == ("Mine", "Moved", 1)
    assert "STATUS" not in entry
    found = own(made)
    assert found is not None
    assert (found.sighting.start, found.written) == (there.start, digest_of(there))


def test_what_cannot_be_changed_is_written_anew() -> None:
    """An object that the parser fails on."""
    made = moved_object(Stored(REF, '"1"', ours().replace("END:VEVENT", "")), EVENT, START)
    assert own(made) == own(new_object(EVENT, START))


def test_a_title_cannot_write_lines() -> None:
    """It is text, whatever is in it."""
    made = new_object(replace(EVENT, title="a\r\nDTSTART:19700101T000000Z\r\nx;,\\"), START)
    found = own(made)
    assert found is not None
    assert found.sighting.start == START
    (entry,) = Calendar.from_ical(made).walk("VEVENT")
    assert len(entry.property_items(recursive=False)) == len(
        Calendar.from_ical(new_object(EVENT, START)).walk("VEVENT")[0].property_items(recursive=False)
    )


def test_generations_have_addresses_of_their_own() -> None:
    """So the successor of an event that was deleted never meets it."""
    keys = [KEY, replace(KEY, generation=2), EventKey(appointment_id=UUID(int=8), source_id=SOURCE)]
    assert len({event_id(key) for key in keys}) == 3
