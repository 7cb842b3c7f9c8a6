"""Postgres goes away under load, in good order and not: what was answered is there, and nothing else."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from fairslot.coach_time.days import extend_days
from fairslot.platform import db
from fairslot.platform.db import Connection
from fairslot.platform.migrate import migrate
from local.postgres import EmbeddedPostgres
from tests.support.invariants import check_invariants, check_replay
from tests.support.processes import descendants
from tests.support.race import check_answers, wait_until
from tests.support.team import ALWAYS, add_calendar, add_coach

WORKERS = 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres of the test's own with eight coaches who share two calendars, from now on."""
    with EmbeddedPostgres(tmp_path) as server:
        migrate(server.url)
        with db.connect(server.url) as connection:
            coaches = [f"coach-{number}" for number in range(8)]
            for coach_id in coaches:
                add_coach(connection, coach_id, working_hours=ALWAYS, max_per_day=90)
            add_calendar(connection, "cal", coaches)
            add_calendar(connection, "long", coaches[:4], duration=60, buffer_after=15)
            extend_days(connection, now=datetime.now(UTC))
        yield server


class Workers:
    """Processes that change things until they are told to stop, and all that they say."""

    def __init__(self, url: str) -> None:
        self.said: list[dict[str, Any]] = []
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.support.booking_process", "load", str(seed)],
                env={**os.environ, "DATABASE_URL": url},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for seed in range(WORKERS)
        ]
        self.threads = [threading.Thread(target=partial(self._hear, one)) for one in self.processes]
        for thread in self.threads:
            thread.start()

    def _hear(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.said += map(json.loads, process.stdout)

    def await_more(self, number: int) -> None:
        """Wait for so many more answers."""
        enough = len(self.said) + number
        wait_until(lambda: len(self.said) >= enough or any(one.poll() for one in self.processes))

    def stop(self) -> list[dict[str, Any]]:
        """Let each finish what it is at; return all that was said."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        assert [process.wait(30) for process in self.processes] == [0] * WORKERS
        for thread in self.threads:
            thread.join()
        return self.said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process, thread in zip(self.processes, self.threads, strict=True):
            process.kill()
            thread.join()
            with process:
                pass  # closes its pipes


def check_keys(connection: Connection, said: list[dict[str, Any]]) -> None:
    """Assert that the kept answers are the given ones, all of them and no other."""
    rows = connection.execute(
        "SELECT key, engine.answer_of(type, after, answer) AS answer FROM changes WHERE key IS NOT NULL"
    ).fetchall()
    kept = {row["key"]: row["answer"] for row in rows}
    assert kept == {one["key"]: one["answer"] for one in said if "answer" in one}


def kill_all(server: EmbeddedPostgres) -> None:
    """Kill every process of a server at once, so that nobody writes what is still in memory."""
    assert server.pid is not None
    for pid in list(descendants(server.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server.ended)


def test_postgres_goes_away_under_load(server: EmbeddedPostgres) -> None:
    """After a restart and two crashes each answer exists, refusals did nothing, and nothing is half done."""
    with Workers(server.url) as workers:
        workers.await_more(60)
        server.stop()
        server.start()
        workers.await_more(60)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGQUIT)  # its immediate shutdown: recovery from the log
        wait_until(lambda: server.ended)
        server.start()
        workers.await_more(60)
        kill_all(server)
        server.start()
        workers.await_more(60)
        said = workers.stop()
    with db.connect(server.url) as connection:
        check_keys(connection, said)
        answers = [one["answer"] for one in said if one.get("kind") not in (None, "hold")]
        assert len({one["appointment_id"] for one in answers}) > 30
        check_answers(connection, answers)
        check_invariants(connection)
        check_replay(connection)
