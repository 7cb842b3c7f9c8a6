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
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from fairslot.booking import appointments
from fairslot.coach_time.days import extend_days
from fairslot.domain.idempotency import Key
from fairslot.platform import db
from fairslot.platform.migrate import migrate
from local.postgres import EmbeddedPostgres
from tests.support.endpoints import add_endpoint
from tests.support.team import ALWAYS, TENANT, add_calendar, add_coach

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

ROUNDS = 5
SECONDS = 1.0
TEAM = 6
CALENDARS = 8
CLIENTS = 8
# A new connection plans each statement a few times before it keeps the plan; ours are kept for many requests.
WARM_UP = 20
# A calendar on which eight clients at one instant all find somebody.
HOT = "hot"
PARTNERS = ("crm", "calendar_api")
_FORK = multiprocessing.get_context("fork")

# For a client's connection and number, what it does again and again: true if it was done.
type Work = Callable[[db.Connection, int], Callable[[], bool]]


@contextmanager
def database(partners: Sequence[str] = PARTNERS) -> Iterator[EmbeddedPostgres]:
    """Start a Postgres with eight calendars of six coaches, a hot one of eight, and a table to commit to."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        migrate(server.url)
        with db.connect(server.url) as connection:
            connection.execute(
                "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)"
            )
            for kind in partners:
                add_endpoint(connection, kind, "appointment.*")
            for name, size in [*((f"cal-{n}", TEAM) for n in range(CALENDARS)), (HOT, CLIENTS)]:
                coaches = [f"{name}-coach-{member}" for member in range(size)]
                for coach_id in coaches:
                    add_coach(connection, coach_id, time_zone="UTC", max_per_day=10_000, working_hours=ALWAYS)
                add_calendar(connection, name, coaches, duration=15)
            extend_days(connection, now=datetime.now(UTC))
        yield server


def starts() -> list[datetime]:
    """Return every quarter of an hour of the coming weeks."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    return [first + number * timedelta(minutes=15) for number in range(96 * 55)]


def book(connection: db.Connection, calendar_id: str, start: datetime) -> bool:
    """Book with a key of its own; false when nobody is free."""
    try:
        appointments.book(
            connection,
            tenant_id=TENANT,
            calendar_id=calendar_id,
            start_time=start,
            contact=appointments.Contact(name="Customer", email="customer@example.com"),
            metadata={},
            key=Key(value=os.urandom(8).hex(), fingerprint=b"f" * 32),
        )
    except psycopg.Error as error:
        if error.sqlstate != "FS409":
            raise
        return False
    return True


def rate(url: str, clients: int, work: Work) -> float:
    """Return how many pieces of work a second the clients do together."""
    stop, gate, done = _FORK.Event(), _FORK.Barrier(clients + 1), _FORK.Queue()

    def client(number: int, stop: Event, gate: Barrier, done: "Queue[int]") -> None:
        with db.connect(url) as connection:
            one, count = work(connection, number), 0
            for _ in range(WARM_UP):
                one()
            gate.wait()
            while not stop.is_set():
                count += one()
            done.put(count)

    processes = [_FORK.Process(target=client, args=(n, stop, gate, done)) for n in range(clients)]
    for process in processes:
        process.start()
    gate.wait()
    began = time.perf_counter()
    time.sleep(SECONDS)
    stop.set()
    total: int = sum(done.get() for _ in processes)
    took = time.perf_counter() - began
    for process in processes:
        process.join()
    return total / took


def bare(connection: db.Connection, _: int) -> Callable[[], bool]:
    """Insert a row and commit, again and again."""
    return lambda: connection.execute("INSERT INTO bare (note) VALUES ('x')").rowcount == 1


def spread(instants: Sequence[datetime]) -> Work:
    """Book one instant after another, each client on a calendar of its own."""

    def work(connection: db.Connection, number: int) -> Callable[[], bool]:
        turns = (instant for instant in instants for _ in range(TEAM))
        return lambda: book(connection, f"cal-{number}", next(turns))

    return work


def at_once(instants: Sequence[datetime]) -> Work:
    """Book with eight clients at one instant, then at the next, so that everybody finds a coach."""
    tickets = _FORK.Value("i", 0)

    def ticket() -> int:
        with tickets.get_lock():
            tickets.value += 1
            return int(tickets.value) - 1

    return lambda connection, _: lambda: book(connection, HOT, instants[ticket() // CLIENTS])


def throughput(partners: Sequence[str] = PARTNERS) -> dict[str, float]:
    """Return bookings a second as a fraction of the bare commit: at 1 client, 8 spread, 8 at one instant."""
    instants = starts()
    part = len(instants) // (ROUNDS * 2)
    ratios: dict[str, list[float]] = {}
    with database(partners) as server:
        for round_ in range(ROUNDS):
            one, eight = (instants[(round_ * 2 + half) * part :][:part] for half in range(2))
            alone = rate(server.url, 1, bare)
            ratios.setdefault("1 client", []).append(rate(server.url, 1, spread(one)) / alone)
            together = rate(server.url, CLIENTS, bare)
            ratios.setdefault("8 spread", []).append(rate(server.url, CLIENTS, spread(eight)) / together)
            together = rate(server.url, CLIENTS, bare)
            ratios.setdefault("8 at one instant", []).append(
                rate(server.url, CLIENTS, at_once(one)) / together
            )
    return {name: statistics.median(values) for name, values in ratios.items()}


def growth(times: Sequence[int] = (10, 100), base: int = 300, count: int = 300) -> dict[int, float]:
    """Return how much slower a booking is with so many times the history: the ratio of medians.

    Each history is a database of its own, and they take turns booking by booking.
    """
    with database() as server, ExitStack() as stack:
        urls = {1: server.url} | {factor: server.url_of(f"times_{factor}") for factor in times}
        with db.connect(server.url) as connection:
            _fill(connection, base)
        for factor in times:
            with psycopg.connect(server.admin_url(), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE times_{factor} TEMPLATE fairslot OWNER fairslot".encode())
            with db.connect(urls[factor]) as connection:
                _fill(connection, base * factor, base)
        for url in urls.values():
            with psycopg.connect(url, autocommit=True) as cleaner:
                cleaner.execute("VACUUM ANALYZE")
        with psycopg.connect(server.admin_url(), autocommit=True) as admin:
            admin.execute("CHECKPOINT")
        clients = {factor: stack.enter_context(db.connect(url)) for factor, url in urls.items()}
        took: dict[int, list[float]] = {factor: [] for factor in urls}
        for instant in starts()[:count]:
            for factor, client in clients.items():
                began = time.perf_counter()
                book(client, "cal-0", instant)
                took[factor].append(time.perf_counter() - began)
        medians = {factor: statistics.median(values[count // 5 :]) for factor, values in took.items()}
        return {factor: medians[factor] / medians[1] for factor in times}


def _fill(connection: db.Connection, rows: int, have: int = 0) -> None:
    connection.execute(_HISTORY, {"rows": rows - have, "skip": have})


_HISTORY = b"""
    WITH old AS (
        INSERT INTO coach_appointments (tenant_id, calendar_id, coach_id, start_time, end_time, takes, status,
                                        contact_name, contact_email)
        SELECT 'default', 'cal-' || n %% 8, 'cal-' || n %% 8 || '-coach-' || n / 8 %% 6,
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
