"""What Google says of events and busy periods, and what that leaves free."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fairslot.calendars.event_ids import PROPERTY, event_id, key_text
from fairslot.calendars.google_events import Reading, sighting
from fairslot.calendars.interface import CalendarError, EventKey, Free, Sighting
from fairslot.domain.slots import Window, slot_of

DAY = datetime(2026, 11, 30, 9, tzinfo=UTC)
WINDOW = Window(slot_of(DAY), 8)  # two hours from 10:00 in Berlin
SOURCE = UUID(int=2)
KEY = EventKey(appointment_id=UUID(int=1), source_id=SOURCE)
MIDDLE = {
    "start": {"dateTime": "2026-11-30T10:30:00+01:00"},
    "end": {"dateTime": "2026-11-30T11:00:00+01:00"},
}
FREE, BUSY, CLOSED = "11111111", "11001111", "00000000"


def event(**members: Any) -> dict[str, Any]:
    """Make an event from the second half hour of the window, of somebody else."""
    return {"id": "stranger1", "status": "confirmed", **MIDDLE, **members}


def ours(key: EventKey = KEY, **members: Any) -> dict[str, Any]:
    """Make an event as we write it."""
    private = {"private": {PROPERTY: key_text(key)}}
    return event(**{"id": event_id(key), "etag": '"7"', "extendedProperties": private, **members})


def read(*items: object, zone: object = "Europe/Berlin", **more: bool) -> Free:
    """Read one page of events."""
    reading = Reading(WINDOW, source_id=SOURCE, **more)
    reading.add_events({"kind": "calendar#events", "timeZone": zone, "items": list(items)})
    return reading.free


def bits(free: Free) -> str:
    """Write the slots from left to right, 1 for free."""
    return f"{free.bits:08b}"


def guest(response: str, *, self: bool = True) -> list[dict[str, Any]]:
    """Make the list of guests of an invitation."""
    return [{"self": self, "responseStatus": response}]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, BUSY),
        ({"status": "tentative"}, BUSY),
        ({"status": "something new"}, BUSY),
        ({"status": "cancelled"}, FREE),
        ({"transparency": "opaque"}, BUSY),
        ({"transparency": "transparent"}, FREE),
        ({"eventType": "default"}, BUSY),
        ({"eventType": "outOfOffice"}, BUSY),
        ({"eventType": "focusTime"}, BUSY),
        ({"eventType": "fromGmail"}, BUSY),
        ({"eventType": "something new"}, BUSY),
        ({"eventType": "workingLocation"}, FREE),
        ({"eventType": "birthday"}, FREE),
        ({"attendees": guest("accepted")}, BUSY),
        ({"attendees": guest("tentative")}, BUSY),
        ({"attendees": guest("needsAction")}, BUSY),
        ({"attendees": guest("declined")}, FREE),
        ({"attendees": guest("declined", self=False)}, BUSY),
        ({"attendees": "nobody"}, BUSY),
    ],
)
def test_what_takes_time(members: dict[str, Any], expected: str) -> None:
    """Whatever is not clearly free is busy."""
    assert bits(read(event(**members))) == expected


def test_a_declined_invitation_takes_time_where_the_team_wants_so() -> None:
    """It is a setting."""
    assert bits(read(event(attendees=guest("declined")), declined_is_free=False)) == BUSY


def test_days_are_those_of_the_calendars_zone() -> None:
    """The end is exclusive: a day in Auckland ends at 11:00 UTC, where the next begins."""
    day = {"start": {"date": "2026-11-30"}, "end": {"date": "2026-12-01"}}
    assert bits(read(event(**day))) == CLOSED
    assert bits(read(event(**day), zone="Pacific/Auckland")) == CLOSED
    before = {"start": {"date": "2026-11-29"}, "end": {"date": "2026-11-30"}}
    assert bits(read(event(**before))) == FREE
    # In Kiritimati the day of the window's beginning ends at 10:00 UTC.
    assert bits(read(event(**day), zone="Pacific/Kiritimati")) == "00001111"


@pytest.mark.parametrize("zone", [None, "Mars/Olympus", 7, "", "../etc/passwd"])
def test_days_of_an_unknown_zone_are_closed_for_all_zones(zone: object) -> None:
    """The day may be anywhere, and the reading says that it did not understand."""
    day = {"start": {"date": "2026-12-01"}, "end": {"date": "2026-12-02"}}
    found = read(event(**day), zone=zone)
    assert (bits(found), found.unreadable) == ("11110000", 1)


def test_a_time_on_the_clock_of_a_zone_is_read() -> None:
    """The reference allows a time without an offset where a zone is named."""
    clock = {
        "start": {"dateTime": "2026-11-30T10:30:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-11-30T05:00:00", "timeZone": "America/New_York"},
    }
    assert bits(read(event(**clock))) == BUSY


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"start": {"dateTime": "2026-11-30T10:30:00"}}, "00001111"),
        ({"end": {"dateTime": "soon"}}, "11000000"),
        ({"start": None}, "00001111"),
        ({"start": 7, "end": []}, CLOSED),
        ({"start": {"dateTime": 7}}, "00001111"),
        ({"start": {"date": "2026-13-01"}}, "00001111"),
        ({"end": {"dateTime": "2026-11-30T10:00:00+01:00"}}, "00111111"),
    ],
)
def test_times_that_cannot_be_read_close_all_that_they_may_be(members: dict[str, Any], expected: str) -> None:
    """Nothing unclear is free."""
    found = read(event(**members))
    assert (bits(found), found.unreadable) == (expected, 1)


def test_our_events_are_seen_and_take_no_time() -> None:
    """As the appointment takes it, wherever the coach has moved the event."""
    found = read(ours())
    start = DAY + timedelta(minutes=30)
    assert found == Free(
        0b11111111,
        own=(
            Sighting(
                key=KEY, ref=event_id(KEY), start=start, end=start + timedelta(minutes=30), version='"7"'
            ),
        ),
    )


@pytest.mark.parametrize(
    "item",
    [
        # A copy, and an occurrence of what the coach made a series.
        ours(id="acopyofours"),
        ours(id=f"{event_id(KEY)}_20261130T093000Z"),
        # What another source wrote, also where its calendar is this one.
        ours(EventKey(appointment_id=UUID(int=1), source_id=UUID(int=3))),
        # Another generation's id.
        ours(id=event_id(EventKey(appointment_id=UUID(int=1), source_id=SOURCE, generation=2))),
        ours(extendedProperties={"private": {PROPERTY: "nonsense"}}),
        ours(extendedProperties={"shared": {PROPERTY: key_text(KEY)}}),
        ours(extendedProperties=None),
    ],
)
def test_what_only_looks_like_ours_takes_time(item: dict[str, Any]) -> None:
    """Ours has the property and the id of the same key, and the key is of this source."""
    found = read(item)
    assert (bits(found), found.own) == (BUSY, ())


def test_a_cancelled_event_of_ours_is_not_seen() -> None:
    """It no longer stands."""
    assert read(ours(status="cancelled")).own == ()


def test_our_event_made_one_of_whole_days_is_seen_where_it_is() -> None:
    """From midnight to midnight in the calendar's zone."""
    (own,) = read(ours(start={"date": "2026-11-30"}, end={"date": "2026-12-01"})).own
    assert (own.start, own.end) == (
        datetime(2026, 11, 29, 23, tzinfo=UTC),
        datetime(2026, 11, 30, 23, tzinfo=UTC),
    )


def test_our_event_that_ends_before_it_starts_is_told_in_order() -> None:
    """A span in the database begins before it ends."""
    start, end = ({"dateTime": f"2026-11-30T{hour}:00:00Z"} for hour in ("15", "14"))
    (own,) = read(ours(start=start, end=end)).own
    assert own.end - own.start == timedelta(hours=1)


def test_our_event_with_unreadable_times_takes_time() -> None:
    """Where it is cannot be said."""
    found = read(ours(start={"dateTime": "soon"}))
    assert (bits(found), found.own, found.unreadable) == ("00001111", (), 1)
    assert sighting(ours(end=None), source_id=SOURCE) is None


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"items": []},
        {"kind": "calendar#freeBusy", "items": []},
        {"kind": "calendar#events", "items": {}},
        {"kind": "calendar#events", "items": None},
        {"kind": "calendar#events", "items": ["an event"]},
    ],
)
def test_what_is_no_page_of_events_is_an_error(page: dict[str, Any]) -> None:
    """And never an empty calendar."""
    with pytest.raises(CalendarError, match="invalid_body"):
        Reading(WINDOW, source_id=SOURCE).add_events(page)


def test_an_empty_page_leaves_all_free() -> None:
    """A page may lack its items where there are none."""
    reading = Reading(WINDOW, source_id=SOURCE)
    reading.add_events({"kind": "calendar#events", "timeZone": "Europe/Berlin"})
    assert reading.free == Free(0b11111111)


def periods(calendar: object) -> Free:
    """Read an answer about busy periods."""
    reading = Reading(WINDOW, source_id=SOURCE)
    reading.add_periods({"kind": "calendar#freeBusy", "calendars": {"primary": calendar}})
    return reading.free


def test_busy_periods_take_time() -> None:
    """Without events, nothing of ours is seen."""
    busy = [{"start": "2026-11-30T09:30:00Z", "end": "2026-11-30T10:00:00Z"}]
    assert periods({"busy": busy}) == Free(0b11001111)
    assert periods({"busy": [{"start": "2026-11-30T09:30:00Z"}]}) == Free(0b11000000, unreadable=1)


@pytest.mark.parametrize(
    ("errors", "reason", "ended"),
    [
        ([{"domain": "global", "reason": "notFound"}], "not_found", "unsupported"),
        ([{"domain": "global", "reason": "internalError"}], "http_500", None),
        ([{"reason": 7}, "error"], "http_500", None),
        ({"reason": "notFound"}, "http_500", None),
    ],
)
def test_an_error_inside_a_200_is_never_free(errors: object, reason: str, ended: str | None) -> None:
    """Google answers 200 for a calendar that it could not look at."""
    with pytest.raises(CalendarError) as raised:
        periods({"errors": errors, "busy": []})
    assert (raised.value.reason, raised.value.ended) == (reason, ended)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"calendars": {}},
        {"calendars": []},
        {"calendars": {"a": {"busy": []}, "b": {"busy": []}}},
        {"calendars": {"a": None}},
        {"calendars": {"a": {}}},
        {"calendars": {"a": {"busy": None}}},
        {"calendars": {"a": {"busy": ["now"]}}},
    ],
)
def test_what_is_no_answer_about_periods_is_an_error(answer: dict[str, Any]) -> None:
    """One calendar was asked for."""
    with pytest.raises(CalendarError, match="invalid_body"):
        Reading(WINDOW, source_id=SOURCE).add_periods(answer)
