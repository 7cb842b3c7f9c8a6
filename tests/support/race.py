"""Doing things at the same moment, and telling what came of each."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from fairslot.domain.errors import FairslotError
from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection, translate

type Outcome = ChangeResult | FairslotError

_ATTEMPTS = 50
_PAUSE = threading.Event()  # never set: waiting for it is a pause


def attempt(work: Callable[[], ChangeResult]) -> Outcome:
    """Return what a piece of work gives or is refused with; a deadlock is neither."""
    try:
        return work()
    except psycopg.Error as error:
        return _refusal(error)


def patiently(work: Callable[[], ChangeResult]) -> Outcome:
    """Do as `db.run`: who lost the race for a key, or the order of locks, asks again, but not for ever."""
    for _ in range(_ATTEMPTS):
        try:
            return work()
        except psycopg.Error as error:
            if error.sqlstate != "40001" and error.diag.constraint_name != "changes_key":
                return _refusal(error)
    raise AssertionError("asked again and again")


def refused(work: Callable[[], object]) -> FairslotError:
    """Return the error with which the database refuses a piece of work."""
    with pytest.raises(psycopg.Error) as caught:
        work()
    return _refusal(caught.value)


def sqlstate(work: Callable[[], object]) -> str | None:
    """Return the SQLSTATE that a piece of work ends with, if it fails."""
    try:
        work()
    except psycopg.Error as error:
        return error.sqlstate
    return None


def at_once[T](works: Sequence[Callable[[], T]]) -> list[T]:
    """Start all pieces of work at the same moment and return what each returned, or raise what one raised."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], T]) -> T:
        gate.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def timed(work: Callable[[], Outcome]) -> tuple[Outcome, float]:
    """Return what a piece of work returns and how many seconds it took."""
    begun = time.monotonic()
    return work(), time.monotonic() - begun


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition; AssertionError when it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        _PAUSE.wait(0.002)


def waiting(connection: Connection, clients: Collection[Connection]) -> int:
    """Return how many of the clients wait for a lock now."""
    pids = [client.info.backend_pid for client in clients]
    row = connection.execute(
        "SELECT count(DISTINCT pid) AS n FROM pg_locks WHERE NOT granted AND pid = ANY (%s)", (pids,)
    ).fetchone()
    return int(row["n"]) if row else 0


def booked(outcomes: Collection[Outcome]) -> list[ChangeResult]:
    """Return the successes."""
    return [one for one in outcomes if isinstance(one, ChangeResult)]


def check_answers(
    connection: Connection, answers: list[dict[str, Any]], *, moved: Sequence[dict[str, Any]] = ()
) -> None:
    """Assert that each answer given was true when it was given, and the last one of each still is.

    Those `moved` may be answers given before: a move to where an appointment is changes nothing.
    """
    answers = list(answers)
    for one in moved:
        # A booking was answered with a part of what a move is.
        if not any(said.items() <= one.items() for said in answers):
            answers.append(one)
    events = {
        (str(row["appointment_id"]), row["version"]): row["data"]
        for row in connection.execute(
            "SELECT appointment_id, version, engine.event_data(c) AS data FROM changes AS c"
            " WHERE type LIKE 'appointment.%'"
        )
    }
    told = Counter((answer["appointment_id"], answer["version"]) for answer in answers)
    assert told.keys() == events.keys()
    assert set(told.values()) == {1}, "one change, one answer"
    for answer in answers:
        said = events[answer["appointment_id"], answer["version"]]
        for name in ("coach_id", "calendar_id", "start_time", "end_time", "status"):
            assert said[name] == answer[name]
    last = {answer["appointment_id"]: answer for answer in sorted(answers, key=lambda one: one["version"])}
    rows = connection.execute(
        "SELECT engine.appointment_json(engine.image_of(a)) AS now FROM coach_appointments AS a"
        " WHERE status <> 'held'"
    )
    found = {row["now"]["appointment_id"]: row["now"] for row in rows}
    # A booking is answered with a part of the appointment.
    assert {one: {name: found[one][name] for name in said} for one, said in last.items()} == last
    assert found.keys() == last.keys()


def _refusal(error: psycopg.Error) -> FairslotError:
    assert error.sqlstate != "40P01", f"a deadlock: {error}"
    said = translate(error)
    assert isinstance(said, FairslotError), repr(error)
    return said
