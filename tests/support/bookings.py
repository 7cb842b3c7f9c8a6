"""Changes of appointments by the use cases, with defaults for all that a test does not care about."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus

from fairslot.booking import appointments, holds
from fairslot.domain.idempotency import NO_KEY, ChangeResult, Key
from fairslot.platform.db import Connection, is_retried
from fairslot.webhooks import outbox
from tests.support.clock import MINUTE, NINE, NOW
from tests.support.team import TENANT, set_days

# What is meant by a change: the one that booked or held it, or its id.
type Which = ChangeResult | UUID

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
    held: Which | None = None,
    requires: Sequence[str] = (),
) -> ChangeResult:
    """Book for a new customer, what is held where it is."""
    name = f"Customer {next(_numbers)}"
    made = appointments.book(
        connection,
        tenant_id=tenant_id,
        calendar_id=calendar_id,
        start_time=start,
        contact=appointments.Contact(name=name, email="customer@example.com", requires=requires),
        metadata={},
        key=key,
        now=now,
        hold_id=None if held is None else _id_of(held),
    )
    return told(connection, made)


def told(connection: Connection, change: ChangeResult) -> ChangeResult:
    """Make the deliveries of what has happened, as a function does after its commit, and add their messages.

    Inside a transaction nothing is made: after its end the change is still to be told of.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        return change
    made = _made(connection)
    return replace(change, messages=[*change.messages, *made.messages])


def _made(connection: Connection) -> outbox.Made:
    """Make deliveries as `db.run` does: what asks to be called again is, and the change is not made again."""
    for _ in range(50):
        try:
            return outbox.make_deliveries(connection, limit=1000)
        except psycopg.Error as error:
            if not is_retried(error):
                raise
    raise AssertionError("asked again and again")


def appointment_of(change: ChangeResult) -> appointments.Booked:
    """Return the appointment as it was right after a change."""
    return appointments.Booked.from_json(change.answer)


def appointment_now(connection: Connection, change: Which) -> appointments.Appointment:
    """Return the appointment of a change as it is now."""
    return appointments.get(connection, **_which(change))


def cancel(
    connection: Connection,
    change: Which,
    *,
    by: appointments.Canceller = "customer",
    now: datetime = NOW + MINUTE,
) -> ChangeResult:
    """Cancel what was booked."""
    done = appointments.cancel(connection, **_which(change), by=by, reason=None, key=NO_KEY, now=now)
    return told(connection, done)


def hold(
    connection: Connection,
    *,
    minutes: int = 5,
    now: Any = NOW,
    client: str = "client",
    start: datetime = NINE,
    calendar_id: str = "cal",
    key: Key = NO_KEY,
    requires: Sequence[str] = (),
) -> ChangeResult:
    """Hold a start."""
    return holds.hold(
        connection,
        tenant_id=TENANT,
        client_id=client,
        calendar_id=calendar_id,
        start_time=start,
        minutes=minutes,
        key=key,
        now=now,
        requires=requires,
    )


def release_hold(connection: Connection, held: Which, *, now: datetime = NOW) -> ChangeResult:
    """Release what was held."""
    return holds.release(connection, tenant_id=TENANT, hold_id=_id_of(held), key=NO_KEY, now=now)


def reschedule(
    connection: Connection,
    change: Which,
    start: Any,
    *,
    any_coach: bool = False,
    now: Any = NOW,
) -> ChangeResult:
    """Move what was booked to another start."""
    done = appointments.reschedule(
        connection, **_which(change), start_time=start, any_coach=any_coach, key=NO_KEY, now=now
    )
    return told(connection, done)


def reassign(
    connection: Connection,
    change: Which,
    coach_id: str | None = None,
    *,
    now: datetime = NOW,
) -> ChangeResult:
    """Give what was booked to another coach, or to the next in turn."""
    done = appointments.reassign(
        connection, **_which(change), coach_id=coach_id, reason="ill", key=NO_KEY, now=now
    )
    return told(connection, done)


def report_outcome(
    connection: Connection,
    change: Which,
    outcome: appointments.Outcome = "completed",
    *,
    now: datetime = NINE,
) -> ChangeResult:
    """Report what came of what was booked."""
    done = appointments.report_outcome(connection, **_which(change), outcome=outcome, key=NO_KEY, now=now)
    return told(connection, done)


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
            return partial(holds.release, **own, hold_id=_id_of(hold(connection)))
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


def _which(change: Which) -> dict[str, Any]:
    return {"tenant_id": TENANT, "appointment_id": _id_of(change)}


def _id_of(change: Which) -> UUID:
    if isinstance(change, UUID):
        return change
    return UUID(change.answer.get("hold_id") or change.answer["appointment_id"])
