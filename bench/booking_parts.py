"""What each part of a booking costs: the time saved when it is removed from the database function.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.booking_parts

Compares the server's own processor time (/proc/<pid>/schedstat), which depends neither on the disk nor much
on other programs; the variants take turns booking by booking. The cost of a statement is mostly its start,
not its run.
"""

import random
import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bench import booking_database
from fairslot.booking import appointments
from fairslot.platform import db
from fairslot.platform.idempotent import without_commit
from fairslot.platform.queries import queries

ROUNDS = 400
# What is removed: the function it is in, its text, and what replaces it.
PARTS: Mapping[str, tuple[str, str, str]] = {
    "the record of the change, and moving the turns": (
        "assign_coach",
        """engine.record_change(
        p_tenant => a.tenant_id, p_after => a, p_key => p_key, p_fingerprint => p_fingerprint,
        p_type => CASE WHEN p_status = 'held' THEN 'hold.created' ELSE 'appointment.created' END,
        p_keep_for => p_keep_for, p_now => p_now,
        p_decision => engine.decide(
            p_turn => p_turn, p_policy => p_calendar.policy, p_chosen => v_choice.chosen,
            p_policy_version => p_calendar.policy_version, p_credits => v_choice.credits,
            p_excluded => v_seen.excluded, p_reverses => NULL, p_now => p_now))""",
        "jsonb_build_object('replayed', false, 'answer', engine.booked_json(engine.image_of(a)))",
    ),
    "taking the coach's time": (
        "assign_coach",
        """engine.claim_time(p_coach => v_coach, p_day => v_seen.days[v_choice.chosen], p_from => v_from,
                                    p_to => v_to, p_before => v_before, p_after => v_after);""",
        "true;",
    ),
    "the calendar's own rules": (
        "assign_coach",
        "engine.check_start(p_calendar => p_calendar, p_start => p_start, p_except => NULL, p_now => p_now);",
        "engine.slot_of(p_start);",
    ),
}


def definition(connection: db.Connection, name: str) -> str:
    """Return a function's text as the database has it."""
    row = connection.execute("SELECT pg_get_functiondef(%s::regproc) AS text", (f"engine.{name}",)).fetchone()
    return str(row["text"]) if row else ""


def without(connection: db.Connection, number: int, part: tuple[str, str, str]) -> None:
    """Make `book_<number>` and `assign_coach_<number>` without a part."""
    function, old, new = part
    texts = {name: definition(connection, name) for name in ("book", "assign_coach")}
    if texts[function].count(old) != 1:
        raise LookupError(f"{function} must contain exactly once: {old}")
    texts[function] = texts[function].replace(old, new)
    texts["book"] = texts["book"].replace(" engine.assign_coach(", f" engine.assign_coach_{number}(")
    for name, text in texts.items():
        connection.execute(
            text.replace(f"FUNCTION engine.{name}(", f"FUNCTION engine.{name}_{number}(").encode()
        )


def server_ns(pid: int, work: Callable[[], object]) -> int:
    """Return the nanoseconds that a server process was running on a processor during some work."""
    file = Path(f"/proc/{pid}/schedstat")
    before = int(file.read_text("utf-8").split()[0])
    work()
    return int(file.read_text("utf-8").split()[0]) - before


def costs(rounds: int = ROUNDS) -> tuple[float, float, dict[str, float]]:
    """Return the server's time for a bare insert and for a booking (µs, medians), and for parts of that."""
    with booking_database.database() as server, db.connect(server.url) as connection:
        for number, part in enumerate(PARTS.values(), start=1):
            without(connection, number, part)
        whole = without_commit(queries("appointments")["book"])
        numbers = range(1, len(PARTS) + 1)
        variants = [
            whole,
            *(whole.replace(b"SELECT engine.book(", f"SELECT engine.book_{n}(".encode()) for n in numbers),
        ]
        instants = iter(booking_database.starts())
        bare = booking_database.bare(connection, 0)
        took: list[list[int]] = [[] for _ in (bare, *variants)]
        pid = connection.info.backend_pid
        for number in range(rounds):
            # In no fixed order: who comes after the bare insert pays for cold caches, some 50 µs.
            for one in random.Random(number).sample(range(len(took)), len(took)):
                work: Callable[[], object] = bare
                if one:
                    appointments._SQL["book"] = variants[one - 1]  # noqa: SLF001 - what book() sends, to another function
                    work = partial(booking_database.book, connection, "cal-0", next(instants))
                took[one].append(server_ns(pid, work))
    floor, full, *others = (statistics.median(times[rounds // 5 :]) / 1000 for times in took)
    return floor, full, {name: full - rest for name, rest in zip(PARTS, others, strict=True)}


def main() -> None:
    """Print the parts, the most expensive first."""
    floor, whole, parts = costs()
    sys.stdout.write(f"{'a bare insert, time of the server':<52} {floor:>6.0f} µs\n")
    sys.stdout.write(f"{'a booking, time of the server':<52} {whole:>6.0f} µs\n")
    for name, cost in sorted(parts.items(), key=lambda one: -one[1]):
        sys.stdout.write(f"  {name:<50} {cost:>6.0f} µs {cost / whole:>5.0%}\n")
    rest = whole - sum(parts.values())
    name = "the rest: choosing, the row, its indexes, the commit"
    sys.stdout.write(f"  {name:<50} {rest:>6.0f} µs {rest / whole:>5.0%}\n")


if __name__ == "__main__":
    main()
