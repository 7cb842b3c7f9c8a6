"""Booking against the bare commit, in one run: `make bench`.

Client processes on an embedded Postgres with fsync on. The two sides of each ratio take turns, round by
round, and the median of the rounds' ratios counts, since the machine is noisy.
"""

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from fairslot import bookings, db, sync
from fairslot.idempotency import Key
from fairslot.migrate import migrate
from local.postgres import EmbeddedPostgres
from tests import world

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

ROUNDS = 5
SECONDS = 1.0
TEAM = 6
CALENDARS = 8
_SPAWN = multiprocessing.get_context("fork")

type Work = Callable[[db.Connection, int], None]


@contextmanager
def database() -> Iterator[EmbeddedPostgres]:
    """Start a Postgres with eight calendars of six coaches each, and a table for the bare commit."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        migrate(server.url)
        with db.connect(server.url) as connection:
            connection.execute(
                "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)"
            )
            for kind in ("crm", "calendar_api"):
                world.add_endpoint(connection, kind, "appointment.*")
            for number in range(CALENDARS):
                coaches = [f"coach-{number}-{member}" for member in range(TEAM)]
                for coach_id in coaches:
                    world.add_coach(
                        connection,
                        world.Coach(
                            coach_id=coach_id, time_zone="UTC", max_per_day=10_000, working_hours=world.ALWAYS
                        ),
                    )
                world.add_calendar(connection, f"cal-{number}", coaches, duration=15)
            sync.extend(connection, now=datetime.now(UTC))
        yield server


def starts() -> list[datetime]:
    """Return every quarter of an hour of the coming weeks."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    return [first + number * timedelta(minutes=15) for number in range(96 * 55)]


def book(connection: db.Connection, calendar: int, start: datetime) -> bool:
    """Book with a key of its own; false when nobody is free."""
    try:
        bookings.book(
            connection,
            tenant_id=world.TENANT,
            calendar_id=f"cal-{calendar}",
            start_time=start,
            contact=bookings.Contact(name="Customer", email="customer@example.com"),
            metadata={},
            key=Key(value=os.urandom(8).hex(), fingerprint=b"f" * 32),
        )
    except psycopg.Error as error:
        if error.sqlstate != "FS409":
            raise
        return False
    return True


def rate(url: str, clients: int, work: Callable[[db.Connection, int, Event], int]) -> float:
    """Return how many pieces of work a second the clients do together."""
    stop, gate, done = _SPAWN.Event(), _SPAWN.Barrier(clients + 1), _SPAWN.Queue()

    def client(number: int, stop: Event, gate: Barrier, done: "Queue[int]") -> None:
        with db.connect(url) as connection:
            gate.wait()
            done.put(work(connection, number, stop))

    processes = [_SPAWN.Process(target=client, args=(n, stop, gate, done)) for n in range(clients)]
    for process in processes:
        process.start()
    gate.wait()
    began = time.perf_counter()
    time.sleep(SECONDS)
    stop.set()
    total = sum(done.get() for _ in processes)
    took = time.perf_counter() - began
    for process in processes:
        process.join()
    return total / took


def bare(connection: db.Connection, _: int, stop: Event) -> int:
    """Insert a row and commit, again and again."""
    count = 0
    while not stop.is_set():
        connection.execute("INSERT INTO bare (note) VALUES ('x')")
        count += 1
    return count


def booker(instants: Sequence[datetime], *, spread: bool) -> Callable[[db.Connection, int, Event], int]:
    """Book one instant after another, each client its own calendar or all the same."""

    def work(connection: db.Connection, number: int, stop: Event) -> int:
        count = 0
        for instant in instants:
            for _ in range(TEAM):
                if stop.is_set():
                    return count
                if not book(connection, number if spread else 0, instant):
                    break
                count += 1
        return count

    return work


def throughput() -> dict[str, float]:
    """Return bookings a second as a fraction of the bare commit: at 1 client, 8 spread, 8 at one instant."""
    instants = starts()
    part = len(instants) // (ROUNDS * 3)
    ratios: dict[str, list[float]] = {"1 client": [], "8 spread": [], "8 at one instant": []}
    with database() as server:
        for round_ in range(ROUNDS):
            for place, (name, clients, spread) in enumerate(
                (("1 client", 1, True), ("8 spread", 8, True), ("8 at one instant", 8, False))
            ):
                own = instants[(round_ * 3 + place) * part :][:part]
                floor = rate(server.url, clients, bare)
                ratios[name].append(rate(server.url, clients, booker(own, spread=spread)) / floor)
    return {name: statistics.median(values) for name, values in ratios.items()}


def growth(times: Sequence[int] = (10, 100), base: int = 300) -> dict[int, float]:
    """Return how much slower a booking is with so many times the history: the ratio of medians."""
    with database() as server, db.connect(server.url) as connection:
        instants = iter(starts())
        first = _median(connection, instants)
        have, found = base, {}
        for factor in times:
            connection.execute(_HISTORY, {"rows": base * factor - have, "skip": have})
            connection.execute("ANALYZE")
            have = base * factor
            found[factor] = _median(connection, instants) / first
        return found


def _median(connection: db.Connection, instants: Iterator[datetime], count: int = 250) -> float:
    took = []
    for _ in range(count):
        instant = next(instants)
        began = time.perf_counter()
        book(connection, 0, instant)
        took.append(time.perf_counter() - began)
    return statistics.median(took[count // 5 :])


_HISTORY = b"""
    WITH old AS (
        INSERT INTO coach_appointments (tenant_id, calendar_id, coach_id, start_time, end_time, takes, status,
                                        contact_name, contact_email)
        SELECT 'default', 'cal-' || n %% 8, 'coach-' || n %% 8 || '-' || n / 8 %% 6,
               at, at + interval '15 min', tstzrange(at, at + interval '15 min'), 'completed', 'x', 'x@x.org'
          FROM generate_series(%(skip)s::integer, %(skip)s + %(rows)s - 1) AS n,
               LATERAL (SELECT '2010-01-01Z'::timestamptz + n * interval '15 min' AS at) AS x
        RETURNING appointment_id, calendar_id, coach_id
    )
    INSERT INTO distribution_log (calendar_id, seq, appointment_id, kind, policy, policy_version, chosen,
                                  candidates)
    SELECT calendar_id,
           coalesce((SELECT min(seq) FROM distribution_log), 0)
               - row_number() OVER (PARTITION BY calendar_id),
           appointment_id, 'assigned', 'fair_share', 1, coach_id, '[]'
      FROM old"""
