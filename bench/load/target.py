"""The running stack that gets the load, and the calendars that are made for it."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from psycopg.rows import dict_row

from fairslot.coach_time.days import extend_days
from fairslot.platform import db
from local.stack_options import StackOptions
from tests.support.http import add_key
from tests.support.team import add_calendar, add_coach

HOT_COACHES = 40
SPREAD_CALENDARS = 8
SPREAD_COACHES = 6
_MINUTES = 15
_READ_SECONDS = 120.0
_PAUSE_SECONDS = 0.25
# The load books with partners, fills calendars and writes into the database: not for anybody's own.
_OWN_PROGRAMS = {"postgres", "valkey", "calendar_api", "crm"}


class TargetError(Exception):
    """There is no stack that may get the load."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A running stack: its state file's content, and an API key without a limit."""

    state: Mapping[str, Any]
    key: str

    @property
    def url(self) -> str:
        """The address of the HTTP front."""
        return str(self.state["gateway"])

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"X-API-Key": self.key}

    @property
    def names(self) -> dict[int, str]:
        """The names of the programs that it runs beside the functions, by process id."""
        return {pid: name for name, pid in self.state["pids"].items()} | {self.state["pid"]: "the stack"}

    def connect(self) -> db.Connection:
        """Return a connection to its database whose statements and transactions may take long."""
        return psycopg.connect(
            self.state["database_url"],
            autocommit=True,
            row_factory=dict_row,
            options="-c statement_timeout=0 -c transaction_timeout=0",
        )


@dataclass(frozen=True, kw_only=True)
class Calendars:
    """The calendars of a run: one that gets half of the requests, and those that share the rest."""

    hot: str
    spread: Sequence[str]

    @property
    def all(self) -> list[str]:
        """All their ids."""
        return [self.hot, *self.spread]


def find(environment: Mapping[str, str]) -> Target:
    """Return the stack that runs on FAIRSLOT_DATA, with a new API key.

    Raises:
        TargetError: none runs there, or it uses a database or partners that are not its own.

    """
    data = StackOptions.from_environment(environment).data
    try:
        state = json.loads((data / "stack.json").read_text("utf-8"))
        os.kill(state["pid"], 0)
    except (OSError, ValueError) as error:
        raise TargetError(f"no stack runs on {data}: start it with `make run`, same FAIRSLOT_DATA") from error
    foreign = _OWN_PROGRAMS - set(state["pids"])
    if foreign:
        raise TargetError(f"the stack uses a {', '.join(sorted(foreign))} of yours: load is for its own only")
    target = Target(state=state, key=f"load-{uuid4().hex}")
    with target.connect() as connection:
        add_key(connection, target.key, rate_limit=10_000_000)
    return target


def add_calendars(
    target: Target,
    *,
    hot: int = HOT_COACHES,
    spread: int = SPREAD_CALENDARS,
    coaches: int = SPREAD_COACHES,
) -> Calendars:
    """Make the calendars and coaches of a run, and wait until the coaches' external calendars are read.

    Raises:
        TargetError: they are not read in time.

    """
    run = f"load-{uuid4().hex[:8]}"
    teams = {f"{run}-hot": hot} | {f"{run}-{number}": coaches for number in range(spread)}
    with _without_faults(target):
        # At once: a coach whose calendar is read before there are days waits for the next sync.
        with target.connect() as connection, connection.transaction():
            for calendar_id, size in teams.items():
                team = [f"{calendar_id}-coach-{number}" for number in range(size)]
                for coach_id in team:
                    add_coach(connection, coach_id, max_per_day=100, kind="calendar_api")
                add_calendar(connection, calendar_id, team, duration=_MINUTES)
            extend_days(connection, now=datetime.now(UTC))
        _wait_until_read(target, list(teams))
    return Calendars(hot=f"{run}-hot", spread=[name for name in teams if name != f"{run}-hot"])


@contextmanager
def _without_faults(target: Target) -> Iterator[None]:
    """Let the calendar API fail nobody: a coach who could not be read is read again five minutes later."""
    control = f"{target.state['partners']['calendar_api']}/control"
    before = httpx.get(control, trust_env=False).raise_for_status().json()["failure_rate"]
    httpx.post(control, json={"failure_rate": 0}, trust_env=False).raise_for_status()
    try:
        yield
    finally:
        httpx.post(control, json={"failure_rate": before}, trust_env=False).raise_for_status()


def _wait_until_read(target: Target, calendars: Sequence[str]) -> None:
    deadline = time.monotonic() + _READ_SECONDS
    with httpx.Client(base_url=target.url, headers=target.headers, timeout=30, trust_env=False) as client:
        for calendar_id in calendars:
            while (
                client.get("/api/availability", params={"calendar_id": calendar_id}).json().get("stale", True)
            ):
                if time.monotonic() > deadline:
                    raise TargetError(
                        f"{calendar_id} is not read after {_READ_SECONDS:.0f} s: {_unread(target)}"
                    )
                time.sleep(_PAUSE_SECONDS)


def _unread(target: Target) -> list[Any]:
    with target.connect() as connection:
        return connection.execute(
            "SELECT coach_id, requested_at, failed_at, error FROM coach_syncs WHERE synced_at IS NULL"
        ).fetchall()
