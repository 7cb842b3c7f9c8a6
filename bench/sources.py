"""Ten thousand sources in one database: how evenly they are asked for, and what an outage costs.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.sources

The clock is simulated, the database is real. Who reads is a model: so many batches at once as the template
allows, each as slow as its slowest reading, whose provider does not answer. Its failures are stored for real,
as they decide what is asked for next; what is read of the others is not, as it decides nothing. Then readings
are stored among so many sources.
"""

import heapq
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import batched
from pathlib import Path
from uuid import UUID

from bench.figures import Figure, range_of
from bench.sync import Coach, store_bits
from calendar_fetch.app import TOGETHER_SECONDS
from fairslot.coach_time import sync
from fairslot.coach_time.days import extend_days
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import Reading
from fairslot.platform import db
from fairslot.platform.migrate import migrate
from fairslot.platform.settings import settings
from local.postgres import EmbeddedPostgres
from tests.support.sources import failed
from tests.support.team import add_coach

SOURCES = 10_000
# Of ten sources, and where they are.
SHARES = (
    ("google", 4, None),
    ("microsoft", 3, None),
    ("caldav", 2, "https://caldav.example.com/"),
    ("icalendar", 1, "https://feeds.example.com/"),
)
DOWN = "google"
BEGIN = datetime(2026, 3, 2, 12, tzinfo=UTC)
STEP = timedelta(seconds=5)
# As FetchFunction and the schedule of SyncFunction in the template.
TICK = timedelta(minutes=1)
READERS, BATCH = 20, 10
HOUR = timedelta(hours=1)
_READS = timedelta(seconds=0.5)
_PATIENCE = timedelta(seconds=TOGETHER_SECONDS)
STORED, ROUNDS = 200, 5

type Took = dict[tuple[UUID, datetime], float]


def figures() -> Iterator[Figure]:
    """Measure asking for sources, an outage and storing."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        migrate(server.url)
        with db.connect(server.url) as connection:
            for limit in ("statement_timeout", "transaction_timeout"):
                connection.execute(f"SET {limit} = 0".encode())
            add_sources(connection)
            yield from _evenness(connection)
            yield from _outage(connection)
            yield from _storing(connection)


def add_sources(connection: db.Connection) -> None:
    """Add the sources, each of a coach of its own."""
    add_coach(connection, "coach")
    connection.execute(
        """
        INSERT INTO coaches (coach_id, tenant_id, name, time_zone, working_hours)
        SELECT 'coach-' || n, tenant_id, name, time_zone, working_hours
          FROM coaches, generate_series(1, %s::integer) AS n""",
        [SOURCES],
    )
    kinds = [(kind, url) for kind, share, url in SHARES for _ in range(share)]
    connection.execute(
        """
        INSERT INTO calendar_sources (tenant_id, coach_id, kind, url)
        SELECT tenant_id, coach_id, (%(kinds)s::text[])[place], (%(urls)s::text[])[place] || coach_id
          FROM coaches
         CROSS JOIN LATERAL (SELECT substring(coach_id FROM 7)::integer %% 10 + 1) AS one (place)
         WHERE coach_id <> 'coach'""",
        {"kinds": [kind for kind, _ in kinds], "urls": [url for _, url in kinds]},
    )
    connection.execute("VACUUM (ANALYZE)")


def _evenness(connection: db.Connection) -> Iterator[Figure]:
    """Ask every few seconds: new sources all at once, then each in its own second of an interval."""
    first, whole = _claimed(connection, BEGIN)
    steps = range(1, 3 * _interval() // STEP + 1)
    claims = [_claimed(connection, BEGIN + number * STEP) for number in steps]
    last = claims[-(_interval() // STEP) :]
    sizes = [size for size, _ in last]
    if (first, sum(sizes)) != (SOURCES, SOURCES):
        raise ValueError(f"each source is to be asked for once in an interval: {first}, {sum(sizes)}")
    milliseconds = [seconds * 1000 for _, seconds in last]
    yield Figure(
        name=f"{SOURCES:,} sources asked for every {STEP.seconds} s: the most at once, of the mean",
        value=max(sizes) / statistics.mean(sizes),
        unit="times",
        goal=1.5,
        note=f"{range_of(sizes)}; a claim takes {statistics.median(milliseconds):.0f} ms,"
        f" of all when they are new {whole:.1f} s",
    )


def _claimed(connection: db.Connection, at: datetime) -> tuple[int, float]:
    begun = time.perf_counter()
    return len(sync.due(connection, now=at)), time.perf_counter() - begun


def _outage(connection: db.Connection) -> Iterator[Figure]:
    """Compare an hour in which a provider answers nothing with one without, from the same state on."""
    well, broken = (Hour(connection, down=down).readings() for down in (None, DOWN))
    if not well.keys() <= broken.keys():
        raise ValueError("the readings of other providers are to be asked for at the same time")
    later = [broken[one] - seconds for one, seconds in well.items()]
    late = [seconds for seconds in later if seconds > 1]
    with_it, without = statistics.mean(broken[one] for one in well), statistics.mean(well.values())
    yield Figure(
        name=f"readings in an hour in which another provider is down, of one without, {SOURCES:,} sources",
        value=with_it / without,
        unit="times",
        goal=1.0,
        note=f"{with_it:.2f} of {without:.2f} s from the claim on; over a second later: {len(late)} of"
        f" {len(later)}, {max(later):.0f} s at most",
    )


@dataclass
class Hour:
    """An hour of asking and reading, in which one provider is down, or none."""

    connection: db.Connection
    down: str | None
    # When each of those who read is free again.
    free_at: list[datetime] = field(default_factory=lambda: [BEGIN] * READERS)
    failures: list[tuple[datetime, str, FetchRequest]] = field(default_factory=list)
    took: Took = field(default_factory=dict)

    def readings(self) -> Took:
        """Return the seconds from asking to the end, of every reading of a provider that is never down."""
        self._reset()
        for number in range(1, HOUR // TICK + 1):
            at = BEGIN + number * TICK
            self._store_failures(until=at)
            for some in batched(sync.due(self.connection, now=at), BATCH, strict=False):
                self._read(some, at)
        return self.took

    def _reset(self) -> None:
        self.connection.execute("DELETE FROM calendar_providers")
        self.connection.execute(
            """
            UPDATE calendar_sources
               SET failures = 0, failed_at = NULL, error = NULL, requested_at = NULL,
                   next_at = engine.next_poll(p_source => source_id, p_after => %(after)s,
                                              p_interval => %(interval)s)""",
            {"after": BEGIN - _interval() / 4, "interval": _interval()},
        )
        self.connection.execute("VACUUM calendar_sources")

    def _read(self, some: Sequence[FetchRequest], at: datetime) -> None:
        """Read a batch as soon as one of those who read is free; what was read does not wait for the rest."""
        hangs = any(one.kind == self.down for one in some)
        begun = max(at, heapq.heappop(self.free_at))
        sent = begun + (max(_READS, _PATIENCE) if hangs else _READS)
        end = begun + timedelta(seconds=settings().calendar_timeout_seconds) if hangs else sent
        heapq.heappush(self.free_at, end)
        for one in some:
            assert one.source_id is not None  # noqa: S101  # only messages of 0.1.0 have none
            if one.kind == self.down:
                heapq.heappush(self.failures, (end, str(one.source_id), one))
            elif one.kind != DOWN:
                self.took[one.source_id, at] = (sent - at).total_seconds()

    def _store_failures(self, *, until: datetime) -> None:
        while self.failures and self.failures[0][0] <= until:
            end, _, one = heapq.heappop(self.failures)
            assert one.source_id is not None  # noqa: S101
            message = failed(one.source_id, end, coach_id=one.coach_id)
            text = json.dumps({"requested_at": one.requested_at, **message})
            sync.store(self.connection, Reading.from_json(text), now=end)


def _storing(connection: db.Connection) -> Iterator[Figure]:
    """Store readings that differ from the last on three days, one after another, by one process."""
    now = datetime.now(UTC)
    coaches = [Coach(f"reader-{number}", now) for number in range(STORED)]
    for one in coaches:
        add_coach(connection, one.coach_id, kind="calendar_api")
    extend_days(connection, now=now, tenant_id="default", coach_ids=[one.coach_id for one in coaches])
    for one in coaches:
        store_bits(connection, one.reading(everything=True))
    rates = []
    for _ in range(ROUNDS):
        readings = [one.reading(everything=False) for one in coaches]
        begun = time.perf_counter()
        for reading in readings:
            store_bits(connection, reading)
        rates.append(len(readings) / (time.perf_counter() - begun))
    yield Figure(
        name=f"readings with changes stored by one process, among {SOURCES:,} sources",
        value=statistics.median(rates),
        unit="/s",
        goal=SOURCES / _interval().total_seconds(),
        at_least=True,
        note=f"{range_of(rates)}; the goal is all of them in an interval",
    )


def _interval() -> timedelta:
    return timedelta(seconds=settings().sync_interval_seconds)


if __name__ == "__main__":
    for found in figures():
        print(found, found.note)
