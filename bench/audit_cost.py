"""What the audit and forgetting cost a booking: with the request on record, and without each part.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.audit_cost

Compares the server's own processor time, as booking_parts does. Bookings take turns in two databases: the one
as it is, the other without the indexes and the column's value, as it was before.
"""

import os
import random
import statistics
import sys

from bench import booking_database
from bench.booking_parts import server_ns
from fairslot.booking import appointments
from fairslot.domain.idempotency import Key
from fairslot.platform import db
from tests.support.team import TENANT

ROUNDS = 1_500
_ORIGIN = {
    "actor": {"kind": "key", "id": "01a20a39-0000-7000-8000-000000000000"},
    "request_id": "c4fa99bf-4858-4c13-8c83-430e49f0dcec",
    "method": "POST",
    "route": "/api/appointments",
}
_CONTACT = appointments.Contact(name="Customer", email="customer@example.com")


def costs(rounds: int = ROUNDS) -> tuple[float, float]:
    """Return the server's time (µs, medians) of a booking as it was, and as it is."""
    with (
        booking_database.database() as before,
        booking_database.database() as now,
        db.connect(before.url) as plain,
        db.connect(now.url) as audited,
    ):
        plain.execute("DROP INDEX changes_audited, coach_appointments_by_contact")
        plain.execute("DROP TRIGGER changes_unchanged ON changes")
        took: tuple[list[int], list[int]] = ([], [])
        starts = iter(booking_database.starts())
        for number in range(rounds):
            start = next(starts)
            for one in random.Random(number).sample(range(2), 2):
                connection = (plain, audited)[one]
                key = Key(value=os.urandom(8).hex(), fingerprint=b"f" * 32, origin=_ORIGIN if one else None)

                def book(connection: db.Connection = connection, key: Key = key) -> object:
                    return appointments.book(
                        connection,
                        tenant_id=TENANT,
                        calendar_id="cal-0",
                        start_time=start,  # noqa: B023 - called within the round
                        contact=_CONTACT,
                        metadata={},
                        key=key,
                    )

                took[one].append(server_ns(connection.info.backend_pid, book))
    first, second = (statistics.median(times[rounds // 5 :]) / 1000 for times in took)
    return first, second


def main() -> None:
    """Print both and their ratio."""
    before, now = costs()
    sys.stdout.write(
        f"a booking without the audit {before:.0f} µs, with it {now:.0f} µs: {now / before:.3f}\n"
    )


if __name__ == "__main__":
    main()
