"""Storing a reading of one coach's external calendar, against writing one row per slot, in one run.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.sync

Both sides get the same messages, readings of 60 days for the same coaches. A reading differs from the coach's
last one on three days, as most do, or on every day, the worst case. The rows are written as fast as possible:
numbers instead of instants, one DELETE and one INSERT of arrays, in one transaction and one round trip. They
hold every slot, as our bits do; the time with the slots of the working hours alone is shown beside it.
"""

import json
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from psycopg.sql import SQL, Identifier

from bench.figures import Figure
from bench.stack import alternate, median_ratio, stack
from fairslot.coach_time import sync
from fairslot.coach_time.days import extend_days, horizon_slots
from fairslot.domain.slots import bits_of_hex, day_of, days_between, hex_of, working_bits
from fairslot.messages.readings import Reading
from fairslot.platform import db
from tests.support.team import EVERY_DAY, add_coach

COACHES = 50
ROUNDS = 5
CALLS = 10
ZONE = ZoneInfo("America/New_York")
DAYS = 60
BUSY = 0.33

type Store = Callable[[dict[str, Any]], None]


def figures() -> Iterator[Figure]:
    """Measure storing a reading, against one row per slot."""
    for what, found in storing().items():
        yield Figure(
            name=f"sync of one coach against one row per slot, {what}",
            value=found["times"],
            unit="times",
            goal=10,
            at_least=True,
            note=(
                f"{found['bits_ms']:.2f} against {found['rows_ms']:.2f} ms;"
                f" {found['working_times']:.1f} times with rows for working hours alone"
            ),
        )


def storing() -> dict[str, dict[str, float]]:
    """Return by kind of change how many times faster ours is, and each side in milliseconds."""
    with stack() as parts, db.connect(parts.postgres.url) as connection:
        now = datetime.now(UTC)
        coaches = [Coach(f"coach-{number}", now) for number in range(COACHES)]
        for coach in coaches:
            add_coach(connection, coach.coach_id, kind="calendar_api")
        extend_days(connection, now=now)
        first, end = horizon_slots(ZONE, now)
        by_rows = rows(connection, "slot_rows", first, end, range(end - first))
        by_working_rows = rows(connection, "working_rows", first, end, working_offsets(first, end))
        for coach in coaches:
            reading = coach.reading(everything=True)
            for store in (by_rows, by_working_rows):
                store(reading)
            store_bits(connection, reading)
        connection.execute("VACUUM (ANALYZE)")
        found = {}
        for name, everything in (("3 days differ", False), ("all 60 days differ", True)):
            whole = measure(connection, coaches, by_rows, everything=everything)
            working = measure(connection, coaches, by_working_rows, everything=everything)
            found[name] = whole | {f"working_{key}": value for key, value in working.items()}
        return found


def store_bits(connection: db.Connection, message: dict[str, Any]) -> None:
    """Store a message of FetchedQueue as the store function does."""
    sync.store(connection, Reading.from_json(json.dumps(message)))


def measure(
    connection: db.Connection, coaches: Sequence["Coach"], by_rows: Store, *, everything: bool
) -> dict[str, float]:
    """Store readings both ways, in turns."""
    rounds = []
    for _ in range(1 + ROUNDS):
        readings = [random.choice(coaches).reading(everything=everything) for _ in range(CALLS)]
        rounds.append(alternate(readings, by_rows, partial(store_bits, connection)))
    rounds = rounds[1:]
    return {
        "times": median_ratio(rounds),
        "rows_ms": statistics.median(statistics.median(one) for one, _ in rounds) * 1000,
        "bits_ms": statistics.median(statistics.median(other) for _, other in rounds) * 1000,
    }


class Coach:
    """A coach with an external calendar; whole hours are busy."""

    def __init__(self, coach_id: str, now: datetime) -> None:
        self.coach_id, self.now, self.number = coach_id, now, 0
        self.first, end = horizon_slots(ZONE, now)
        self.count = end - self.first
        self.hours = [""] * -(-self.count // 4)

    def reading(self, *, everything: bool) -> dict[str, Any]:
        """Return a message of the fetched queue, a second later than the last."""
        self.number += 1
        days = range(DAYS) if everything else random.sample(range(DAYS), 3)
        for hour in (day * 24 + hour for day in days for hour in range(24)):
            self.hours[hour] = "0000" if random.random() < BUSY else "1111"
        bits = int("".join(self.hours)[: self.count].ljust(self.count, "1"), 2)
        return {
            "coach_id": self.coach_id,
            "ok": True,
            "requested_at": self.now.isoformat(),
            "fetched_at": (self.now + timedelta(seconds=self.number)).isoformat(),
            "first_slot": self.first,
            "slot_count": self.count,
            "free": hex_of(bits, self.count),
            "error": None,
        }


def rows(connection: db.Connection, table: str, first: int, end: int, offsets: Sequence[int]) -> Store:
    """Make a table; return what stores a reading in it, a row for each of these slots of [first, end)."""
    create, delete, insert = (
        SQL(text).format(table=Identifier(table))
        for text in (
            (
                "CREATE TABLE {table} (coach_id text NOT NULL REFERENCES coaches, slot integer NOT NULL,"
                " free boolean NOT NULL, PRIMARY KEY (coach_id, slot))"
            ),
            "DELETE FROM {table} WHERE coach_id = %(coach)s AND slot >= %(first)s AND slot < %(end)s",
            (
                "INSERT INTO {table} SELECT %(coach)s, slot, free"
                " FROM unnest(%(slots)s::integer[], %(free)s::boolean[]) AS given (slot, free)"
            ),
        )
    )
    connection.execute(create)

    def store(result: dict[str, Any]) -> None:
        count = result["slot_count"]
        bits = bits_of_hex(result["free"], count)
        values = {
            "coach": result["coach_id"],
            "first": first,
            "end": end,
            "slots": [first + offset for offset in offsets],
            "free": [bool(bits >> (count - 1 - offset) & 1) for offset in offsets],
        }
        with connection.pipeline(), connection.transaction():
            connection.execute(delete, values)
            connection.execute(insert, values)

    return store


def working_offsets(first: int, end: int) -> Sequence[int]:
    """Return the slots of the working hours, counted from the first."""
    found = []
    for day in days_between(ZONE, first, end):
        begin, count = day_of(ZONE, day)
        hours = working_bits(EVERY_DAY, day, ZONE)
        found += [begin - first + i for i in range(count) if hours >> (count - 1 - i) & 1]
    return found


if __name__ == "__main__":
    print(storing())
