"""Customers: forgetting one of them everywhere. docs/decisions/0118."""

import hashlib
import hmac
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import DatabaseError

from fairslot.booking import appointments
from fairslot.domain.errors import AppointmentsAffectedError, IllegalTransitionError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform import audit, idempotent
from fairslot.platform.audit import Entry
from fairslot.platform.db import Connection, translate
from fairslot.platform.idempotent import Effect
from fairslot.platform.queries import queries

# Appointments a transaction: it locks them with their deliveries.
PORTION = 100

_SQL = queries("contacts")


def forget(
    connection: Connection, *, tenant_id: str, email: str, cancel: bool, key: Key, now: datetime | None = None
) -> ChangeResult:
    """Forget a customer by address, upper and lower case alike; the answer counts what was forgotten.

    With `cancel` scheduled appointments to come are cancelled first, as by the customer. A large history is
    forgotten in portions, each a transaction; what was interrupted goes on when it is done again, and done
    again it changes nothing. Whoever is told that it is done waits first: see seconds_to_wait.

    Raises:
        AppointmentsAffectedError: there are scheduled appointments to come.
        IdempotencyKeyReusedError: the key was used for another request.

    """
    known = idempotent.find(connection, tenant_id=tenant_id, key=key)
    if known is not None:
        return ChangeResult(answer=known, replayed=True)
    values = {"tenant": tenant_id, "email": email, "portion": PORTION, "now": now}
    coming = connection.execute(_SQL["coming"], values).fetchall()
    if coming and not cancel:
        raise AppointmentsAffectedError(
            _plan(coming),
            "The contact has scheduled appointments to come, see `plan`; say `appointments=cancel`.",
        )
    for one in coming:
        _cancel(connection, tenant_id, one["appointment_id"], key, now)
    counts = {"appointments": 0, "cancelled": len(coming)}

    def work() -> Effect:
        row = connection.execute(_SQL["forget"], values).fetchone() or {"appointments": 0, "texts": 0}
        counts["appointments"] += row["appointments"]
        entry = Entry(
            resource="contact",
            resource_id=_hash(connection, tenant_id, email),
            action="forgotten",
            after={"appointments": row["appointments"]},
        )
        return Effect(answer=dict(counts), entries=[entry] if any(row.values()) else [])

    while _portion(connection, tenant_id, key, now, work):
        pass
    return idempotent.once(connection, tenant_id=tenant_id, key=key, now=now, work=work)


def seconds_to_wait(connection: Connection, *, tenant_id: str) -> float:
    """Return after how long no request begins any more that names a customer whom the tenant has forgotten.

    They were permitted to begin a moment before: webhooks/contact_permits.py.
    """
    row = connection.execute(_SQL["wait"], {"tenant": tenant_id}).fetchone()
    return row["seconds"] if row and row["seconds"] else 0.0


def _portion(
    connection: Connection, tenant_id: str, key: Key, now: datetime | None, work: idempotent.Work
) -> bool:
    """Forget a portion with its entry in the audit; return whether there may be more."""
    with connection.transaction():
        audit.act_for(connection, key)
        done = work()
        audit.write(connection, tenant_id=tenant_id, entries=done.entries, now=now)
    return any((one.after or {}).get("appointments") == PORTION for one in done.entries)


def _cancel(
    connection: Connection, tenant_id: str, appointment_id: UUID, key: Key, now: datetime | None
) -> None:
    """Cancel an appointment, unless somebody else has just done so."""
    try:
        appointments.cancel(
            connection,
            tenant_id=tenant_id,
            appointment_id=appointment_id,
            by="customer",
            reason=None,
            key=Key(value=None, fingerprint=b"", origin=key.origin),
            now=now,
        )
    except DatabaseError as error:
        if not isinstance(translate(error), IllegalTransitionError):
            raise


def _hash(connection: Connection, tenant_id: str, email: str) -> str:
    """Return a keyed hash of an address: without the key of the database nobody can try addresses on it."""
    row = connection.execute(_SQL["key"]).fetchone()
    secret = bytes(row["key"]) if row else b""
    return hmac.new(secret, f"{tenant_id}\n{email.lower()}".encode(), hashlib.sha256).hexdigest()


def _plan(coming: list[dict[str, Any]]) -> dict[str, Any]:
    touched = [
        {
            **one,
            "appointment_id": str(one["appointment_id"]),
            "reason": "contact_forgotten",
            "outcome": "cancelled",
            "new_coach_id": None,
        }
        for one in coming
    ]
    return {"changes": [], "appointments": touched, "holds_released": 0, "shares": []}
