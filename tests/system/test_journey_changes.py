"""What customers change, through to the coaches' own calendars and back."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.support.clock import QUARTER
from tests.support.stack import Stack, appointments, blocks, book, tell, wait_until

READ_SECONDS = 10.0
COACHES = [f"coach-{number}" for number in range(1, 7)]


def free(stack: Stack, calendar_id: str) -> dict[datetime, set[str]]:
    """Return who of a calendar's team can be had when, by start."""
    query: dict[str, str | int] = {"calendar_id": calendar_id, "days": 30, "include": "coaches"}
    page = stack.api.get("/api/availability", params=query).json()
    return {datetime.fromisoformat(one["start_time"]): set(one["coach_ids"]) for one in page["slots"]}


def text(instant: datetime) -> str:
    """Write an instant as the API does."""
    return instant.isoformat().replace("+00:00", "Z")


def read_again(stack: Stack, calendar_id: str) -> None:
    """Have the coaches' calendars read until what was read is later than now, to the second, and stored."""
    asked = datetime.now(UTC)
    told_at = -math.inf

    def is_read() -> bool:
        nonlocal told_at
        # A change is read once in ten seconds; a reading that failed is asked for again.
        if time.monotonic() - told_at > READ_SECONDS:
            told_at = time.monotonic()
            for coach_id in COACHES:
                tell(stack, "coach.calendar_changed", coach_id)
        page = stack.api.get("/api/availability", params={"calendar_id": calendar_id, "days": 1}).json()
        return datetime.fromisoformat(page["synced_at"]) > asked

    wait_until(is_read, 30, "the calendars are read again")


def appointment_of(stack: Stack, appointment_id: str) -> dict[str, Any]:
    """Return an appointment."""
    return appointments(stack)[appointment_id]


def is_blocked(stack: Stack, *ids: str) -> Callable[[], bool]:
    """Make a condition: every appointment has its block, at its time, and none is a conflict."""

    def holds() -> bool:
        known = appointments(stack)
        assert not any(known[one]["conflict"] for one in ids)
        there = {(one["block_id"], one["coach_id"], one["start_time"]) for one in blocks(stack)}
        return all(
            (known[one]["external_calendar_id"], known[one]["coach_id"], known[one]["start_time"]) in there
            for one in ids
        )

    return holds


def reasons(stack: Stack, calendar_id: str, start: datetime) -> dict[str, str | None]:
    """Return what explain says of each coach at an instant."""
    query = {"calendar_id": calendar_id, "start_time": text(start)}
    answer = stack.api.get("/api/availability/explain", params=query)
    return {one["coach_id"]: one["reason"] for one in answer.json()["coaches"]}


@contextmanager
def releases(stack: Stack, **faults: Any) -> Iterator[None]:
    """Let the calendar be slow or failing where it is to release a block, and nowhere else."""
    before = stack.calendar.get("/control").json()
    assert stack.calendar.post("/control", json={"only": "release-slot", **faults}).status_code == 200
    try:
        yield
    finally:
        stack.calendar.post("/control", json=before)


def test_an_appointment_moves_within_its_own_block(stack: Stack) -> None:
    """The calendar shows our block, releasing it fails at first, and a quarter later is no conflict."""
    team = free(stack, "cal-1")
    start = next(
        at
        for at in reversed(team)
        if team[at] and team[at] <= team.get(at + QUARTER, set()) & team.get(at + 2 * QUARTER, set())
    )
    made = book(stack, text(start)).json()
    id_, coach_id = made["appointment_id"], made["coach_id"]
    wait_until(is_blocked(stack, id_), 30, "it is blocked")
    read_again(stack, "cal-1")
    assert reasons(stack, "cal-1", start)[coach_id] == "booked"

    def waits() -> bool:
        page = stack.api.get("/api/deliveries", params={"appointment_id": id_, "status": "pending"}).json()
        return "awaits_release" in {one["reason"] for one in page["data"]}

    with releases(stack, failure_rate=1.0):
        moved = stack.api.post(
            f"/api/appointments/{id_}/reschedule", json={"start_time": text(start + QUARTER)}
        )
        assert (moved.status_code, moved.json()["coach_id"]) == (200, coach_id), moved.text
        wait_until(waits, 30, "the block has met the old one")
    wait_until(is_blocked(stack, id_), 60, "it is blocked where it is now")
    assert appointment_of(stack, id_)["version"] == 2
    mine = [one["start_time"] for one in blocks(stack) if one["coach_id"] == coach_id]
    assert text(start) not in mine


def test_what_one_gives_back_another_takes(stack: Stack) -> None:
    """Cancelled time can be had at once, and the next customer's block is no conflict with the last one's."""
    alone = [at for at, coaches in free(stack, "cal-3").items() if len(coaches) == 1]
    chosen = alone[:: max(1, len(alone) // 6)][:6]
    first = [book(stack, text(at), "cal-3").json()["appointment_id"] for at in chosen]
    wait_until(is_blocked(stack, *first), 60, "they are blocked")
    read_again(stack, "cal-3")
    second = []
    with releases(stack, failure_rate=0.0, latency_ms=[600, 900]):
        for at, id_ in zip(chosen, first, strict=True):
            assert stack.api.post(f"/api/appointments/{id_}/cancel").status_code == 200
            answer = book(stack, text(at), "cal-3")
            assert answer.status_code == 201, answer.text
            second.append(answer.json()["appointment_id"])
        wait_until(is_blocked(stack, *second), 60, "the next ones are blocked")


def test_a_coach_who_is_not_there_is_not_offered(stack: Stack) -> None:
    """However often the calendar is read that knows nothing of it, until the coach is back."""
    start = next(at for at, coaches in reversed(free(stack, "cal-3").items()) if "coach-3" in coaches)
    times = {"start_time": text(start), "end_time": text(start + QUARTER)}
    tell(stack, "coach.unavailable", "coach-3", **times)
    for _ in range(2):
        read_again(stack, "cal-3")
        assert reasons(stack, "cal-3", start)["coach-3"] == "busy_external"
    tell(stack, "coach.available", "coach-3", **times)
    wait_until(lambda: reasons(stack, "cal-3", start)["coach-3"] is None, 30, "the coach is back")
