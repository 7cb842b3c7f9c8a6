"""Changes of appointments by the use cases, with defaults for all that a test does not care about."""

import itertools
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from fairslot.booking import appointments, holds
from fairslot.domain.idempotency import NO_KEY, ChangeResult, Key
from fairslot.platform.db import Connection
from tests.support.clock import MINUTE, NINE, NOW
from tests.support.team import TENANT, set_days

IDEMPOTENCY_KEY = Key(value="key", fingerprint=b"f" * 32)
LATER = NINE.replace(hour=16)
# Every change that takes an idempotency key, by the name of the database's function.
CHANGES = ("book", "hold", "cancel", "reschedule", "reassign", "report_outcome", "release_hold")

_numbers = itertools.count()


def book(
    connection: Connection,
    start: datetime = NINE,
    *,
    calendar_id: str = "cal",
    key: Key = NO_KEY,
    now: datetime = NOW,
    tenant_id: str = TENANT,
    held: ChangeResult | None = None,
) -> ChangeResult:
    """Book for a new customer, what is held where it is."""
    name = f"Customer {next(_numbers)}"
    return appointments.book(
        connection,
        tenant_id=tenant_id,
        calendar_id=calendar_id,
        start_time=start,
        contact=appointments.Contact(name=name, email="customer@example.com"),
        metadata={},
        key=key,
        now=now,
        hold_id=None if held is None else UUID(held.answer["hold_id"]),
    )


def appointment_of(change: ChangeResult) -> appointments.Booked:
    """Return the appointment as it was right after a change."""
    return appointments.Booked.from_json(change.answer)


def appointment_now(connection: Connection, change: ChangeResult) -> appointments.Appointment:
    """Return the appointment of a change as it is now."""
    return appointments.get(connection, **_which(change))


def cancel(
    connection: Connection,
    change: ChangeResult | UUID,
    *,
    by: appointments.Canceller = "customer",
    now: datetime = NOW + MINUTE,
) -> ChangeResult:
    """Cancel what was booked, meant by its change or its id."""
    return appointments.cancel(connection, **_which(change), by=by, reason=None, key=NO_KEY, now=now)


def hold(
    connection: Connection,
    *,
    minutes: int = 5,
    now: Any = NOW,
    client: str = "client",
    start: datetime = NINE,
    key: Key = NO_KEY,
) -> ChangeResult:
    """Hold a start."""
    return holds.hold(
        connection,
        tenant_id=TENANT,
        client_id=client,
        calendar_id="cal",
        start_time=start,
        minutes=minutes,
        key=key,
        now=now,
    )


def release_hold(connection: Connection, held: ChangeResult, *, now: datetime = NOW) -> ChangeResult:
    """Release what was held."""
    hold_id = UUID(held.answer["hold_id"])
    return holds.release(connection, tenant_id=TENANT, hold_id=hold_id, key=NO_KEY, now=now)


def reschedule(
    connection: Connection,
    change: ChangeResult,
    start: Any,
    *,
    any_coach: bool = False,
    now: Any = NOW,
) -> ChangeResult:
    """Move what was booked to another start."""
    return appointments.reschedule(
        connection, **_which(change), start_time=start, any_coach=any_coach, key=NO_KEY, now=now
    )


def reassign(
    connection: Connection,
    change: ChangeResult,
    coach_id: str | None = None,
    *,
    now: datetime = NOW,
) -> ChangeResult:
    """Give what was booked to another coach, or to the next in turn."""
    return appointments.reassign(
        connection, **_which(change), coach_id=coach_id, reason="ill", key=NO_KEY, now=now
    )


def report_outcome(
    connection: Connection,
    change: ChangeResult,
    outcome: appointments.Outcome = "completed",
    *,
    now: datetime = NINE,
) -> ChangeResult:
    """Report what came of what was booked."""
    return appointments.report_outcome(connection, **_which(change), outcome=outcome, key=NO_KEY, now=now)


def delete_appointments(connection: Connection) -> None:
    """Delete every appointment and free its time."""
    connection.execute("DELETE FROM coach_appointments")
    set_days(connection, booked=0, taken="0" * 104)


def change_of(connection: Connection, name: str) -> Callable[..., ChangeResult]:
    """Make what one of CHANGES needs, and return it, to be called with a connection and a key."""
    own: dict[str, Any] = {"tenant_id": TENANT, "now": NOW}
    match name:
        case "book":
            return partial(book, start=LATER)
        case "hold":
            return hold
        case "release_hold":
            return partial(holds.release, **own, hold_id=UUID(hold(connection).answer["hold_id"]))
    own |= _which(book(connection))
    match name:
        case "cancel":
            return partial(appointments.cancel, **own, by="customer", reason=None)
        case "reschedule":
            return partial(appointments.reschedule, **own, start_time=LATER, any_coach=True)
        case "reassign":
            return partial(appointments.reassign, **own, coach_id=None, reason=None)
        case _:
            return partial(appointments.report_outcome, **own | {"now": NINE}, outcome="completed")


def _which(change: ChangeResult | UUID) -> dict[str, Any]:
    appointment_id = change if isinstance(change, UUID) else UUID(change.answer["appointment_id"])
    return {"tenant_id": TENANT, "appointment_id": appointment_id}
