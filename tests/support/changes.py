"""Every change that can be asked for under an idempotency key, ready to be asked for."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from fairslot.booking import appointments, holds
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection
from tests.support.world import NINE, NO_KEY, NOW, TENANT, appointment_of, book

KEY = Key(value="key", fingerprint=b"f" * 32)
LATER = NINE.replace(hour=16)
CHANGES = ("book", "hold", "cancel", "reschedule", "reassign", "report_outcome", "release_hold")


def held(connection: Connection, key: Key = NO_KEY) -> ChangeResult:
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


def change_of(connection: Connection, name: str) -> Callable[..., ChangeResult]:
    """Make what a change needs and return the change, by the name of the database's function."""
    own: dict[str, Any] = {"tenant_id": TENANT, "now": NOW}
    match name:
        case "book":
            return partial(book, start=LATER)
        case "hold":
            return held
        case "release_hold":
            return partial(holds.release, **own, hold_id=UUID(held(connection).answer["hold_id"]))
    own["appointment_id"] = appointment_of(book(connection)).appointment_id
    match name:
        case "cancel":
            return partial(appointments.cancel, **own, by="customer", reason=None)
        case "reschedule":
            return partial(appointments.reschedule, **own, start_time=LATER, any_coach=True)
        case "reassign":
            return partial(appointments.reassign, **own, coach_id=None, reason=None)
        case _:
            return partial(appointments.report_outcome, **own | {"now": NINE}, outcome="completed")
