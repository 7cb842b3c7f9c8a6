"""Booking with 10 and 100 times the history, against a booking with little, in one run.

PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.booking_growth
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import psycopg

from bench.booking_database import book, database, starts
from bench.figures import Figure
from fairslot.platform import db


def figures() -> Iterator[Figure]:
    """Measure how a booking grows with the history."""
    for factor, ratio in growth().items():
        yield Figure(name=f"booking with {factor} times the history", value=ratio, unit="times", goal=1.1)


def growth(times: Sequence[int] = (10, 100), base: int = 300, count: int = 300) -> dict[int, float]:
    """Return by factor of history the ratio of the medians of a booking's time.

    Each history is in a database of its own, and they take turns booking by booking.
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
    INSERT INTO changes (change_id, tenant_id, type, told, appointment_id, version, calendar_id, kind, seq,
                         policy, policy_version, roster_version, chosen, credits, lasts, decided_at)
    SELECT uuidv7(), 'default', 'appointment.created', true, appointment_id, 1, calendar_id, turn.kind,
           coalesce((SELECT min(seq) FROM decisions), 0) - row_number() OVER (PARTITION BY calendar_id),
           'fair_share', 1, turn.roster_version, 1, turn.credits, turn.lasts, now()
      FROM old JOIN turns AS turn USING (calendar_id)"""


if __name__ == "__main__":
    print(growth())
