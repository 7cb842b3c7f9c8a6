"""Every change that can be asked for under an idempotency key, ready to be asked for."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from fairslot import bookings, holds
from fairslot.bookings import Change
from fairslot.db import Connection
from fairslot.idempotency import Key
from tests.world import NINE, NO_KEY, NOW, TENANT, book

KEY = Key(value="key", fingerprint=b"f" * 32)
LATER = NINE.replace(hour=16)
CHANGES = ("book", "hold", "cancel", "reschedule", "reassign", "report_outcome", "release_hold")


def held(connection: Connection, key: Key = NO_KEY) -> Change:
    """Hold NINE."""
    return holds.hold(
        connection,
        tenant_id=TENANT,
        client_id="client",
        calendar_id="cal",
        start_time=NINE,
        minutes=5,
        key=key,
        now=NOW,
    )


def change_of(connection: Connection, name: str) -> Callable[..., Change]:
    """Make what a change needs and return the change, by the name of the database's function."""
    own: dict[str, Any] = {"tenant_id": TENANT, "now": NOW}
    match name:
        case "book":
            return partial(book, start=LATER)
        case "hold":
            return held
        case "release_hold":
            return partial(holds.release, **own, hold_id=UUID(held(connection).answer["hold_id"]))
    own["appointment_id"] = book(connection).appointment.appointment_id
    match name:
        case "cancel":
            return partial(bookings.cancel, **own, by="customer", reason=None)
        case "reschedule":
            return partial(bookings.reschedule, **own, start_time=LATER, any_coach=True)
        case "reassign":
            return partial(bookings.reassign, **own, coach_id=None, reason=None)
        case _:
            return partial(bookings.report_outcome, **own | {"now": NINE}, outcome="completed")
