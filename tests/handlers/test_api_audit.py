"""The audit over HTTP: who changed what, in the transaction of the change, and never changed afterwards."""

import json
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from redis import Redis

from fairslot.domain.idempotency import Key
from fairslot.platform import audit, idempotent
from fairslot.platform.db import Connection
from tests.support.api_fuzz import Operation, operations
from tests.support.clock import HOUR, NINE, NOW
from tests.support.connecting import PUBLIC_URL, SECRET
from tests.support.endpoints import URL, subscribed
from tests.support.fixtures import Environment
from tests.support.http import KEY, NOTHING, Answer, add_key, ask, body_of, book, booked, check_problem
from tests.support.readings import were_read
from tests.support.tables import count, one_row
from tests.support.team import TENANT, add_calendar
from tests.support.team_api import CALENDAR, COACH, RESOURCES, put

PATH = "/api/audit"
IDEMPOTENT = {"X-Idempotency-Key": "k"}
ABSENCE = {"start": "2026-04-03T00:00:00Z", "end": "2026-04-04T00:00:00Z", "reason": "private"}
CHANGING = [one for one in operations() if one.method != "GET"]
CANCEL = {"appointments": "cancel"}
# What each changing call says in the body and in the query, where it says something.
BODIES: dict[str, dict[str, Any]] = {
    "apply_document": {"coaches": {"zed": COACH}},
    "create_appointment": {
        "calendar_id": "cal",
        "start_time": (NINE + HOUR).isoformat(),
        "contact_email": "zoe@example.com",
        "contact_name": "Zoë Secret",
    },
    "report_outcome": {"outcome": "completed"},
    "reschedule_appointment": {"start_time": (NINE + 2 * HOUR).isoformat()},
    "create_hold": {"calendar_id": "cal", "start_time": (NINE + HOUR).isoformat()},
    "patch_calendar": {"name": "Other"},
    "put_calendar": CALENDAR,
    "put_member": {"weight": 2},
    "patch_member": {"weight": 3},
    "patch_coach": {"name": "Other"},
    "put_coach": COACH,
    "create_absence": ABSENCE,
    "create_calendar_source": {"kind": "google", "calendar_ref": "other"},
    "create_connection": {"kind": "caldav"},
    "patch_calendar_source": {"calendar_ref": "new"},
    "put_absence": ABSENCE | {"end": "2026-04-05T00:00:00Z"},
    "patch_absence": {"end": "2026-04-05T00:00:00Z"},
    "create_adjustment": {"coach_id": "coach-01", "bookings": 1, "reason": "private"},
    "create_key": {"scopes": ["read"]},
    "create_endpoint": {"url": f"{URL}/2?token=hunter2", "event_types": ["*"], "headers": {"X-T": "hunter2"}},
    "update_endpoint": {"description": "other"},
    "recover_endpoint": {"since": "2026-03-01T00:00:00Z"},
    "receive_calendar_event": {"event_type": "coach.calendar_changed", "coach_id": "coach-01"},
}
QUERIES = {
    "delete_calendar": CANCEL,
    "delete_member": CANCEL,
    "delete_coach": CANCEL,
    "forget_contact": CANCEL,
    "create_absence": CANCEL,
}


@pytest.fixture
def world(team: Connection, kms: None, environment: Environment) -> dict[str, str]:
    """Something of each kind that a path can name, by the name that paths have for it."""
    environment(PUBLIC_URL=PUBLIC_URL, CONNECT_SECRETS=SECRET)
    ask("POST", "/api/webhooks/calendar/secret")
    endpoint = subscribed(url=URL)["endpoint_id"]
    made = booked()
    hold = ask("POST", "/api/holds", {"calendar_id": "cal", "start_time": NINE.isoformat()}).json["hold_id"]
    row = one_row(team, "SELECT delivery_id FROM webhook_deliveries")
    team.execute("UPDATE webhook_deliveries SET status = 'failed'")
    source = body_of(ask("POST", "/api/coaches/coach-01/sources", {"kind": "google"}), 201)["source_id"]
    were_read(team, NOW)
    return {
        "appointment_id": made["appointment_id"],
        "hold_id": hold,
        "endpoint_id": endpoint,
        "delivery_id": str(row["delivery_id"]),
        "coach_id": made["coach_id"],
        "calendar_id": "cal",
        "absence_id": ask("POST", "/api/coaches/coach-01/absences", ABSENCE, query=CANCEL).json["absence_id"],
        "key_id": body_of(ask("POST", "/api/keys", {"scopes": ["read"]}), 201)["key_id"],
        "source_id": source,
        "email": "zoe@example.com",
    }


def entries(key: str = KEY, **query: Any) -> list[dict[str, Any]]:
    """Return the entries of the audit, the newest first."""
    found: list[dict[str, Any]] = body_of(ask("GET", PATH, key=key, query={"limit": 200, **query}))["data"]
    return found


def own_key(connection: Connection) -> str:
    """Return the id of the tests' key."""
    return str(one_row(connection, "SELECT key_id FROM api_keys ORDER BY key_id")["key_id"])


def call(team: Connection, world: dict[str, str], operation: Operation, **headers: str) -> Answer:
    """Make a changing call of the world."""
    if operation.name == "report_outcome":
        team.execute(
            "UPDATE coach_appointments SET start_time = start_time - interval '3 days',"
            " end_time = end_time - interval '3 days',"
            " takes = tstzrange(lower(takes) - interval '3 days', upper(takes) - interval '3 days')"
        )
    is_of_one = any(name in operation.path for name in ("absence_id", "source_id"))
    named = world | ({"coach_id": "coach-01"} if is_of_one else {})
    answer = ask(
        operation.method,
        operation.path.format(**named),
        BODIES.get(operation.name, NOTHING),
        query=QUERIES.get(operation.name, ""),
        headers={**IDEMPOTENT, **headers},
    )
    assert answer.status < 300, answer
    return answer


@pytest.mark.parametrize("operation", CHANGING, ids=lambda operation: operation.name)
def test_every_changing_route_leaves_an_entry(
    team: Connection, world: dict[str, str], operation: Operation
) -> None:
    """It says who, what and by which request; the same request again leaves none."""
    before = {one["entry_id"] for one in entries()}
    answer = call(team, world, operation)
    made = [one for one in entries() if one["entry_id"] not in before]
    assert made
    for one in made:
        assert one["actor"] == {"kind": "key", "id": own_key(team), "issuer": None}
        assert one["request_id"] == answer.headers["x-request-id"]
        assert (one["method"], one["route"]) == (operation.method, operation.path)
        assert one["resource"]
        assert one["resource_id"]
    text = json.dumps(made, ensure_ascii=False).lower()
    assert not [secret for secret in ("zoe", "zoë", "hunter2", "private", "whsec_", "hash") if secret in text]
    call(team, world, operation)
    assert len(entries()) == len(before) + len(made)


def test_an_entry_shows_a_resource_before_and_after(team: Connection) -> None:
    """As the API shows it; what was made had no before, and what was deleted has no after."""
    for method, body in (("PUT", COACH), ("PATCH", {"name": "Zoltan"}), ("DELETE", NOTHING)):
        ask(method, "/api/coaches/zed", body)
    deleted, patched, made = entries(resource="coach", resource_id="zed")
    assert [one["action"] for one in (made, patched, deleted)] == ["created", "updated", "deleted"]
    assert (made["before"], deleted["after"]) == (None, None)
    assert (made["after"]["name"], patched["after"]["name"]) == ("Zed", "Zoltan")
    assert patched["before"] == made["after"]
    assert deleted["before"] == patched["after"]


@pytest.mark.parametrize(("kind", "change"), [
    ("coach", {"limits": {"per_week": 5}}),
    ("calendar", {"hour_kinds": [{"name": "late", "from": "17:00"}]}),
    ("member", {"notice": 60, "buffers": {"after": 15}}),
    ("absence", {"ledger": "settle"}),
])  # fmt: skip
def test_whatever_changes_is_in_the_entry(team: Connection, kind: str, change: dict[str, Any]) -> None:
    """Every member as the API shows it, but for the reason that somebody wrote."""
    add_calendar(team, "empty", [])
    path, body = RESOURCES[kind]
    made = put(path, body, status=201)
    changed = body_of(ask("PATCH", path, change))
    entry = entries(resource=kind)[0]
    assert made != changed
    for shown, said in ((made, entry["before"]), (changed, entry["after"])):
        assert said == {name: value for name, value in shown.items() if name != "reason"}


def test_an_appointment_is_in_the_audit_by_reference(team: Connection) -> None:
    """Its changes are entries in one order with the others; who it is for they do not say."""
    made = booked(notes="sciatica")
    ask("PATCH", "/api/coaches/coach-01", {"name": "Other"})
    moved = {"start_time": (NINE + HOUR).isoformat()}
    body_of(ask("POST", f"/api/appointments/{made['appointment_id']}/reschedule", moved))
    newest, between, oldest = entries()
    assert [one["action"] for one in (oldest, newest)] == ["created", "rescheduled"]
    assert between["resource"] == "coach"
    assert oldest["resource_id"] == newest["resource_id"] == made["appointment_id"]
    assert newest["before"] == {
        "coach_id": made["coach_id"],
        "start_time": made["start_time"],
        "end_time": made["end_time"],
    }
    assert newest["after"]["version"] == 2
    assert not {"contact_name", "contact_email", "notes"} & newest["after"].keys()


def test_what_follows_from_a_change_is_the_request_s_too(team: Connection) -> None:
    """A coach who goes has the appointments cancelled: by whom is on record with each."""
    made = booked()
    answer = ask("DELETE", f"/api/coaches/{made['coach_id']}", query=CANCEL)
    assert answer.status == 204
    found = {one["resource"]: one for one in entries() if one["request_id"] == answer.headers["x-request-id"]}
    assert found.keys() == {"member", "coach", "appointment"}
    assert found["appointment"]["after"]["status"] == "cancelled"
    assert found["appointment"]["route"] == "/api/coaches/{coach_id}"


def test_an_event_s_consequences_name_its_sender(team: Connection) -> None:
    """What is processed after an event was stored is still the sender's."""
    made = booked()
    event = {"event_type": "appointment.cancelled", "appointment_id": made["appointment_id"]}
    answer = ask("POST", "/api/webhooks/calendar", event, headers=IDEMPOTENT)
    cancelled, received = entries()[:2]
    assert (cancelled["action"], received["action"]) == ("cancelled", "received")
    assert cancelled["request_id"] == received["request_id"] == answer.headers["x-request-id"]


def test_what_changes_nothing_leaves_no_entry(team: Connection) -> None:
    """A dry run, a refusal, a document that says what is, a move to where it is, and a key revoked again."""
    made = booked()
    key_id = body_of(ask("POST", "/api/keys", {"scopes": ["read"]}), 201)["key_id"]
    assert ask("DELETE", f"/api/keys/{key_id}").status == 204
    before = entries()
    assert ask("PUT", "/api/coaches/zed", COACH, query={"dry_run": "true"}).status == 200
    assert ask("DELETE", f"/api/coaches/{made['coach_id']}").status == 409
    assert ask("POST", "/api/apply", body_of(ask("GET", "/api/export"))).status == 200
    stays = {"start_time": made["start_time"]}
    assert ask("POST", f"/api/appointments/{made['appointment_id']}/reschedule", stays).status == 200
    assert ask("DELETE", f"/api/keys/{key_id}").status == 204
    assert ask("DELETE", "/api/contacts/nobody@example.com").status == 200
    assert book(calendar_id="nothing").status == 404
    assert entries() == before


def test_no_entry_without_its_change(team: Connection) -> None:
    """A change that is undone takes its entry with it, and one whose entry fails is undone."""
    team.execute("ALTER TABLE changes ADD CONSTRAINT full_disk CHECK (type <> 'answer')")
    with pytest.raises(psycopg.errors.CheckViolation):
        put_coach(team)
    assert (count(team, "audit_entries"), count(team, "coaches", "name = 'changed'")) == (0, 0)
    team.execute("ALTER TABLE changes DROP CONSTRAINT full_disk")
    team.execute("ALTER TABLE audit_entries ADD CONSTRAINT full_disk CHECK (resource <> 'coach')")
    with pytest.raises(psycopg.errors.CheckViolation):
        put_coach(team)
    assert (count(team, "audit_entries"), count(team, "coaches", "name = 'changed'")) == (0, 0)


def put_coach(team: Connection) -> None:
    """Change something with an entry under a key."""

    def work() -> idempotent.Effect:
        team.execute("UPDATE coaches SET name = 'changed'")
        entry = audit.Entry(resource="coach", resource_id="coach-01", action="updated")
        return idempotent.Effect(answer={}, entries=[entry])

    key = Key(value="k", fingerprint=b"f", origin={"actor": {"kind": "key", "id": "1"}})
    idempotent.once(team, tenant_id=TENANT, key=key, now=NOW, work=work)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET action = 'none'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "DELETE FROM changes",
        "UPDATE changes SET origin = NULL",
        "UPDATE changes SET type = 'appointment.updated'",
        "UPDATE changes SET after.coach_id = 'coach-03'",
        "TRUNCATE changes CASCADE",
        # Whoever says so is not yet the function that may.
        "DO $$ BEGIN DELETE FROM audit_entries /*\nPL/pgSQL function engine.expire_audit()\n*/; END $$",
    ],
)
def test_entries_are_neither_changed_nor_deleted(team: Connection, statement: str) -> None:
    """Not by SQL either."""
    booked()
    ask("PUT", "/api/coaches/zed", COACH)
    before = entries()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        team.execute(statement.encode())
    assert entries() == before
    assert len(before) == 2


def test_the_audit_is_listed_by_pages_and_filters(team: Connection) -> None:
    """Each page goes on where the last ended, over both sources; filters are exact."""
    add_key(team, "second-key")
    for number in range(3):
        booked(NINE + number * HOUR)
        ask("PATCH", "/api/coaches/coach-01", {"name": f"Name {number}"}, key="second-key")
    whole, paged, cursor = entries(), list[dict[str, Any]](), None
    while cursor is not None or not paged:
        page = body_of(ask("GET", PATH, query={"limit": 2} | ({"cursor": cursor} if cursor else {})))
        paged, cursor = [*paged, *page["data"]], page["next_cursor"]
    assert paged == whole
    assert [UUID(one["entry_id"]) for one in whole] == sorted(
        (UUID(one["entry_id"]) for one in whole), reverse=True
    )
    by_first = entries(actor=own_key(team))
    assert [one["resource"] for one in by_first] == ["appointment"] * 3
    assert entries(resource="coach", resource_id="coach-01") == [one for one in whole if one not in by_first]
    assert entries(since="2999-01-01T00:00:00Z") == entries(until="2000-01-01T00:00:00Z") == []
    assert entries(until="2999-01-01T00:00:00Z", since="2000-01-01T00:00:00Z") == whole


def test_the_audit_is_for_admins_of_the_tenant(team: Connection) -> None:
    """Another tenant sees none of it, and another scope is refused."""
    add_key(team, "theirs", tenant_id="other")
    add_key(team, "writer", scopes=("read", "write"))
    booked()
    ask("PUT", "/api/coaches/zed", COACH)
    assert entries("theirs") == []
    check_problem(ask("GET", PATH, key="writer"), 403, "FORBIDDEN")


def test_a_replay_from_the_cache_leaves_no_entry(team: Connection, cache: Redis) -> None:
    """Neither for an appointment nor for a resource."""
    for _ in range(3):
        book(headers=IDEMPOTENT)
        ask("PUT", "/api/coaches/zed", COACH, headers={"X-Idempotency-Key": "other"})
    assert len(entries()) == 2


def test_an_unknown_cursor_is_refused(team: Connection) -> None:
    """As in every list."""
    check_problem(ask("GET", PATH, query={"cursor": str(uuid4())}), 400, "VALIDATION_ERROR")
