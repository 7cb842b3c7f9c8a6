"""Loads the demo data into an empty database."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from psycopg.types.json import Jsonb

from fairslot.access import keys
from fairslot.access.first_key import add_partners
from fairslot.coach_time.days import extend_days
from fairslot.platform import db
from fairslot.platform.queries import blocks

KEYS = {"test-key-123": 100, "dev-key-456": 500, "prod-key-789": 1000}
COACHES = {
    "coach-1": ("Ana Alvarez", 0.85),
    "coach-2": ("Ben Brooks", 0.72),
    "coach-3": ("Chloe Chen", 0.90),
    "coach-4": ("David Dubois", 0.65),
    "coach-5": ("Elif Erdem", 0.58),
    "coach-6": ("Femi Fashola", 0.78),
}
CALENDARS = {
    "cal-1": ("Sales Consultation", 30, ("coach-1", "coach-2", "coach-3", "coach-5", "coach-6")),
    "cal-2": ("Technical Interview", 45, ("coach-2", "coach-4", "coach-6")),
    "cal-3": ("Quick Check-in", 15, ("coach-1", "coach-3")),
}
# As the owner: functions set up a team by its settings.
SQL = blocks(Path(__file__).with_name("demo.sql").read_text("utf-8"))
EVERY_DAY = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}


def load(
    connection: db.Connection, *, tenant_id: str = keys.DEFAULT_TENANT, calendar_kind: str = "calendar_api"
) -> bool:
    """Load the demo data unless there are coaches; return whether it was loaded."""
    with connection.transaction():
        row = connection.execute(SQL["count_coaches"]).fetchone()
        if row and row["n"]:
            return False
        _add_keys(connection, tenant_id)
        _add_coaches(connection, tenant_id, calendar_kind)
        _add_calendars(connection, tenant_id)
        add_partners(connection, tenant_id)
        extend_days(connection, now=datetime.now(UTC))
    return True


def _add_keys(connection: db.Connection, tenant_id: str) -> None:
    for key, rate in KEYS.items():
        values = {
            "tenant": tenant_id,
            "hash": keys.hash_key(key),
            "label": key.rsplit("-", 1)[0],
            "scopes": ["read", "write", "admin"],
            "rate_limit": rate,
        }
        connection.execute(SQL["add_key"], values)


def _add_coaches(connection: db.Connection, tenant_id: str, calendar_kind: str) -> None:
    for coach_id, (name, score) in COACHES.items():
        values = {
            "tenant": tenant_id,
            "coach": coach_id,
            "name": name,
            "time_zone": "America/New_York",
            "score": score,
            "max_per_day": 10,
            "working_hours": Jsonb(EVERY_DAY),
            "kind": calendar_kind,
            "url": None,
        }
        connection.execute(SQL["add_coach"], values)


def _add_calendars(connection: db.Connection, tenant_id: str) -> None:
    for calendar_id, (name, duration, team) in CALENDARS.items():
        values = {
            "tenant": tenant_id,
            "calendar": calendar_id,
            "name": name,
            "duration": duration,
            "interval": 15,
        }
        connection.execute(SQL["add_calendar"], values)
        connection.execute(SQL["join_team"], {"calendar": calendar_id, "coaches": list(team)})


def main() -> None:
    """Load the demo data into the database of DATABASE_URL and print whether it was loaded."""
    loaded = db.run(load)
    db.close()
    sys.stdout.write("loaded the demo data\n" if loaded else "the database has data; nothing was loaded\n")


if __name__ == "__main__":
    main()
