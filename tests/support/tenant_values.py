"""What the parameters of every statement get, by name, where one tenant asks for what is another's."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from fairslot.domain.slots import slot_of
from tests.support.clock import DAY, HOUR, NINE, NOW
from tests.support.team import EVERY_DAY
from tests.support.two_tenants import FINGERPRINT

type Values = dict[str, Any]

# What is asked about, by the name of a parameter: the kind of the thing in Tenant.ids.
THINGS = {
    "absence": "absence_id",
    "adjustment": "adjustment_id",
    "appointment": "appointment_id",
    "calendar": "calendar_id",
    "calendars": "calendar_id",
    "client": "client",
    "closing": "calendar_id",
    "coach": "coach_id",
    "coaches": "coach_id",
    "delivery": "delivery_id",
    "email": "email",
    "endpoint": "endpoint_id",
    "event": "absence_id",
    "hash": "key_hash",
    "hold": "hold_id",
    "id": "appointment_id",
    "ids": "appointment_id",
    "key": "idempotency_key",
    "key_id": "key_id",
    "source": "inbound_source_id",
    "member": "member",
    "url": "url",
    # Of a statement that names things in a way of its own.
    "coaches.forget_calendar:coach": "gone_id",
    "forget_external_calendar:coach": "gone_id",
    "team_changes.images:absence": "absence",
    "team_changes.images:adjustment": "adjustment",
    "team_changes.images:source": "source",
    "sources.get:source": "source_id",
    "connections.grant:source": "source_id",
    "connections.make:source": "source_id",
    "make_connection:source": "source_id",
    "sources.set:source": "source_id",
    "sources.delete:source": "source_id",
    "set_calendar_source:source": "source_id",
    "delete_calendar_source:source": "source_id",
}
# Rows as arguments: those of who asks.
ROWS = {
    "calendars": "SELECT one::text FROM calendars AS one WHERE calendar_id = %(calendar_id)s",
    "changes": "SELECT one::text FROM changes AS one WHERE appointment_id = %(appointment_id)s",
}
_OLD, _LONG_AGO = UUID(int=0), datetime(2000, 1, 1, tzinfo=UTC)
_NEW = "00000000-0000-7000-8000-000000000001"
_COACH = {
    "name": "new", "time_zone": "UTC", "active": True, "working_hours": EVERY_DAY, "overrides": [],
    "limits": {"per_day": 5}, "buffers": {"before": 0, "after": 0}, "notice": 0, "attributes": {},
}  # fmt: skip
_SOURCE = {
    "kind": "google",
    "url": None,
    "calendar_ref": "new",
    "username": None,
    "reads": True,
    "writes": False,
}
_CALENDAR = {
    "name": "new", "description": "", "slot_duration": 30, "slot_interval": 15, "notice": 0, "horizon": 60,
    "buffers": {"before": 0, "after": 0}, "time_zone": "UTC", "blocked_dates": [], "hour_kinds": [],
    "requires": [], "policy": "fair_share", "conflict_policy": "keep", "active": True,
    "fairness": {"gamma": 4, "low": 0.5, "high": 2, "prior_strength": 16, "half_life_days": 60},
}  # fmt: skip
# Whatever else a parameter of this name gets.
REST: Values = {
    "action": "cancel",
    "all_of_coach": True,
    "amount": 5,
    "any_coach": True,
    "credentials": "new",
    "answer": Jsonb({}),
    "appointments": [_NEW],
    "bytes": 200,
    "cancelled_by": "customer",
    "change": _NEW,
    "concurrency": 1,
    "contact_email": "new@example.com",
    "contact_name": "new",
    "description": "new",
    "duration": HOUR,
    "enabled": True,
    "end": NINE + 90 * DAY,
    "entries": Jsonb([{"resource": "key", "resource_id": "new", "action": "created"}]),
    "event_types": ["*"],
    "fingerprint": FINGERPRINT,
    "for": HOUR,
    "from": NINE,
    "headers": Jsonb({}),
    "interval": timedelta(minutes=5),
    "keep": DAY,
    "keep_for": DAY,
    "kind": "normal",
    "label": "new",
    "ledger": "keep",
    "limit": 9,
    "metadata": Jsonb("{}"),
    "most": 9,
    "most_earlier": 3,
    "now": NOW,
    "outcome": "completed",
    "pause": timedelta(seconds=10),
    "policy": "cancel",
    "portion": 9,
    "rate_limit": 9,
    "rate_per_second": 1,
    "reason": "why",
    "reasons": ["inactive"],
    "scopes": ["read"],
    "scored": False,
    "secret": "new",
    "sets_credentials": True,
    "since": NOW - DAY,
    "stale_after": timedelta(minutes=15),
    "start": NINE,
    "to": NINE + DAY,
    "type": "coach.available",
    "until": NOW + DAY,
    "weight": [1.0],
    **dict.fromkeys(("active", "actor", "after", "after_id", "after_start", "clock", "event_type", "notes")),
    **dict.fromkeys(("origin", "requires", "resource", "resource_id", "seen", "status", "timezone")),
}
# What a statement gets instead, by its name.
_FIRST, _END = slot_of(NOW) // 8 * 8, slot_of(NOW + 60 * DAY)
_SINCE = {"since": "1:1:", "team_since": "1:1:"}
_KEY = {"calendars": None, "expires_at": None, "hash": b"h" * 32, "start": "new"}
_CONNECTION = {
    "calendar_ref": None,
    "connection": _NEW,
    "digest": b"d" * 32,
    "expires_at": NOW + DAY,
    "is_new": False,
    "kind": "calendar_api",
    "reads": True,
    "writes": False,
}
_AGAIN = {"first": _OLD, "since": _LONG_AGO, "kept_since": _LONG_AGO}
OWN: dict[str, Values] = {
    "adjustments.adjust": {"adjustment": _NEW},
    "adjustments.list_page": {"after": 0},
    "add_missed_deliveries": _AGAIN,
    "add_partner": {"types": ["*"]},
    "api_keys.create": _KEY,
    "api_keys.rotate": {"start": "new"},
    "api_keys.has_admin": {"now": NOW + 60 * DAY},
    "bookable_starts.changes": {"start": NOW, "first": _FIRST, "end_slot": _END, **_SINCE},
    "bookable_starts.load": {"first": _FIRST},
    "calendars.put": {"settings": Jsonb(_CALENDAR)},
    "coaches.put": {"settings": Jsonb([_COACH])},
    "create_api_key": _KEY,
    "create_endpoint": {"endpoint": _NEW},
    "endpoints.add_missed": _AGAIN,
    "endpoints.create": {"endpoint": _NEW},
    "endpoints.restart_failed": _AGAIN,
    "connections.make": _CONNECTION,
    "contacts.forget": {"now": NOW + 60 * DAY},
    "forget_contact": {"now": NOW + 60 * DAY},
    "hold": {"limit": 1},
    "inbound.receive": {"body": Jsonb({})},
    "load_teams": {"from": _FIRST},
    "make_connection": _CONNECTION,
    "members.join": {"before": [0], "after": [0], "notice": [0]},
    "add_calendar_sources": {"settings": Jsonb([_SOURCE]), "sources": [_NEW]},
    "set_calendar_source": {"settings": Jsonb(_SOURCE)},
    "sources.crowded": {"most": 0},
    "sources.add": {"settings": Jsonb([_SOURCE]), "sources": [_NEW]},
    "sources.set": {"settings": Jsonb(_SOURCE)},
    "put_calendar": {"settings": Jsonb(_CALENDAR)},
    "put_coaches": {"settings": Jsonb([_COACH])},
    "receive_event": {"body": Jsonb({})},
    "record.page": {"after": 0},
    "report_outcome": {"now": NINE + DAY},
    "restart_failed_deliveries": _AGAIN,
    "rotate_api_key": {"start": "new"},
    "rotate_source_secret": {"source": _NEW},
    "signed_requests.rotate": {"source": _NEW},
    "team_changes": {"start": NOW, "first": _FIRST, "end_slot": _END, **_SINCE},
}
