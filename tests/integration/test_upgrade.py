"""A database that is in use is brought up to date, and nobody notices.

The last release is kept as a dump: what is current begins there. Two made-up releases follow.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg
import pytest

from fairslot.coach_time.days import extend_days
from fairslot.platform import db
from fairslot.platform.migrate import FUNCTIONS, migrate
from local.postgres import EmbeddedPostgres
from tests.support.bookings import book
from tests.support.clock import HOUR, NINE, NOW
from tests.support.endpoints import add_endpoint
from tests.support.invariants import check_invariants, check_replay
from tests.support.race import wait_until, waiting
from tests.support.releases import ReleaseClient, last_release, restore
from tests.support.tables import count
from tests.support.team import add_team, set_coach
from tests.support.upgrades import CONTRACTS, EXPANDS, Client, dump, edited, releases

CLIENTS = 3
ROUNDS = 3  # of each client before a step, and after it

type NewDatabase = Callable[[], str]

_numbers = itertools.count()


@pytest.fixture
def new_database(postgres: EmbeddedPostgres) -> NewDatabase:
    """Make an empty database."""

    def make() -> str:
        name = f"upgrade_{next(_numbers)}"
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return postgres.url_of(name)

    return make


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    """The first release's database, with a team and partners."""
    url = new_database()
    migrate(url, releases()[0])
    with db.connect(url) as connection:
        add_team(connection, 3)
        add_endpoint(connection, "crm", "appointment.*")
    return url


@pytest.fixture
def clients(url: str) -> Iterator[list[Client]]:
    """Clients of the first release, at work; what one met makes the test fail."""
    working = [Client(url, NINE + number * HOUR) for number in range(CLIENTS)]
    yield working
    for client in working:
        client.stop()


def rounds(clients: "Sequence[Client | ReleaseClient]") -> None:
    """Wait until each client has done some more rounds, or one has met an error."""
    until = [client.rounds + ROUNDS for client in clients]
    wait_until(
        lambda: (
            any(client.error for client in clients)
            or all(client.rounds >= enough for client, enough in zip(clients, until, strict=True))
        )
    )


def test_clients_go_on_while_each_step_is_applied(url: str, clients: list[Client]) -> None:
    """Who books, holds, cancels and delivers with the old code meets no error, and all of it is right."""
    _, second, third = releases()
    for release, applied in ((second, [EXPANDS[0], FUNCTIONS]), (third, [CONTRACTS[0], FUNCTIONS])):
        rounds(clients)
        assert migrate(url, release) == applied
        rounds(clients)
    for client in clients:
        client.stop()
    with db.connect(url) as connection:
        check_invariants(connection)
        check_replay(connection)


def test_clients_go_on_while_functions_change_again_and_again(url: str, clients: list[Client]) -> None:
    """However a change of the functions falls into their work, forth and back."""
    first = releases()[0]
    for number in range(20):
        other = first.followed_by(functions=edited(first.functions, f"number {number % 2}"))
        assert migrate(url, other) == [FUNCTIONS]
    rounds(clients)


@pytest.mark.parametrize("work", [book, partial(extend_days, now=NOW)], ids=["book", "cut days anew"])
def test_a_statement_under_way_goes_on_over_a_change(
    url: str, work: Callable[[db.Connection], object]
) -> None:
    """A statement that waits for a lock when the functions change finds those that it calls next."""
    first, second, _ = releases()
    with (
        db.connect(url) as one,
        db.connect(url) as gate,
        db.connect(url) as watcher,
        ThreadPoolExecutor(1) as pool,
    ):
        set_coach(watcher, "coach-01", time_zone="Europe/Berlin")
        with gate.transaction():
            gate.execute("SELECT engine.lock_calendar('cal')")
            outcome = pool.submit(work, one)
            wait_until(lambda: waiting(watcher, [one]) == 1)
            migrate(url, first.followed_by(functions=second.functions[:-1]))
        outcome.result()


def test_a_step_that_meets_a_deadlock_begins_again(url: str) -> None:
    """Where a request waits for the step, and the step for the request, it is the step that gives way.

    Unless a busy machine lets the request wait so late that the server looks at it first: then once more.
    """
    release = releases()[0]
    with db.connect(url) as request, db.connect(url) as watcher, ThreadPoolExecutor(1) as pool:
        for number in range(5):
            text = f"LOCK TABLE calendars; ALTER TABLE coaches ADD COLUMN c{number} text"
            release = release.followed_by((f"0003_locks_{number}.sql", text))
            gave_way = True
            try:
                with request.transaction():
                    request.execute("SELECT FROM coaches")
                    outcome = pool.submit(migrate, url, release)
                    wait_until(lambda: waiting_steps(watcher) == 1)
                    request.execute("SELECT FROM calendars")
            except psycopg.errors.DeadlockDetected:
                gave_way = False
            assert outcome.result() == [f"0003_locks_{number}.sql"]
            if gave_way:
                return
    pytest.fail("the request was the one that gave way, five times")


def waiting_steps(connection: db.Connection) -> int:
    """Return how many steps wait for the table of coaches."""
    row = connection.execute(
        "SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND relation = 'coaches'::regclass"
    ).fetchone()
    return int(row["n"]) if row else 0


def test_a_step_that_fails_leaves_everything_as_it_was(url: str, clients: list[Client]) -> None:
    """Its tables, its functions and its line in the ledger; and the clients go on."""
    second = releases()[1]
    before = dump(url)
    failing = second.followed_by(("0004_fails.sql", "ALTER TABLE calendars ADD COLUMN c text; SELECT 1 / 0"))
    broken = second.followed_by(functions=[*second.functions, ("99.sql", "SELECT engine.nothing()")])
    for step in (failing, broken):
        rounds(clients)
        with pytest.raises(psycopg.Error):
            migrate(url, step)
        rounds(clients)
        assert dump(url) == before
    assert migrate(url, second) == [EXPANDS[0], FUNCTIONS]


def restored(url: str, other: str) -> str:
    """Return a database's schema after it was restored, by which conditions are written in one way."""
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute(dump(url).encode())
    return dump(other)


def test_the_last_release_becomes_what_is_current(new_database: NewDatabase) -> None:
    """It is as a fresh database, what was booked before is right, and work goes on."""
    upgraded, fresh = new_database(), new_database()
    restore(upgraded, last_release())
    migrate(upgraded)
    migrate(fresh)
    assert restored(upgraded, new_database()) == restored(fresh, new_database())
    with db.connect(upgraded) as connection:
        assert count(connection, "coach_appointments", "status = 'scheduled'") == 2
        book(connection, NINE + 2 * HOUR)
        check_invariants(connection)
        check_replay(connection)


def test_weeks_that_were_full_before_stay_full(new_database: NewDatabase) -> None:
    """The last release did not keep which weeks and months refuse appointments."""
    url = new_database()
    restore(url, last_release())
    with db.connect(url) as connection:
        connection.execute(
            "UPDATE coaches SET max_per_week = 1, max_minutes_per_week = 90, max_per_month = 100"
        )
        migrate(url)
        assert 0 < count(connection, "tight_periods") < count(connection, "coach_periods")
        check_invariants(connection, lowered=True)


def test_the_last_release_s_code_goes_on_while_what_is_current_is_applied(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    """It books, holds, cancels and delivers on its own schema and on the next one, and meets no error."""
    url = new_database()
    restore(url, last_release())
    clients = [ReleaseClient(url, hour, tmp_path / f"{hour}") for hour in range(1, 1 + CLIENTS)]
    try:
        rounds(clients)
        assert FUNCTIONS in migrate(url)
        rounds(clients)
    finally:
        for client in clients:
            client.stop()
    with db.connect(url) as connection:
        assert count(connection, "coach_appointments", "status = 'scheduled'") == 2
        check_invariants(connection)
        check_replay(connection)


def test_a_fresh_and_an_upgraded_database_are_the_same(new_database: NewDatabase) -> None:
    """Whichever way it came about: release by release, or at once."""
    upgraded, fresh = new_database(), new_database()
    for release in releases():
        migrate(upgraded, release)
    migrate(fresh, releases()[-1])
    assert dump(upgraded) == dump(fresh)
    assert "FUNCTION engine.book(" in dump(fresh)
