"""Whatever comes as an answer of Google's is read or refused: nothing else is raised or made free."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from fairslot.calendars.event_ids import PROPERTY, event_id, key_text
from fairslot.calendars.google_events import Reading
from fairslot.calendars.interface import CalendarError, EventKey
from fairslot.domain.slots import Window

SOURCE = UUID(int=2)
KEY = EventKey(appointment_id=UUID(int=1), source_id=SOURCE)
WINDOW = Window(1_994_884, 8)

times = st.one_of(
    st.datetimes().map(datetime.isoformat),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.dates().map(lambda day: day.isoformat()),
    st.sampled_from(
        ["", "24:00", "2026-11-30T10:00:00Z", "2026-11-30T10:00:00+99:99", "0001-01-01T00:00:00+14:00"]
    ),
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), times)
anything = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=5), scalars, max_size=2)
ends = st.fixed_dictionaries(
    {}, optional={"date": times | anything, "dateTime": times | anything, "timeZone": st.text(max_size=9)}
)
members = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just(event_id(KEY)) | anything,
        "start": ends | anything,
        "end": ends | anything,
        "status": st.sampled_from(["confirmed", "cancelled"]) | anything,
        "transparency": anything,
        "eventType": st.sampled_from(["default", "birthday"]) | anything,
        "attendees": st.lists(st.fixed_dictionaries({"self": anything, "responseStatus": anything}))
        | anything,
        "extendedProperties": st.just({"private": {PROPERTY: key_text(KEY)}}) | anything,
        "etag": anything,
    },
)


@given(st.lists(members, max_size=3), st.sampled_from(["Europe/Berlin", "Asia/Tokyo"]) | anything)
def test_whatever_google_says_is_read_or_refused(items: list[dict[str, Any]], zone: object) -> None:
    """No answer breaks the reading, and none makes free what is not in the window."""
    reading = Reading(WINDOW, source_id=SOURCE)
    reading.add_events({"kind": "calendar#events", "timeZone": zone, "items": items})
    found = reading.free
    assert 0 <= found.bits < 2**WINDOW.slot_count
    assert found.unreadable <= len(items)


@given(st.dictionaries(st.sampled_from(["busy", "errors"]), anything))
def test_whatever_google_says_of_periods_is_read_or_refused(calendar: dict[str, Any]) -> None:
    """Errors inside are errors, whatever they are."""
    reading = Reading(WINDOW, source_id=SOURCE)
    try:
        reading.add_periods({"calendars": {"primary": calendar}})
    except CalendarError:
        return
    assert not calendar.get("errors")
    assert 0 <= reading.free.bits < 2**WINDOW.slot_count
