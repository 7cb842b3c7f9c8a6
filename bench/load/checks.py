"""What has to hold after a run: each check returns what is wrong, nothing if all is well."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx

from bench.load.clients import BOOKING, History
from bench.load.target import Calendars, Target
from bench.load.traffic import Traffic
from fairslot.domain.replay import ReplayError
from fairslot.platform import db
from tests.support.invariants import check_invariants, check_replay

# The last of 13 attempts of a delivery comes after four minutes at the most.
_DRAIN_SECONDS = 300.0
_PAUSE_SECONDS = 0.5
_MOST_EXAMPLES = 3
_LOG_LINES = 100_000

type Check = Callable[[], list[str]]


class Checks:
    """Compares what clients were told with the database and with what partners were told."""

    def __init__(
        self,
        target: Target,
        calendars: Calendars,
        history: History,
        traffic: Traffic,
        *,
        drain_seconds: float = _DRAIN_SECONDS,
    ) -> None:
        self._target = target
        self._calendars = calendars
        self._history = history
        self._traffic = traffic
        self._drain_seconds = drain_seconds

    def run(self) -> Iterator[tuple[str, list[str]]]:
        """Make each check in turn: its name, and what is wrong."""
        checks: dict[str, Check] = {
            "every answered change is stored": self._stored,
            "the CRM was told of every change, once": lambda: self._eventually(self._told),
            "the external calendars have each appointment, and no other": lambda: self._eventually(
                self._blocked
            ),
            "no overlap, no maximum passed, bits, counters, credits and events agree": self._invariants,
            "every decision replays to the credits of now": self._replay,
        }
        for name, check in checks.items():
            yield name, check()

    def _eventually(self, check: Check) -> list[str]:
        """Repeat a check until all is well or the deliveries have had their time."""
        deadline = time.monotonic() + self._drain_seconds
        while (wrong := check()) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
        return wrong

    def _rows(self) -> dict[str, dict[str, Any]]:
        with self._target.connect() as connection:
            rows = connection.execute(
                "SELECT appointment_id::text, calendar_id, coach_id, start_time, status, version"
                "  FROM coach_appointments WHERE calendar_id = ANY (%s)",
                [self._calendars.all],
            )
            return {row["appointment_id"]: row for row in rows}

    def _stored(self) -> list[str]:
        rows = self._rows()
        wrong = [
            f"{id_}: answered {said}, stored {rows.get(id_)}"
            for id_, said in self._history.last.items()
            if id_ not in self._history.unknown and not _same(said, rows.get(id_))
        ]
        if not self._traffic.errors[BOOKING]:
            wrong += [
                f"{id_}: stored, and answered to nobody" for id_ in rows if id_ not in self._history.last
            ]
        return wrong

    def _told(self) -> list[str]:
        lines = self._get("crm", "/webhooks/log", limit=_LOG_LINES)["webhooks"]
        told: dict[str, Counter[str]] = {}
        for line in lines:
            event = line["path"].rpartition("-")[2]
            told.setdefault(line["body"]["appointment_id"], Counter())[event] += 1
        return [
            f"{id_}: changes {events}, the CRM was told {dict(told.get(id_, {}))}"
            for id_, events in self._history.events.items()
            if id_ not in self._history.unknown and told.get(id_) != Counter(events)
        ]

    def _blocked(self) -> list[str]:
        prefixes = tuple(f"{one}-coach-" for one in self._calendars.all)
        blocked = Counter(
            (one["coach_id"], datetime.fromisoformat(one["start_time"]))
            for one in self._get("calendar_api", "/blocks")["blocks"]
            if one["coach_id"].startswith(prefixes)
        )
        booked = Counter(
            (row["coach_id"], row["start_time"])
            for row in self._rows().values()
            if row["status"] == "scheduled"
        )
        missing, extra = booked - blocked, blocked - booked
        return [f"{coach} at {at}: no block" for coach, at in missing] + [
            f"{coach} at {at}: a block without an appointment" for coach, at in extra
        ]

    def _invariants(self) -> list[str]:
        return self._checked(check_invariants)

    def _replay(self) -> list[str]:
        return self._checked(check_replay)

    def _checked(self, check: Callable[[db.Connection], None]) -> list[str]:
        try:
            with self._target.connect() as connection:
                check(connection)
        except (AssertionError, ReplayError) as error:
            return [str(error)]
        return []

    def _get(self, partner: str, path: str, **query: int) -> Any:
        answer = httpx.get(
            f"{self._target.state['partners'][partner]}{path}", params=query, timeout=60, trust_env=False
        )
        return answer.raise_for_status().json()


def _same(said: dict[str, Any], row: dict[str, Any] | None) -> bool:
    """Return whether an answer is what is stored."""
    return (
        row is not None
        and datetime.fromisoformat(said["start_time"]) == row["start_time"]
        and all(said[name] == row[name] for name in ("calendar_id", "coach_id", "status", "version"))
    )


def report(name: str, wrong: list[str]) -> str:
    """Return a check's line, with examples of what is wrong."""
    if not wrong:
        return f"ok      {name}"
    return "\n".join([f"FAILED  {name}: {len(wrong)}", *(f"        {one}" for one in wrong[:_MOST_EXAMPLES])])
