"""How long calls of the stand-in calendar take."""

import sqlite3
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from tests.support.partner_process import partner


def test_calls_take_no_longer_with_many_blocks(tmp_path: Path) -> None:
    """With 20,000 blocks of a coach a block, and a reading, take about as long as with none."""
    with partner("calendar_api", tmp_path) as client:
        first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=500)
        numbers = iter(range(1_000_000))

        def block(coach: str) -> httpx.Response:
            start = first + timedelta(hours=next(numbers))
            times = {"start_time": start.isoformat(), "end_time": (start + timedelta(minutes=5)).isoformat()}
            return client.post(f"/coaches/{coach}/block-slot", json=times)

        def read(coach: str) -> httpx.Response:
            return client.get(f"/coaches/{coach}/availability", params={"days": 30})

        _add_blocks(tmp_path, "busy", first + timedelta(minutes=30), 20_000)
        for call in (block, read):
            idle, busy = _medians(call, "idle", "busy")
            assert busy < 4 * idle, (call.__name__, busy, idle)


def _add_blocks(data: Path, coach: str, first: datetime, count: int) -> None:
    """Put blocks of ten minutes, one an hour, straight into a stand-in's database."""
    rows = []
    for number in range(count):
        start = first + timedelta(hours=number)
        times = [one.isoformat().replace("+00:00", "Z") for one in (start, start + timedelta(minutes=10))]
        rows.append((f"blk_{number}", coach, *times, times[0]))
    with sqlite3.connect(data / "calendar_api.sqlite") as database:
        database.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, NULL)", rows)
    database.close()


def _medians(call: Callable[[str], httpx.Response], *coaches: str) -> list[float]:
    """Return the median seconds of calls for each coach, who take turns."""
    took: dict[str, list[float]] = {coach: [] for coach in coaches}
    for _ in range(15):
        for coach in coaches:
            began = time.perf_counter()
            assert call(coach).status_code == 200
            took[coach].append(time.perf_counter() - began)
    return [statistics.median(took[coach]) for coach in coaches]
