"""A client that is frozen in the middle of its work keeps nobody from theirs for long."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from fairslot.domain.errors import UnavailableError
from fairslot.platform import db, time_limit
from fairslot.platform.db import Connection
from fairslot.platform.migrate import Schema, migrate
from fairslot.webhooks import outbox
from tests.support.bookings import appointment_of, book
from tests.support.clock import NOW
from tests.support.endpoints import add_endpoint
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants
from tests.support.race import wait_until
from tests.support.team import add_team


class Client:
    """A client in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def hear(self) -> dict[str, Any]:
        """Return the next line that it says."""
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said

    def freeze(self) -> None:
        """Let it stand still, as a sandbox that is put away."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, with a line to read."""
        os.kill(self.process.pid, signal.SIGCONT)
        assert self.process.stdin is not None
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()


@contextmanager
def client(url: str, what: str) -> Iterator[Client]:
    """Start a client that does one thing; it is ended in the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.booking_process", what],
        env={**os.environ, "DATABASE_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Client(process)
    finally:
        process.kill()
        process.communicate()


def in_state(connection: Connection, pid: int, state: str) -> bool:
    """Tell whether a backend is in a state of pg_stat_activity, or "gone"."""
    row = connection.execute(
        "SELECT CASE WHEN wait_event_type = 'Lock' THEN 'waiting' ELSE state END AS state"
        "  FROM pg_stat_activity WHERE pid = %s",
        (pid,),
    ).fetchone()
    return (row["state"] if row else "gone") == state


def test_a_client_frozen_inside_a_transaction_loses_it(
    connection: Connection, database_url: str, environment: Callable[..., None]
) -> None:
    """Who waits for its calendar and its coach goes on within seconds and is not refused; it gets nothing."""
    add_team(connection, 1)
    with client(database_url, "hang") as frozen:
        frozen.hear()
        frozen.freeze()
        done = db.run(book)  # within the lock timeout, or it would be refused
        frozen.thaw()
        assert frozen.hear() == {"committed": False, "error": "UnavailableError"}
    rows = connection.execute("SELECT appointment_id FROM coach_appointments").fetchall()
    assert rows == [{"appointment_id": appointment_of(done).appointment_id}]
    check_invariants(connection)


def test_a_client_frozen_while_it_waits_holds_nothing(
    connection: Connection, connect: Connect, database_url: str
) -> None:
    """The server does its work without it, and lets the next one in at once."""
    add_team(connection, 2)
    holder = connect()
    with client(database_url, "book") as frozen:
        with holder.transaction():
            holder.execute("SELECT engine.lock_calendar('cal')")
            pid = frozen.hear()["pid"]
            wait_until(lambda: in_state(connection, pid, "waiting"))
            frozen.freeze()
        done = book(connection)
        wait_until(lambda: in_state(connection, pid, "idle"))
        frozen.thaw()
        assert frozen.hear()["booked"]["coach_id"] != appointment_of(done).coach_id
    check_invariants(connection)


def test_a_sweep_that_takes_too_long_is_done_again(
    connection: Connection, environment: Callable[..., None]
) -> None:
    """A sweep whose queue is too slow loses its claim, says so in our terms, and nothing is lost."""
    add_team(connection, 1)
    add_endpoint(connection, "crm", "appointment.*")
    book(connection)
    later = NOW + timedelta(days=3650)

    def stall(_: object) -> None:
        own = db._Session.connection  # noqa: SLF001 - the process's own connection has no other name
        assert own is not None
        pid = own.info.backend_pid
        wait_until(lambda: in_state(connection, pid, "gone"))

    def sweep(own: Connection) -> int:
        own.execute("SET idle_in_transaction_session_timeout = '100ms'")
        return outbox.sweep(own, send=stall, now=later)

    with pytest.raises(UnavailableError):
        db.run(sweep)
    sent: list[str] = []
    assert db.run(lambda own: outbox.sweep(own, send=sent.extend, now=later)) == 1


def test_the_timeouts_are_the_databases_own(database_url: str) -> None:
    """Every session has them without asking, each longer than the one before."""
    with psycopg.connect(database_url) as connection:
        values = [
            connection.execute(
                f"SELECT setting::integer FROM pg_settings WHERE name = '{name}'".encode()
            ).fetchone()
            for name in (
                "idle_in_transaction_session_timeout",
                "lock_timeout",
                "statement_timeout",
                "transaction_timeout",
            )
        ]
    assert values == [(4_000,), (5_000,), (8_000,), (20_000,)]


def test_a_statement_whose_client_has_given_up_does_not_go_on(
    connection: Connection, environment: Callable[..., None]
) -> None:
    """The client waits no longer than it has time for, and the server notices soon that nobody waits."""
    pids: list[int] = []

    def sleep(own: Connection) -> None:
        pids.append(own.info.backend_pid)
        own.execute("SELECT pg_sleep(7)")

    with time_limit.within(2.5), pytest.raises(UnavailableError):
        db.run(sleep)
    assert len(pids) == 1
    wait_until(lambda: in_state(connection, pids[0], "gone"), 3)


def test_migrating_knows_no_timeouts(connection: Connection, database_url: str) -> None:
    """A migration may last and wait longer than any request, whatever the database's timeouts are."""
    for name in ("lock_timeout", "statement_timeout", "transaction_timeout"):
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET {name} = '20ms'".encode())
    slow = ("9999_slow.sql", "SELECT pg_sleep(0.1); SELECT pg_sleep(0.1)")
    assert migrate(database_url, Schema.current().followed_by(slow)) == ["9999_slow.sql"]
