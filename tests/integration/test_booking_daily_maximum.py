"""The daily maximum is counted by the coach's own calendar, wherever that is and whatever its clocks do."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from fairslot.coach_time.days import extend_days
from fairslot.platform.db import Connection
from tests.support.bookings import appointment_of, book
from tests.support.clock import DAY, HALF
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants
from tests.support.race import Outcome, at_once, booked, patiently
from tests.support.tables import clear_tables
from tests.support.team import ALWAYS, add_calendar, add_coach

# Half hours and quarters, the date line, clocks that change by 30 minutes, by two hours, and at midnight.
ZONES = [
    "America/New_York",
    "Europe/London",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/Havana",
    "America/Santiago",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
]
CLIENTS = 12
CALENDARS = ["cal-0", "cal-1", "cal-2", "cal-3"]


@pytest.fixture
def clients(connect: Connect, environment: Callable[..., None]) -> list[Connection]:
    """Connections for everybody who races; days are made for six days ahead."""
    environment(HORIZON_DAYS="6")
    return [connect() for _ in range(CLIENTS)]


def changes(zone: ZoneInfo) -> list[date]:
    """Return the days of 2026 on which the zone's clocks change, and one on which they do not."""
    noons = [datetime(2026, 1, 2, 12, tzinfo=zone) + timedelta(days=n) for n in range(363)]
    return [date(2026, 6, 17)] + [
        noon.date() for noon in noons if noon.utcoffset() != (noon - DAY).utcoffset()
    ]


@st.composite
def races(draw: st.DrawFn) -> tuple[str, datetime, list[int]]:
    """Draw a zone, the first start of a race and the half hours after it that are asked for."""
    name = draw(st.sampled_from(ZONES))
    zone = ZoneInfo(name)
    day = draw(st.sampled_from(changes(zone)))
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone).astimezone(UTC)
    first = noon.replace(minute=0) - timedelta(hours=18)
    steps = draw(st.lists(st.integers(0, 71), min_size=4, max_size=CLIENTS, unique=True))
    return name, first, steps


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(race=races(), most=st.integers(0, 3), taken=st.integers(0, 3))
@example(race=("Africa/Cairo", datetime(2026, 4, 23, 16, tzinfo=UTC), list(range(12))), most=2, taken=1)
@example(race=("America/Havana", datetime(2025, 11, 2, 2, tzinfo=UTC), list(range(12))), most=3, taken=3)
def test_a_race_for_the_last_places_of_a_day(
    connection: Connection,
    clients: list[Connection],
    race: tuple[str, datetime, list[int]],
    most: int,
    taken: int,
) -> None:
    """Of all who want a local day at once as many get it as it has places left, on each of the days."""
    name, first, steps = race
    zone, now = ZoneInfo(name), first - timedelta(days=2)
    clear_tables(connection)
    add_coach(connection, "coach", time_zone=name, max_per_day=most, working_hours=ALWAYS)
    for calendar_id in CALENDARS:
        add_calendar(connection, calendar_id, ["coach"])
    extend_days(connection, now=now)
    starts = [first + step * HALF for step in steps]

    def ask(n: int) -> Outcome:
        return patiently(lambda: book(clients[n], starts[n], calendar_id=CALENDARS[n % 4], now=now))

    outcomes = [ask(n) for n in range(taken)]
    outcomes += at_once([partial(ask, n) for n in range(taken, len(starts))])
    note(f"{outcomes}")
    wanted = Counter(start.astimezone(zone).date() for start in starts)
    got = Counter(appointment_of(one).start_time.astimezone(zone).date() for one in booked(outcomes))
    assert got == Counter({day: min(number, most) for day, number in wanted.items()})
    check_invariants(connection)
