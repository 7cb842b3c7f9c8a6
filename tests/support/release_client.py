"""A client of the last release, with its code: books, holds, releases, cancels and delivers.

`python -P release_client.py HOUR`, with that release's package alone on the path, works until standard input
ends, and says on standard output when a round is done. `tests/support/releases.py` starts it.
"""

import json
import select
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from fairslot.booking import appointments, holds
from fairslot.domain.idempotency import NO_KEY
from fairslot.messages.attempts import Attempt
from fairslot.platform import db
from fairslot.webhooks import outbox

# As in tests/support/clock.py, which is not that release's.
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NINE = datetime(2026, 3, 3, 14, tzinfo=UTC)
OF: dict[str, Any] = {"tenant_id": "default", "key": NO_KEY, "now": NOW}


def deliver() -> None:
    """Have the deliveries of what changed made and published, and record an attempt at each."""
    sent: list[str] = []
    db.run(lambda connection: outbox.tell(connection, send=sent.extend, now=NOW, limit=10))
    for message in map(json.loads, sent):
        attempt = Attempt(
            delivery_id=UUID(message["delivery_id"]),
            event_id=UUID(message["event_id"]),
            kind=message["kind"],
            type=message["type"],
            round=message["round"],
            revision=message["revision"],
            attempt=1,
            at=NOW,
            outcome="delivered",
            latency_ms=7,
            status_code=200,
            answer={},
        )
        db.run(partial(outbox.record, attempt=attempt))


def work(start: datetime) -> None:
    """Do one round."""
    contact = appointments.Contact(name="Zoë", email="zoe@example.com")
    asked = {**OF, "calendar_id": "cal", "start_time": start}
    booked = db.run(partial(appointments.book, **asked, contact=contact, metadata={}))
    deliver()
    later = {**asked, "start_time": start + timedelta(minutes=30)}
    held = db.run(partial(holds.hold, **later, client_id=str(start), minutes=5))
    db.run(partial(holds.release, **OF, hold_id=UUID(held.answer["hold_id"])))
    appointment_id = UUID(booked.answer["appointment_id"])
    db.run(partial(appointments.cancel, **OF, appointment_id=appointment_id, by="customer", reason=None))
    deliver()


def main() -> None:
    """Do rounds in an hour of its own."""
    start = NINE + timedelta(hours=int(sys.argv[1]))
    while not select.select([sys.stdin], [], [], 0)[0]:
        work(start)
        sys.stdout.write("round\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
