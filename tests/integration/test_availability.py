"""What is listed is what can be booked, and the other way round."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairslot.coach_time.days import extend_days
from fairslot.domain.errors import NotFoundError
from fairslot.domain.idempotency import ChangeResult
from fairslot.domain.slots import instant_of, slot_of
from fairslot.platform.db import Connection
from tests.support.availability import Start, list_page, reasons
from tests.support.bookings import appointment_of, book, hold
from tests.support.clock import HOUR, MINUTE, NEW_YORK, NINE, NOW, QUARTER
from tests.support.invariants import check_invariants
from tests.support.readings import begin_absence, store_reading
from tests.support.sources import add_source
from tests.support.tables import clear_tables
from tests.support.team import (
    ALWAYS,
    add_calendar,
    add_coach,
    add_team,
    set_attributes,
    set_coach,
    set_member,
)

type Ask = Callable[..., ChangeResult]


def test_a_working_day(connection: Connection) -> None:
    """From nine to five there are 31 starts of half an hour, each with everybody."""
    add_team(connection, 3)
    page = list_page(connection, start=NINE - timedelta(hours=9), days=1)
    assert [instant_of(one.slot) for one in page.starts] == [NINE + n * QUARTER for n in range(31)]
    assert {one.available_coaches for one in page.starts} == {3}


def test_a_booking_takes_one_coach_out(connection: Connection) -> None:
    """Around a booking one coach fewer is counted, and named where coaches are asked for."""
    add_team(connection, 2)
    chosen = appointment_of(book(connection, NINE + 2 * QUARTER)).coach_id
    page = list_page(connection, start=NINE, days=1, with_coaches=True)
    counts = [one.available_coaches for one in page.starts[:5]]
    assert counts == [2, 1, 1, 1, 2]
    assert all(chosen not in (one.coach_ids or ()) for one in page.starts[1:4])


def test_the_grid_of_a_calendar(connection: Connection) -> None:
    """An interval of half an hour lists only :00 and :30."""
    add_team(connection, 1, slot_interval=30)
    page = list_page(connection)
    assert {instant_of(one.slot).minute for one in page.starts} == {0, 30}


def test_pages_join_up(connection: Connection) -> None:
    """Pages over all calendars, one after another, are the whole in its order."""
    add_team(connection, 2)
    add_calendar(connection, "also", ["coach-01"], duration=60)
    whole = list_page(connection, None)
    after: tuple[str, int] | None = None
    pages: list[Start] = []
    while True:
        page = list_page(connection, None, limit=17, after=after)
        pages += page.starts
        assert page.total == len(whole.starts)
        if page.next_after is None:
            break
        after = page.next_after
    assert pages == whole.starts
    assert [one.calendar_id for one in whole.starts] == sorted(one.calendar_id for one in whole.starts)


def test_a_coach_never_synced_is_not_offered(connection: Connection) -> None:
    """Who has an external calendar that was never read is not free, and the page says it is stale."""
    add_coach(connection, "new", kind="calendar_api")
    add_calendar(connection, "cal", ["new"])
    extend_days(connection, now=NOW)
    page = list_page(connection)
    assert (page.total, page.stale, page.synced_at) == (0, True, None)


def test_a_calendar_without_coaches_lists_nothing(connection: Connection) -> None:
    """Without a team there is no start, also with closed days and in a window that ends before it begins."""
    add_calendar(connection, "cal", [], blocked_dates=[NINE.date()])
    assert list_page(connection).starts == []
    assert list_page(connection, days=-1).starts == []


def test_a_foreign_calendar_is_not_there(connection: Connection) -> None:
    """A tenant cannot list what another owns."""
    add_team(connection, 1)
    add_calendar(connection, "theirs", ["coach-01"], tenant_id="other")
    with pytest.raises(NotFoundError):
        list_page(connection, "theirs")


# Days before the clocks of either coach change, a Monday, or the first of a month.
EVES = [
    NOW,
    datetime(2026, 3, 6, 12, tzinfo=UTC),
    datetime(2026, 3, 28, 18, tzinfo=UTC),
    datetime(2026, 10, 24, 3, tzinfo=UTC),
    datetime(2026, 10, 30, 18, tzinfo=UTC),
]


def bookable(connection: Connection, start: datetime, ask: Ask = book, **more: Any) -> bool:
    """Try to book or to hold, and undo it."""
    try:
        with connection.transaction(force_rollback=True):
            ask(connection, start=start, **more)
    except psycopg.Error as error:
        assert error.sqlstate in {"FS409", "FS400"}
        return False
    return True


REQUIRES = st.sampled_from([[], [], ["language:de"], ["language:de", "language:en"]])


def own_rules() -> st.SearchStrategy[dict[str, int]]:
    """Draw the buffers and the notice of a coach, or of a coach in a calendar; often none."""
    return st.fixed_dictionaries(
        {
            "buffer_before": st.sampled_from([0, 0, 15, 30, 240]),
            "buffer_after": st.sampled_from([0, 0, 15, 60]),
            "min_notice_minutes": st.sampled_from([0, 0, 7, 300, 1500]),
        }
    )


def limits() -> st.SearchStrategy[dict[str, int | None]]:
    """Draw the limits of a coach on weeks and months; often none."""
    return st.fixed_dictionaries(
        {
            "max_per_week": st.sampled_from([None, None, 0, 1, 2]),
            "max_per_month": st.sampled_from([None, None, 0, 1, 3]),
            "max_minutes_per_week": st.sampled_from([None, None, 0, 45, 75, 100]),
        }
    )


def make_team(connection: Connection, data: st.DataObject, now: datetime) -> None:
    """Make two coaches in two zones and two calendars, with any rules, busy time and sources."""
    quarters = st.sampled_from([15, 30, 45, 60])
    add_coach(connection, "ny", max_per_day=data.draw(st.integers(0, 3)))
    add_coach(connection, "ldn", time_zone="Europe/London", working_hours=ALWAYS, max_per_day=4)
    for coach_id in ("ny", "ldn"):
        set_coach(connection, coach_id, **data.draw(own_rules()), **data.draw(limits()))
    add_calendar(connection, "other", ["ny", "ldn"], duration=45)
    add_calendar(
        connection,
        "cal",
        ["ny", "ldn"],
        duration=data.draw(quarters),
        slot_interval=data.draw(quarters),
        buffer_before=data.draw(st.sampled_from([0, 15, 45])),
        buffer_after=data.draw(st.sampled_from([0, 30])),
        min_notice_minutes=data.draw(st.sampled_from([0, 7, 600])),
        horizon_days=data.draw(st.sampled_from([2, 3, 60])),
        requires=data.draw(REQUIRES),
        on_unverified=data.draw(st.sampled_from(["allow", "block"])),
    )
    for coach_id in ("ny", "ldn"):
        set_member(connection, "cal", coach_id, **data.draw(own_rules()))
    extend_days(connection, now=now)


def fill(connection: Connection, coach_id: str, zone: ZoneInfo, data: st.DataObject, now: datetime) -> None:
    """Give a coach languages, absences, and external calendars that were read some time ago."""
    first = slot_of(now)
    languages = st.lists(st.sampled_from(["de", "en"]), unique=True)
    set_attributes(connection, coach_id, language=data.draw(languages))
    for _ in range(data.draw(st.integers(0, 6))):
        busy = first + data.draw(st.integers(0, 200))
        length = data.draw(st.integers(1, 20))
        begin_absence(connection, coach_id, instant_of(busy), instant_of(busy + length))
    for minutes in data.draw(st.lists(st.sampled_from([0, 14, 15, 16, 100]), max_size=2)):
        known: dict[str, Any] = {"source_id": str(add_source(connection, coach_id)), "generation": 1}
        start = instant_of(first + data.draw(st.integers(0, 200)))
        began = now - minutes * MINUTE
        store_reading(connection, began, (start, start + HOUR), coach_id=coach_id, zone=zone, **known)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_listing_and_booking_are_one_predicate(connection: Connection, data: st.DataObject) -> None:
    """For any rules, attributes, busy time and bookings: a start is listed exactly when it can be booked.

    And held, and explained as free; also where the clocks change, and over the ends of weeks and months.
    """
    clear_tables(connection)
    now = data.draw(st.sampled_from(EVES))
    first = slot_of(now)
    make_team(connection, data, now)
    for coach_id, zone in (("ny", NEW_YORK), ("ldn", ZoneInfo("Europe/London"))):
        fill(connection, coach_id, zone, data, now)
    for _ in range(data.draw(st.integers(0, 6))):
        start = instant_of(first + data.draw(st.integers(1, 200)))
        calendar_id = data.draw(st.sampled_from(["cal", "other"]))
        if bookable(connection, start, calendar_id=calendar_id, now=now):
            book(connection, start, calendar_id=calendar_id, now=now)
    asked = data.draw(REQUIRES)
    page = list_page(connection, start=now, days=3, with_coaches=True, requires=asked, now=now)
    offered = {one.slot: one.coach_ids for one in page.starts}
    for slot in range(first - 1, first + 3 * 96, data.draw(st.sampled_from([1, 3]))):
        start, ask = instant_of(slot), (book, hold)[slot // 4 % 2]
        assert (slot in offered) == bookable(connection, start, ask, requires=asked, now=now), start
    grid = data.draw(st.integers(0, 20)) * 12  # of which every interval is a part
    for slot in range(first - first % 12 + 12 + grid, first + 3 * 96, 60):
        why = reasons(connection, instant_of(slot), requires=asked, now=now)
        free = tuple(coach_id for coach_id, reason in why.items() if reason is None)
        assert offered.get(slot, ()) == free, instant_of(slot)
    check_invariants(connection)


def test_nothing_past_is_listed(connection: Connection) -> None:
    """The current quarter has begun, so the first start is a later one."""
    add_coach(connection, "owl", working_hours=ALWAYS, time_zone="UTC")
    add_calendar(connection, "cal", ["owl"])
    extend_days(connection, now=NOW)
    assert instant_of(list_page(connection).starts[0].slot) == NOW + QUARTER
    assert NOW.astimezone(UTC) == NOW
