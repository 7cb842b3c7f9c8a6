"""One effect for an idempotency key, whatever is asked for and however many ask at the same moment."""

from collections.abc import Callable
from functools import partial

import pytest

from fairslot.domain.errors import IdempotencyKeyReusedError
from fairslot.domain.idempotency import Key
from fairslot.platform.db import Connection
from tests.support.bookings import CHANGES, IDEMPOTENCY_KEY, book, change_of
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants, check_replay
from tests.support.race import Outcome, at_once, booked, patiently, wait_until, waiting
from tests.support.tables import count
from tests.support.team import add_calendar, add_team

CLIENTS = 6


def all_at_once(
    connection: Connection,
    works: list[tuple[Connection, Callable[[], Outcome]]],
    lock: bytes = b"SELECT engine.lock_calendar(calendar_id) FROM calendars",
) -> list[Outcome]:
    """Start all pieces of work, hold them up by a lock until each client waits, and let them go."""
    clients = [client for client, _ in works]

    def let_go() -> Outcome | None:
        wait_until(lambda: waiting(connection, clients) == len(clients))
        connection.execute("COMMIT")
        return None

    connection.execute("BEGIN")
    connection.execute(lock)
    outcomes: list[Callable[[], Outcome | None]] = [work for _, work in works]
    return [one for one in at_once([*outcomes, let_go]) if one is not None]


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_change_at_once_is_made_once(connection: Connection, connect: Connect, name: str) -> None:
    """Of six with one key one makes the change, and the others are told the same."""
    add_team(connection, 3)
    change = change_of(connection, name)
    clients = [connect() for _ in range(CLIENTS)]
    outcomes = all_at_once(
        connection,
        [(client, partial(patiently, partial(change, client, key=IDEMPOTENCY_KEY))) for client in clients],
    )
    done = booked(outcomes)
    assert len(done) == CLIENTS, outcomes
    assert sum(not one.replayed for one in done) == 1
    assert all(one.answer == done[0].answer for one in done)
    check_invariants(connection)
    check_replay(connection)


def test_one_key_on_two_calendars_is_one_booking(connection: Connection, connect: Connect) -> None:
    """Requests that share nothing but the key have one effect: the others are refused."""
    names = [f"cal-{n}" for n in range(CLIENTS)]
    for name, coach_id in zip(names, add_team(connection, CLIENTS), strict=True):
        add_calendar(connection, name, [coach_id])

    def work(client: Connection, name: str) -> Outcome:
        key = Key(value="key", fingerprint=name.encode())
        return patiently(lambda: book(client, calendar_id=name, key=key))

    clients = [connect() for _ in names]
    outcomes = all_at_once(
        connection,
        [(client, partial(work, client, name)) for client, name in zip(clients, names, strict=True)],
        lock=b"SELECT FROM coach_slots FOR UPDATE",  # each has looked for the key when it comes there
    )
    assert len(booked(outcomes)) == 1
    assert sum(isinstance(one, IdempotencyKeyReusedError) for one in outcomes) == CLIENTS - 1
    assert count(connection, "coach_appointments") == 1
    check_invariants(connection)
    check_replay(connection)
