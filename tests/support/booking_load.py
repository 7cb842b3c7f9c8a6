"""Clients that book as fast as a running stack takes it, and what becomes of the deliveries meanwhile."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from psycopg.rows import dict_row

from fairslot.coach_time.days import extend_days
from tests.support.http import add_key, booking_body
from tests.support.stack import Stack, wait_until
from tests.support.team import add_calendar, add_coach

KEY = "load-key"
COACHES = 40
# While the backlog grows: near to the limit of an attempt, which is five seconds locally.
SLOW_MS = [3_000, 3_000]
USUAL_MS = [50, 300]
# The last of 13 attempts comes after four minutes at the most, the fifth after a quarter of one.
DRAIN_SECONDS = 240.0
BACKLOG_SECONDS = 120.0
_COUNTS = b"""
SELECT count(*) AS made, count(*) FILTER (WHERE status = 'pending') AS waiting,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       (SELECT count(*) FROM coach_appointments) AS booked
  FROM webhook_deliveries"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run came to in the `seconds` in which it both booked and worked off a backlog.

    `before` and `after` are the deliveries that waited at its begin and end; `drained` is the seconds from
    its end, when nobody booked any more, until none waited.
    """

    seconds: float
    booked: int
    made: int
    ended: int
    before: int
    after: int
    drained: float
    failed: int

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{self.booked / self.seconds:.0f} bookings/s made {self.made / self.seconds:.0f} deliveries/s"
            f" and {self.ended / self.seconds:.0f}/s ended; waiting {self.before} before and {self.after}"
            f" after {self.seconds:.0f} s, none {self.drained:.1f} s later; {self.failed} failed"
        )


def add_team(stack: Stack) -> None:
    """Add the calendar `load`, whose team is not booked out, and wait until its coaches are read.

    No reading fails meanwhile: the next one comes after five minutes, and one of forty may fail by chance.
    """
    usual = stack.calendar.get("/control").raise_for_status().json()["failure_rate"]
    stack.calendar.post("/control", json={"failure_rate": 0}).raise_for_status()
    with psycopg.connect(stack.state["database_url"], autocommit=True, row_factory=dict_row) as connection:
        coaches = [f"load-{number}" for number in range(COACHES)]
        for coach_id in coaches:
            add_coach(connection, coach_id, max_per_day=100, kind="calendar_api")
        add_calendar(connection, "load", coaches)
        extend_days(connection, now=datetime.now(UTC))
        add_key(connection, KEY, rate_limit=10_000_000)
    wait_until(lambda: bool(_free(stack)) and not _page(stack)["stale"], 60, "the calendars are read")
    stack.calendar.post("/control", json={"failure_rate": usual}).raise_for_status()


def run(stack: Stack, *, clients: int, backlog: int, seconds: float) -> Run:
    """Book all the time: with slow partners until so many deliveries wait, then with the usual ones."""
    times, over = iter(_free(stack)), threading.Event()
    url = stack.state["database_url"]
    with (
        closing(psycopg.connect(url, autocommit=True, row_factory=dict_row)) as database,
        ThreadPoolExecutor(clients) as pool,
    ):

        def counts() -> dict[str, int]:
            return database.execute(_COUNTS).fetchone() or {}

        try:
            _take(stack, SLOW_MS)
            work = [pool.submit(_book, stack, times, over) for _ in range(clients)]
            wait_until(lambda: counts()["waiting"] >= backlog, BACKLOG_SECONDS, "a backlog")
            _take(stack, USUAL_MS)
            began, first = time.monotonic(), counts()
            time.sleep(seconds)
            took, last = time.monotonic() - began, counts()
        finally:
            over.set()
        for one in work:
            one.result()
        began = time.monotonic()
        wait_until(lambda: counts()["waiting"] == 0, DRAIN_SECONDS, "everything is delivered")
        drained = time.monotonic() - began
        made = last["made"] - first["made"]
        return Run(
            seconds=took,
            booked=last["booked"] - first["booked"],
            made=made,
            ended=made + first["waiting"] - last["waiting"],
            before=first["waiting"],
            after=last["waiting"],
            drained=drained,
            failed=counts()["failed"],
        )


def _take(stack: Stack, latency_ms: list[int]) -> None:
    """Let both partners take so many milliseconds for a call."""
    for partner in (stack.calendar, stack.crm):
        partner.post("/control", json={"latency_ms": latency_ms}).raise_for_status()


def _page(stack: Stack) -> dict[str, Any]:
    query: dict[str, str | int] = {"calendar_id": "load", "days": 30, "limit": 500}
    answer = stack.api.get("/api/availability", params=query, headers={"X-API-Key": KEY})
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _free(stack: Stack) -> list[str]:
    """Return starts on whole and half hours, each as often as there are coaches for it, in any order."""
    found = [
        slot["start_time"]
        for slot in _page(stack)["slots"]
        if slot["start_time"][14:16] in {"00", "30"}
        for _ in range(slot["available_coaches"])
    ]
    random.shuffle(found)
    return found


def _book(stack: Stack, times: Iterator[str], over: threading.Event) -> None:
    """Book one time after another until it is over."""
    headers = {"X-API-Key": KEY}
    with httpx.Client(base_url=stack.api.base_url, headers=headers, timeout=30, trust_env=False) as client:
        while not over.is_set():
            answer = client.post(
                "/api/appointments",
                headers={"X-Idempotency-Key": str(uuid4())},
                json=booking_body(next(times), calendar_id="load"),
            )
            assert answer.status_code in {httpx.codes.CREATED, httpx.codes.CONFLICT}, answer.text
