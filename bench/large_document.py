"""Applying a document of 2,000 coaches in three teams, against one of 500: what grows more than they do.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.large_document

Each document is applied where there is nothing, applied again with other hours for everybody, then with two
external calendars for everybody, and undone. It is processor time that is measured, of the use case and of
the database's process.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from admin.plan_models import Document
from bench.figures import Figure
from bench.stack import stack
from fairslot.platform import db
from fairslot.team import document
from fairslot.team.changes import ChangeRequest
from tests.support.team import ALWAYS, EVERY_DAY, TENANT

SMALL, LARGE = 500, 2_000
SOURCES = ({"kind": "google"}, {"kind": "icalendar", "url": "https://feeds.example.com/a"})
ZONES = ("America/New_York", "Europe/Berlin", "Asia/Kolkata", "UTC")


def figures() -> Iterator[Figure]:
    """Measure a large document, and a small one."""
    found = applying()
    for what in ("new", "other hours", "calendars"):
        small, large = found[what, SMALL], found[what, LARGE]
        yield Figure(
            name=f"a document of {LARGE:,} coaches, {what}, of one of {SMALL}",
            value=large / small,
            unit="times",
            goal=1.25 * LARGE / SMALL,
            note=f"{large:.1f} of {small:.1f} s of processor time",
        )


def applying() -> dict[tuple[str, int], float]:
    """Return the seconds of processor time by kind of change and number of coaches."""
    found = {}
    with stack() as parts, db.connect(parts.postgres.url) as connection:
        for limit in ("statement_timeout", "transaction_timeout"):
            connection.execute(f"SET {limit} = 0".encode())
        for number in (SMALL, SMALL, LARGE):  # the first one also loads what is needed
            with connection.transaction(force_rollback=True):
                found["new", number] = seconds(connection, team(number, EVERY_DAY))
                found["other hours", number] = seconds(connection, team(number, ALWAYS))
                found["calendars", number] = seconds(connection, team(number, ALWAYS, SOURCES))
    return found


def team(number: int, hours: dict[str, Any], sources: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return a document as a request brings it; each coach has these sources."""
    coaches = {
        f"coach-{one:04}": {
            "name": f"Coach {one}",
            "email": f"coach-{one}@example.com",
            "time_zone": ZONES[one % len(ZONES)],
            "working_hours": hours,
            "score": 0.5,
            "sources": [*sources],
        }
        for one in range(number)
    }
    calendars = {
        f"cal-{one}": {
            "name": f"Calendar {one}",
            "slot_duration": 30,
            "team": {coach_id: {} for coach_id in [*coaches][one::3]},
        }
        for one in range(3)
    }
    return Document.model_validate({"coaches": coaches, "calendars": calendars}).model_dump(mode="json")


def seconds(connection: db.Connection, wanted: dict[str, Any]) -> float:
    """Apply a document and return how much processor time it took."""
    asked = ChangeRequest(tenant_id=TENANT, now=datetime.now(UTC))
    begun = time.process_time() + server_time(connection)
    document.apply(connection, asked, document=wanted, prune=False)
    return time.process_time() + server_time(connection) - begun


def server_time(connection: db.Connection) -> float:
    """Return the processor time of a connection's process in the server, in seconds."""
    return int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text("ascii").split()[0]) / 1e9


if __name__ == "__main__":
    print(applying())
