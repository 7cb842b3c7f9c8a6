"""Without Valkey, after a crash and within its bounds what is kept answers as the database does."""

import os
import random
import signal
import threading
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from redis import Redis

from fairslot.coach_time.kept_teams import KeptTeams, page_key
from fairslot.coach_time.read_model import fold_changes
from fairslot.domain.slots import instant_of
from fairslot.platform import db
from fairslot.platform.db import Connection
from fairslot.platform.migrate import migrate
from local.postgres import EmbeddedPostgres
from local.valkey import EmbeddedValkey
from tests.support.availability import list_page
from tests.support.bookings import appointment_of, book, cancel
from tests.support.clock import HOUR, MINUTE, NINE, NOW
from tests.support.fixtures import Connect, Environment
from tests.support.invariants import check_invariants
from tests.support.kept_teams import close_horizons, entry_of, listed, value_of
from tests.support.race import at_once, wait_until
from tests.support.team import TENANT, add_calendar, set_coach


def test_without_valkey_pages_are_as_exact(
    team: Connection, environment: Environment, valkey: EmbeddedValkey
) -> None:
    """Down, or accepting and never answering."""
    environment(REDIS_URL="redis://127.0.0.1:1")
    kept = KeptTeams()
    listed(team, kept)
    book(team, NINE)
    assert listed(team, kept) == listed(team, KeptTeams()) == listed(team)


def test_what_is_kept_is_void_with_its_key(team: Connection, cache: Redis) -> None:
    """In the process and in Valkey: a crash loses the key, and then transaction numbers may come again."""
    kept = KeptTeams()
    listed(team, kept)
    team.execute("DELETE FROM page_keys")
    close_horizons(team)
    assert listed(team, kept).total == 0
    assert listed(team, KeptTeams()).total == 0


def test_a_copy_of_the_key_is_none(team: Connection) -> None:
    """As in a restored dump, whose transactions are those of another server."""
    kept = KeptTeams()
    listed(team, kept)
    team.execute("UPDATE page_keys SET only_one = true")
    close_horizons(team)
    assert listed(team, kept).total == 0


def test_a_crash_takes_the_key(tmp_path: Path) -> None:
    """And a clean restart leaves it."""
    with EmbeddedPostgres(tmp_path) as server:
        migrate(server.url)
        key = key_of(server.url)
        server.stop()
        server.start()
        assert key_of(server.url) == key
        assert server.pid is not None
        os.kill(server.pid, signal.SIGQUIT)  # its immediate shutdown: recovery from the log
        wait_until(lambda: server.ended)
        server.start()
        assert key_of(server.url) != key


def key_of(url: str) -> str:
    """Return the key of a database."""
    with db.connect(url) as connection:
        return page_key(connection)


def test_what_is_kept_is_bounded_by_bytes(team: Connection, environment: Environment) -> None:
    """The least recently used goes first; what is larger than all is not kept."""
    for number in range(5):
        add_calendar(team, f"cal-{number}", ["coach-01"])
    environment(PAGE_CACHE_BYTES="90000")
    kept = KeptTeams()
    for number in range(5):
        list_page(team, f"cal-{number}", kept=kept)
        assert (TENANT, f"cal-{number}") in kept
        assert kept.size <= 90_000
    assert (TENANT, "cal-0") not in kept
    environment(PAGE_CACHE_BYTES="100")
    assert list_page(team, kept=kept) == list_page(team)
    assert kept.size == 0


def test_what_is_kept_lives_for_a_quarter_of_an_hour(team: Connection, cache: Redis) -> None:
    """Longer and changes could be missed that are deleted."""
    kept = KeptTeams()
    listed(team, kept)
    close_horizons(team)
    assert listed(team, kept, now=NOW + 15 * MINUTE).total > 0
    assert listed(team, KeptTeams(), now=NOW + 15 * MINUTE).total > 0
    cached = value_of(cache, entry_of(cache))
    assert listed(team, kept, now=NOW + 16 * MINUTE).total == 0
    cache.set(entry_of(cache), cached)
    assert listed(team, KeptTeams(), now=NOW + 16 * MINUTE).total == 0


def test_no_page_is_older_than_an_answer_before_it(team: Connection, connect: Connect, cache: Redis) -> None:
    """Clients book and cancel through two calendars while others list: each page has what was answered."""
    coaches = ["coach-01", "coach-02", "coach-03"]
    set_coach(team, max_per_day=99)
    team.execute("UPDATE coach_slots SET max_per_day = 99")
    add_calendar(team, "also", coaches)
    # What each client's last answer said of a (coach, start); only that client changes it.
    taken: dict[tuple[str, datetime], object] = {}
    done = threading.Event()
    pages = [0]

    def write(number: int) -> None:
        connection, mine = connect_lock(), []
        for step in range(40):
            start = NINE + number * HOUR * 2 + (step % 3) * HOUR / 2 + (step // 12) * timedelta(days=1)
            with suppress(psycopg.Error):
                made = book(connection, start, calendar_id=("cal", "also")[step % 2])
                coach_id = appointment_of(made).coach_id
                taken[coach_id, start] = object()
                mine.append((made, coach_id, start))
            if step % 4 == 3 and mine:
                made, coach_id, start = mine.pop(0)
                taken.pop((coach_id, start))
                cancel(connection, made)
            if step % 10 == 9:
                fold_changes(connection)

    def read(seed: int) -> None:
        connection, kept, draw = connect_lock(), KeptTeams(), random.Random(seed)  # noqa: S311
        while not done.is_set():
            if draw.random() < 0.1:
                kept = KeptTeams()
            before = dict(taken)
            page = listed(connection, kept)
            free = {(coach, instant_of(one.slot)) for one in page.starts for coach in one.coach_ids or ()}
            after = dict(taken)
            still = {key for key, which in before.items() if after.get(key) is which}
            assert not still & free
            pages[0] += 1

    lock = threading.Lock()

    def connect_lock() -> Connection:
        with lock:
            return connect()

    def write_all() -> None:
        try:
            at_once([lambda n=n: write(n) for n in range(4)])  # type: ignore[misc]
        finally:
            done.set()

    at_once([write_all, lambda: read(1), lambda: read(2)])
    assert pages[0] > 5
    assert listed(team, KeptTeams()) == listed(team)
    check_invariants(team)
