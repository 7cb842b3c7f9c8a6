"""What limits, buffers, notices and attributes of coaches cost a booking and a page, of the same without.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.limits

With them, every coach has limits on the day, the week, the month and the minutes, and buffers and a notice of
their own. Without, the calendar has the same buffers and notice, so that both read and take the same time. A
page with requirements is the first one that asks for them; half of the team meets them. A booking with
requirements has one of the calendar's and one of its own, which all meet. A booking is the server's processor
time, a page that of server and client together.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from bench.booking_database import TEAM, book, starts
from bench.booking_parts import server_ns
from bench.figures import Figure
from fairslot.coach_time import bookable_starts
from fairslot.coach_time.bookable_starts import Window
from fairslot.coach_time.days import extend_days
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.coach_time.read_model import fold_all_changes
from fairslot.platform import db
from fairslot.platform.migrate import migrate
from local.postgres import EmbeddedPostgres
from tests.support.endpoints import add_endpoint
from tests.support.team import (
    ALWAYS,
    TENANT,
    add_calendar,
    add_coach,
    set_attributes,
    set_calendar,
    set_coach,
)

ROUNDS = 200
PAGES = 40
LARGE = 100
GOAL = 1.15
_RULES = {"buffer_before": 15, "buffer_after": 15, "min_notice_minutes": 60}
_LIMITS = {"max_per_week": 700, "max_per_month": 3_000, "max_minutes_per_week": 10_000}
KINDS = ("unused", "used")
_LIMITED = "limits of coaches"
_REQUIRING, _REQUIRES = "requiring", ("language:en", "remote:true")


def figures() -> Iterator[Figure]:
    """Measure what limits, buffers and notices of coaches cost a booking and a page."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        migrate(server.url)
        with db.connect(server.url) as connection:
            add_teams(connection)
            pid, instants = connection.info.backend_pid, iter(starts()[::4])
            works = [partial(booking, connection, kind) for kind in KINDS]
            yield _figure(
                "booking", _LIMITED, compared(pid, works, [(next(instants),) for _ in range(ROUNDS)])
            )
            works = [works[0], partial(booking, connection, _REQUIRING, requires=_REQUIRES[1:])]
            yield _figure(
                "booking",
                "requires of calendar and request",
                compared(pid, works, [(next(instants),) for _ in range(ROUNDS)]),
            )
            for size, days in ((TEAM, 7), (LARGE, 30)):
                for name, kept in (("uncached", None), ("from the checked cache", KeptTeams())):
                    works = [partial(page, connection, f"{kind}-{size}", days, kept) for kind in KINDS]
                    what = f"availability, {size} x {days}, {name},"
                    yield _figure(what, _LIMITED, compared(pid, works, [()] * PAGES))
                whole = partial(page, connection, f"unused-{size}", days, None)
                took = compared(pid, [whole, partial(whole, requires=("language:de",))], [()] * PAGES)
                yield _figure(f"availability, {size} x {days}, uncached,", "new requires", took)


def compared(
    pid: int, works: Sequence[Callable[..., object]], turns: Sequence[tuple[object, ...]]
) -> list[float]:
    """Return the median microseconds of processor time of each piece of work, done in turns."""
    took: list[list[float]] = [[] for _ in works]
    for number, values in enumerate(turns):
        order = range(len(works)) if number % 2 else reversed(range(len(works)))
        for one in order:
            begun = time.process_time_ns()
            server = server_ns(pid, partial(works[one], *values))
            took[one].append((server + time.process_time_ns() - begun) / 1000)
    return [statistics.median(times[len(turns) // 5 :]) for times in took]


def booking(connection: db.Connection, kind: str, start: datetime, requires: Sequence[str] = ()) -> None:
    """Book a start."""
    if not book(connection, f"{kind}-{TEAM}", start, requires):
        raise SystemExit(f"nobody is free at {start}")


def page(
    connection: db.Connection,
    calendar_id: str,
    days: int,
    kept: KeptTeams | None,
    requires: Sequence[str] = (),
) -> None:
    """List the coming days of a calendar."""
    now = datetime.now(UTC)
    window = Window(start=now, end=now + timedelta(days=days), limit=6_000)
    found = bookable_starts.list_starts(
        connection,
        tenant_id=TENANT,
        calendar_id=calendar_id,
        window=window,
        now=now,
        kept=kept,
        requires=requires,
    )
    if not found.total:
        raise SystemExit(f"{calendar_id} lists nothing")


def add_teams(connection: db.Connection) -> None:
    """Make a small and a large team of each kind, and both partners' endpoints."""
    for kind in ("crm", "calendar_api"):
        add_endpoint(connection, kind, "appointment.*")
    for kind in KINDS:
        coaches = [f"{kind}-coach-{number}" for number in range(LARGE)]
        for number, coach_id in enumerate(coaches):
            add_coach(connection, coach_id, time_zone="UTC", max_per_day=10_000, working_hours=ALWAYS)
            set_attributes(connection, coach_id, language=["de", "en"] if number % 2 else ["en"], remote=True)
            if kind == "used":
                set_coach(connection, coach_id, **_RULES, **_LIMITS)
        for size in (TEAM, LARGE):
            add_calendar(connection, f"{kind}-{size}", coaches[:size], duration=15)
            if kind == "unused":
                set_calendar(connection, f"{kind}-{size}", **_RULES)
    coaches = [f"{KINDS[0]}-coach-{number}" for number in range(TEAM)]
    add_calendar(connection, f"{_REQUIRING}-{TEAM}", coaches, duration=15, requires=[_REQUIRES[0]])
    set_calendar(connection, f"{_REQUIRING}-{TEAM}", **_RULES)
    extend_days(connection, now=datetime.now(UTC))
    fold_all_changes(connection)
    connection.execute("VACUUM (ANALYZE)")


def _figure(what: str, having: str, took: list[float]) -> Figure:
    unused, used = took
    return Figure(
        name=f"{what} with {having}, of the same without",
        value=used / unused,
        unit="times",
        goal=GOAL,
        note=f"{used:.0f} of {unused:.0f} µs of processor time",
    )


if __name__ == "__main__":
    print(*figures(), sep="\n")
