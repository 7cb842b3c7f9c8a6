"""Two tenants that have the same kinds of everything, in one database."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from fairslot.access.keys import hash_key
from fairslot.booking import appointments, holds
from fairslot.coach_time.days import extend_days
from fairslot.domain.idempotency import NO_KEY, Key
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.webhooks import outbox
from tests.support.clock import DAY, HOUR, NINE, NOW
from tests.support.http import add_key
from tests.support.tables import one_row, set_columns
from tests.support.team import add_calendar, add_coach

OWNER, STRANGER = "acme", "zeta"
FINGERPRINT = b"f" * 32
_OF_SUBSCRIBER = """
    {} webhook_deliveries AS one {} webhook_endpoints AS endpoint, changes AS event
     WHERE endpoint.endpoint_id = one.endpoint_id AND endpoint.kind = 'standard'
       AND event.change_id = one.event_id AND event.appointment_id = %s
    RETURNING one.delivery_id"""
_AWAY = NINE + 10 * DAY


@dataclass(frozen=True)
class Tenant:
    """A tenant, its API key, and by the kind of each thing the id of one that it has."""

    tenant_id: str
    key: str
    ids: dict[str, Any]


def add_tenants(connection: Connection) -> tuple[Tenant, Tenant]:
    """Add both tenants: what names a thing of either has the tenant's id in it."""
    tenants = [_tenant(connection, one) for one in (OWNER, STRANGER)]
    return tenants[0], tenants[1]


def _tenant(connection: Connection, tenant_id: str) -> Tenant:
    key = f"{tenant_id}-key"
    add_key(connection, key, tenant_id=tenant_id)
    # Their versions: the owner's keys have changed twice.
    for until in (NOW + 90 * DAY, None) if tenant_id == OWNER else (NOW + 30 * DAY,):
        set_columns(connection, "api_keys", {"tenant_id": tenant_id}, {"expires_at": until})
    ids = _team(connection, tenant_id)
    ids |= _endpoints(connection, tenant_id)
    ids |= _bookings(connection, tenant_id, ids["calendar_id"])
    ids |= _rest(connection, tenant_id, ids)
    # From here on, so that there is time to book.
    set_columns(connection, "coaches", {"coach_id": ids["coach_id"]}, {"calendar_kind": "calendar_api"})
    row = one_row(connection, "SELECT key_id FROM api_keys WHERE tenant_id = %s", (tenant_id,))
    ids |= _calendar(connection, ids["coach_id"])
    return Tenant(tenant_id, key, {**ids, "key_id": row["key_id"], "key_hash": hash_key(key)})


def _calendar(connection: Connection, coach_id: str) -> dict[str, Any]:
    """Return the id of a coach's only external calendar, as a statement and as the audit calls it."""
    row = one_row(
        connection,
        "UPDATE calendar_sources SET username = coach_id, credentials = 'locked' WHERE coach_id = %s"
        " RETURNING source_id",
        (coach_id,),
    )
    return {"source_id": row["source_id"], "source": f"{coach_id}/{row['source_id']}"}


def _team(connection: Connection, tenant_id: str) -> dict[str, Any]:
    """Add a team of five: calendars of two were never read, and of these one was never asked for.

    Beside it there is a coach who is deleted.
    """
    coaches = [f"{tenant_id}-{name}" for name in ("ann", "ben", "cho", "dee", "eve")]
    gone, calendar = f"{tenant_id}-gone", f"{tenant_id}-cal"
    for coach_id in (*coaches, gone):
        kind = "calendar_api" if coach_id in coaches[3:] else "none"
        add_coach(connection, coach_id, tenant_id=tenant_id, kind=kind)
    waiting = "INSERT INTO coach_syncs (coach_id, first_requested_at) VALUES (%s, %s)"
    connection.execute(waiting, (coaches[3], NOW))
    for coach_id in (*coaches[:3], gone):
        connection.execute(
            "INSERT INTO coach_syncs (coach_id, synced_at, error) VALUES (%s, %s, %s)",
            (coach_id, NOW, f"{tenant_id} error"),
        )
    kinds = Jsonb([{"name": "weekend", "days": ["sat", "sun"]}])
    add_calendar(
        connection, calendar, coaches, tenant_id=tenant_id, slug=f"{tenant_id}-slug", hour_kinds=kinds
    )
    extend_days(connection, now=NOW)
    set_columns(connection, "coaches", {"coach_id": gone}, {"active": False, "deleted_at": NOW})
    return {"coach_id": coaches[0], "other_coach_id": coaches[1], "gone_id": gone, "calendar_id": calendar}


def _endpoints(connection: Connection, tenant_id: str) -> dict[str, Any]:
    """Add a partner and a subscriber."""
    values = {"tenant": tenant_id, "kind": "crm", "types": ["appointment.*"]}
    connection.execute(queries("admin")["add_endpoint"], values)
    url = f"https://{tenant_id}.example.com/"
    row = one_row(
        connection,
        "INSERT INTO webhook_endpoints (tenant_id, kind, url, description, event_types, secret)"
        " VALUES (%s, 'standard', %s, %s, '{*}', %s) RETURNING endpoint_id",
        (tenant_id, url, tenant_id, f"{tenant_id} ciphertext"),
    )
    # Before whatever happens to either tenant.
    set_columns(connection, "webhook_endpoints", {"tenant_id": tenant_id}, {"created_at": NOW})
    connection.execute("SELECT engine.calendar_endpoint(p_tenant => %s)", (tenant_id,))
    return {"endpoint_id": row["endpoint_id"], "url": url}


def _bookings(connection: Connection, tenant_id: str, calendar_id: str) -> dict[str, Any]:
    """Hold and book: of its bookings the subscriber was sent the first, is to be sent one, and missed one."""
    own: dict[str, Any] = {"tenant_id": tenant_id, "calendar_id": calendar_id, "now": NOW}
    contact = appointments.Contact(name=f"{tenant_id} customer", email=f"zoe@{tenant_id}.example.com")
    key = Key(value=f"{tenant_id}-1", fingerprint=FINGERPRINT)
    client = f"{tenant_id} client"
    held = holds.hold(connection, **own, client_id=client, start_time=NINE, minutes=60, key=NO_KEY)
    first, _, missed = (
        appointments.book(connection, **own, start_time=start, contact=contact, metadata={}, key=one)
        for start, one in ((NINE, key), (NINE + HOUR, NO_KEY), (NINE + 2 * HOUR, NO_KEY))
    )
    outbox.make_deliveries(connection, limit=100)
    _forget(connection, tenant_id, missed.answer["appointment_id"])
    connection.execute(
        _OF_SUBSCRIBER.format("DELETE FROM", "USING").encode(), [missed.answer["appointment_id"]]
    )
    update = _OF_SUBSCRIBER.format("UPDATE", "SET status = 'failed', finished_at = now() FROM")
    row = connection.execute(update.encode(), [first.answer["appointment_id"]]).fetchone()
    assert row is not None
    return {
        "appointment_id": UUID(first.answer["appointment_id"]),
        "hold_id": UUID(held.answer["hold_id"]),
        "client": client,
        "idempotency_key": key.value,
        "delivery_id": row["delivery_id"],
        "email": contact.email,
    }


def _forget(connection: Connection, tenant_id: str, appointment_id: str) -> None:
    """Have the customer of an appointment forgotten; a request that names the owner's may still begin."""
    set_columns(connection, "coach_appointments", {"appointment_id": appointment_id}, {"forgotten_at": NOW})
    connection.execute(
        "UPDATE webhook_deliveries SET contact_until = %s"
        " WHERE event_id IN (SELECT change_id FROM changes WHERE appointment_id = %s)",
        (NOW + HOUR if tenant_id == OWNER else None, appointment_id),
    )


def _rest(connection: Connection, tenant_id: str, ids: dict[str, Any]) -> dict[str, Any]:
    """Add an event and its source, an absence under the event's id, and an adjustment of a credit."""
    event = one_row(
        connection,
        "INSERT INTO inbound_events (tenant_id, key, fingerprint, type, body)"
        " VALUES (%s, %s, %s, 'coach.unavailable', %s) RETURNING event_id",
        (
            tenant_id,
            ids["idempotency_key"],
            FINGERPRINT,
            Jsonb({"coach_id": ids["coach_id"], "reason": ids["email"]}),
        ),
    )["event_id"]
    source = one_row(
        connection,
        "INSERT INTO inbound_sources (source_id, tenant_id, secret)"
        " VALUES (gen_random_uuid(), %s, %s) RETURNING source_id",
        (tenant_id, f"{tenant_id} ciphertext"),
    )["source_id"]
    for coach_id in (ids["coach_id"], ids["gone_id"]):
        values = {"coach": coach_id, "from": _AWAY, "to": _AWAY + DAY, "event": event, "tenant": tenant_id}
        connection.execute(queries("absences")["begin_absence"], values)
    adjusted = one_row(connection, "SELECT uuidv7() AS id")["id"]
    values = {"tenant": tenant_id, "calendar": ids["calendar_id"], "coach": ids["coach_id"], "kind": "normal"}
    values |= {"amount": 1, "reason": f"for {ids['email']}", "adjustment": adjusted, "now": NOW}
    connection.execute(queries("adjustments")["adjust"], values)
    reason = {"reason": f"for {ids['email']}"}
    set_columns(connection, "coach_absences", {"event_id": event, "coach_id": ids["coach_id"]}, reason)
    entries = Jsonb(
        [{"resource": "key", "resource_id": tenant_id, "action": "made", "after": {"to": ids["email"]}}]
    )
    connection.execute(queries("audit")["write"], {"tenant": tenant_id, "entries": entries, "now": NOW})
    return {
        "absence_id": event,
        "inbound_source_id": source,
        "adjustment_id": adjusted,
        "member": f"{ids['calendar_id']}/{ids['coach_id']}",
        "absence": f"{ids['coach_id']}/{event}",
        "adjustment": f"{ids['calendar_id']}/{adjusted}",
    }
