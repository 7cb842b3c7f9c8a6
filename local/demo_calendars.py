"""Makes the demo coaches whose calendars are at stand-ins, as JSON on standard input says them."""

import json
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from psycopg.types.json import Jsonb

from fairslot.access import keys
from fairslot.coach_time.days import extend_days
from fairslot.platform import db, signing_secrets
from local.demo import EVERY_DAY, SQL


def make(connection: db.Connection, coaches: list[dict[str, Any]]) -> None:
    """Add each coach who is missing, with a calendar of their own and a source to read and write to.

    One who is there is told where the calendar is now.
    """
    for coach in coaches:
        source_id = source_of(coach["coach_id"])
        context = signing_secrets.for_calendar(source_id)
        ciphertext = signing_secrets.encrypt(json.dumps(coach["credentials"]), context)
        values = {
            **coach,
            "tenant": keys.DEFAULT_TENANT,
            "coach": coach["coach_id"],
            "source": source_id,
            "credentials": ciphertext,
            "time_zone": "America/New_York",
            "score": 0.8,
            "max_per_day": 10,
            "working_hours": Jsonb(EVERY_DAY),
            "calendar": f"cal-{coach['kind']}",
            "duration": 30,
            "interval": 15,
        }
        with connection.transaction():
            if connection.execute(SQL["has_coach"], values).fetchone() is not None:
                if coach["url"] is not None:
                    connection.execute(SQL["move_source"], values)
                continue
            connection.execute(SQL["add_coach"], {**values, "kind": "none"})
            connection.execute(SQL["add_calendar"], {**values, "name": f"With {coach['name']}"})
            connection.execute(SQL["join_team"], {**values, "coaches": [coach["coach_id"]]})
            connection.execute(SQL["add_source"], values)
            extend_days(connection, now=datetime.now(UTC))


def source_of(coach_id: str) -> UUID:
    """Return the id of the source of a demo coach."""
    return uuid5(NAMESPACE_URL, coach_id)


def main() -> None:
    """Make the coaches in the database of DATABASE_URL."""
    coaches = json.load(sys.stdin)
    db.run(lambda connection: make(connection, coaches))
    db.close()


if __name__ == "__main__":
    main()
