"""Whatever comes as an answer of Graph's is read or refused: nothing else is raised, or made free."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.calendars.event_ids import event_id, key_text
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.microsoft_events import PROPERTY_ID
from tests.support.environment import clear_caches
from tests.unit.calendars.graph import ADDRESS, KEY, WINDOW, Graph, event, page

instants = st.one_of(
    st.datetimes().map(datetime.isoformat),
    st.dates().map(lambda day: f"{day}T00:00:00.0000000"),
    st.sampled_from(
        ["", "24:00", "2026-11-30T10:00:00Z", "9999-12-31T23:59:59.9999999", "0001-01-01T00:00:00"]
    ),
)
zones = st.sampled_from(
    ["UTC", "Tokyo Standard Time", "America/New_York", "", "/etc/passwd", "\0", "Nowhere"]
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9))
anything = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=5), scalars, max_size=2)
times = st.fixed_dictionaries({"dateTime": instants | anything, "timeZone": zones | anything}) | anything
marks = st.just([{"id": PROPERTY_ID, "value": key_text(KEY)}]) | anything
members = st.fixed_dictionaries(
    {},
    optional={
        "id": anything,
        "@odata.etag": anything,
        "start": times,
        "end": times,
        "isAllDay": st.booleans() | anything,
        "showAs": st.sampled_from(["busy", "free", "workingElsewhere"]) | anything,
        "isCancelled": st.booleans() | anything,
        "responseStatus": st.fixed_dictionaries({"response": anything}) | anything,
        "type": st.sampled_from(["singleInstance", "occurrence"]) | anything,
        "transactionId": st.just(event_id(KEY)) | anything,
        "singleValueExtendedProperties": marks,
    },
)


@pytest.fixture(autouse=True, scope="module")
def loopback() -> Iterator[None]:
    """Stand-ins of providers are on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
        clear_caches()
        yield
    clear_caches()


@given(st.lists(members.map(lambda some: event() | some) | anything, max_size=3))
def test_whatever_graph_says_is_read_or_refused(events: list[Any]) -> None:
    """No answer breaks the reading, and none makes free what is not in the window."""
    try:
        found = Graph(page(*events)).free()
    except CalendarError as error:
        assert (error.reason, error.ended) == ("invalid_body", None)
        return
    assert 0 <= found.bits < 2**WINDOW.slot_count
    assert len(found.own) <= 1


@given(
    st.fixed_dictionaries(
        {"scheduleId": st.just(ADDRESS) | anything},
        optional={
            "availabilityView": st.text("0123490x", min_size=8, max_size=8) | anything,
            "scheduleItems": st.lists(
                st.fixed_dictionaries({"status": anything, "start": times, "end": times}), max_size=2
            )
            | anything,
            "error": st.fixed_dictionaries({"responseCode": anything}) | anything,
        },
    )
)
def test_whatever_graph_says_of_a_schedule_is_read_or_refused(schedule: dict[str, Any]) -> None:
    """Free is what its view calls free, and nothing else."""
    try:
        bits = Graph((200, {"value": [schedule]})).schedule()
    except CalendarError:
        return
    view = schedule["availabilityView"]
    assert all(digit in "04" for digit, free in zip(view, f"{bits:08b}", strict=True) if free == "1")


@given(anything)
def test_whatever_graph_says_is_no_calendar(body: object) -> None:
    """A page is an object with a list."""
    with pytest.raises(CalendarError, match="invalid_body"):
        asyncio.run(Graph((200, body)).calendar().free(WINDOW))
