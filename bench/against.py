"""Bookings and pages of this checkout against those of another commit, over HTTP, in turns.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.against COMMIT

The other commit is checked out and installed in a temporary folder. Both run side by side, with the demo
data, partners without faults, and nothing set that the other does not know. One client asks first one and
then the other, so that whatever disturbs the machine disturbs both.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from bench.figures import range_of
from local.processes import free_port

ROUNDS, CALLS = 10, 30
WARM_UP = 30
_READ_SECONDS = 60  # for the coaches' external calendars
KEY = "prod-key-789"
_ROOT = Path(__file__).parents[1]
_CALM = {
    "CRM_FAILURE_RATE": "0",
    "CRM_HANG_RATE": "0",
    "CALENDAR_FAILURE_RATE": "0",
    "MAX_REQUESTS_PER_ADDRESS": "10000000",
}


@dataclass(frozen=True)
class Side:
    """A running stack, and the starts that are still to be tried on it."""

    api: httpx.Client
    starts: list[str]

    def page(self) -> bool:
        """Ask for a page of a week; no cache knows these bounds."""
        now = datetime.now(UTC)
        query = {"calendar_id": "cal-1", "start": now.isoformat(), "end": _later(now, days=7)}
        return self.api.get("/api/availability", params=query).raise_for_status().is_success

    def same_page(self) -> bool:
        """Ask for a page of a week that was asked for before."""
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        query = {
            "calendar_id": "cal-1",
            "start": _later(today, days=1),
            "end": _later(today, days=8),
        }
        return self.api.get("/api/availability", params=query).raise_for_status().is_success

    def book(self) -> bool:
        """Book the next start; false if it was refused, as nobody is free."""
        body: dict[str, Any] = {
            "calendar_id": "cal-1",
            "start_time": self.starts.pop(),
            "contact_email": f"{uuid4().hex}@example.com",
            "contact_name": "Ada",
        }
        answer = self.api.post("/api/appointments", json=body, headers={"X-Idempotency-Key": uuid4().hex})
        return answer.status_code == httpx.codes.CREATED


def main(commit: str) -> int:
    """Print how long each takes here, of what it takes there."""
    with (
        tempfile.TemporaryDirectory() as folder,
        checkout(commit, Path(folder) / "tree") as other,
        _running(other, Path(folder) / "other") as before,
        _running(_ROOT, Path(folder) / "this") as now,
    ):
        for name in ("same_page", "page", "book"):
            rounds = [_round(getattr(now, name), getattr(before, name)) for _ in range(ROUNDS)]
            ratios = [here / there for here, there in rounds]
            here, there = (statistics.median(side) * 1000 for side in zip(*rounds, strict=True))
            print(
                f"{name}: {statistics.median(ratios):.2f} times that of {commit} ({range_of(ratios)}),"
                f" {here:.2f} against {there:.2f} ms"
            )
    return 0


def _round(one: Callable[[], bool], other: Callable[[], bool]) -> tuple[float, float]:
    """Return the median seconds of both sides' calls that were granted."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(CALLS):
        for side, work in ((0, one), (1, other)) if number % 2 else ((1, other), (0, one)):
            begun = time.perf_counter()
            if work():
                took[side].append(time.perf_counter() - begun)
    return statistics.median(took[0]), statistics.median(took[1])


def _later(instant: datetime, **how_long: int) -> str:
    return (instant + timedelta(**how_long)).isoformat()


@contextmanager
def checkout(commit: str, folder: Path) -> Iterator[Path]:
    """Check a commit out, and install it."""
    _do(_ROOT, "git", "worktree", "add", "--quiet", "--detach", str(folder), commit)
    try:
        _do(folder, "make", "install")
        yield folder
    finally:
        _do(_ROOT, "git", "worktree", "remove", "--force", str(folder))


def _do(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # git and make


@contextmanager
def _running(tree: Path, data: Path) -> Iterator[Side]:
    """Run the whole system of a checkout, as a person does."""
    ports = {name: str(free_port()) for name in ("PORT", "CALENDAR_PORT", "CRM_PORT")}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        ["make", "run"],  # noqa: S607
        cwd=tree,
        env=environment | _CALM | ports | {"FAIRSLOT_DATA": str(data)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        for line in process.stdout or ():
            if line.startswith("ready"):
                break
        state = json.loads((data / "stack.json").read_text("utf-8"))
        with psycopg.connect(state["database_url"], autocommit=True) as connection:
            connection.execute("UPDATE api_keys SET rate_limit = 100000000")
        with httpx.Client(base_url=state["gateway"], headers={"X-API-Key": KEY}, timeout=30) as api:
            side = Side(api, _starts(api))
            for _ in range(WARM_UP):
                side.page(), side.same_page(), side.book()
            yield side
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _starts(api: httpx.Client) -> list[str]:
    """Return the starts of weeks to come, the first one last."""
    now = datetime.now(UTC)
    query = {"calendar_id": "cal-1", "start": _later(now, days=1), "end": _later(now, days=50)}
    for _ in range(_READ_SECONDS):
        found = api.get("/api/availability", params={**query, "limit": "500"}).raise_for_status().json()
        if len(found["slots"]) > WARM_UP + ROUNDS * CALLS:
            break
        time.sleep(1)
    return [one["start_time"] for one in reversed(found["slots"])]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
