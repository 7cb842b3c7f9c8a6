"""A stand-in of the CRM: `python -m local.partners.crm --port 3002 --data DIR`.

By default 10% of the calls answer 503, a call takes 50 to 300 ms and none hangs. Change that with
CRM_FAILURE_RATE, CRM_LATENCY_MS ("100-1200"), CRM_HANG_RATE and CRM_GARBAGE_RATE at the start, or POST
/control later. /control, /health and /webhooks/log have no faults.

POST /webhooks/appointment-created    {"success","crm_id","contact_id"}; 400 without X-Idempotency-Key
POST /webhooks/appointment-updated    {"success"}
POST /webhooks/appointment-cancelled  {"success"}
     a known key                      {"success","message":"Already processed"}
GET  /webhooks/log?limit=100
     {"webhooks":[{"received_at","path","idempotency_key","body","crm_id"}],"total"}: the last ones in order
     of arrival, a repeated key once
GET  /contacts/{id}                   {"contact_id","name","email","appointments":[ids]} or 404
GET  /health
"""

import json
import sqlite3
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiohttp import web

from local.partners import server
from local.partners.faults import Faults, add_faults

DATABASE = web.AppKey("database", sqlite3.Connection)
MOST_LINES = 100_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS webhooks (
    number INTEGER PRIMARY KEY, idempotency_key TEXT NOT NULL UNIQUE, received_at TEXT NOT NULL,
    path TEXT NOT NULL, body TEXT NOT NULL, appointment_id TEXT NOT NULL, crm_id TEXT, contact_id TEXT);
CREATE INDEX IF NOT EXISTS webhooks_by_appointment ON webhooks (appointment_id);
CREATE INDEX IF NOT EXISTS webhooks_by_contact ON webhooks (contact_id);
"""
CREATED = "appointment-created"
routes = web.RouteTableDef()


def build(data: Path, faults: Faults | None = None) -> web.Application:
    """Make the application, with its database under `data`."""
    app = web.Application()
    app[DATABASE] = server.open_database(data / "crm.sqlite", SCHEMA)
    app.on_cleanup.append(_close)
    app.add_routes(routes)
    add_faults(app, faults or Faults.from_environment("CRM"))
    return app


@routes.post("/webhooks/{event:appointment-(?:created|updated|cancelled)}")
async def webhook(request: web.Request) -> web.Response:
    """Store an event, once for each key."""
    key = request.headers.get("X-Idempotency-Key", "").strip()
    if not key:
        raise server.problem(web.HTTPBadRequest, "X-Idempotency-Key is required")
    body = await server.json_object(request)
    database = request.app[DATABASE]
    if database.execute("SELECT 1 FROM webhooks WHERE idempotency_key = ?", (key,)).fetchone():
        return web.json_response({"success": True, "message": "Already processed"})
    appointment_id = str(body.get("appointment_id") or "")
    is_new = request.match_info["event"] == CREATED
    if is_new:
        crm_id: str | None = f"crm_{_short(key)}"
        contact_id: str | None = _contact_id(body)
    else:
        crm_id, contact_id = _known(database, appointment_id)
    row = (key, server.now(), request.path, json.dumps(body), appointment_id, crm_id, contact_id)
    database.execute(
        "INSERT INTO webhooks (idempotency_key, received_at, path, body, appointment_id, crm_id, contact_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    ids = {"crm_id": crm_id, "contact_id": contact_id} if is_new else {}
    return web.json_response({"success": True, **ids})


@routes.get("/webhooks/log")
async def log(request: web.Request) -> web.Response:
    """Return the last events in order of arrival."""
    limit = server.whole_number(request, "limit", 100, MOST_LINES)
    names = ("received_at", "path", "idempotency_key", "body", "crm_id")
    rows = request.app[DATABASE].execute("SELECT * FROM webhooks ORDER BY number DESC LIMIT ?", (limit,))
    lines = [{name: row[name] for name in names} | {"body": json.loads(row["body"])} for row in rows]
    total = request.app[DATABASE].execute("SELECT count(*) FROM webhooks").fetchone()[0]
    return web.json_response({"webhooks": lines[::-1], "total": total})


@routes.get("/contacts/{contact_id}")
async def contact(request: web.Request) -> web.Response:
    """Return a contact as of its last event, with its appointments."""
    contact_id = request.match_info["contact_id"]
    rows = (
        request.app[DATABASE]
        .execute("SELECT * FROM webhooks WHERE contact_id = ? ORDER BY number", (contact_id,))
        .fetchall()
    )
    if not rows:
        raise server.problem(web.HTTPNotFound, "Contact not found")
    answer: dict[str, Any] = {"contact_id": contact_id, "name": None, "email": None}
    for body in (json.loads(row["body"]) for row in rows):
        answer["name"] = body.get("contact_name") or answer["name"]
        answer["email"] = body.get("contact_email") or answer["email"]
    appointments = dict.fromkeys(row["appointment_id"] for row in rows if row["appointment_id"])
    return web.json_response(answer | {"appointments": list(appointments)})


@routes.get("/health")
async def health(_request: web.Request) -> web.Response:
    """Return that it is up."""
    return web.json_response({"status": "healthy", "service": "crm"})


def _known(database: sqlite3.Connection, appointment_id: str) -> tuple[str | None, str | None]:
    """Return the CRM's ids of an appointment and its contact, None if unknown."""
    row = database.execute(
        "SELECT crm_id, contact_id FROM webhooks WHERE appointment_id = ? ORDER BY number DESC LIMIT 1",
        (appointment_id,),
    ).fetchone()
    return (row["crm_id"], row["contact_id"]) if row else (None, None)


def _contact_id(body: dict[str, Any]) -> str:
    """Return the contact id that the event gives, or else one derived from the email address."""
    given = body.get("contact_id")
    if isinstance(given, str) and given:
        return given
    return f"con_{_short(str(body.get('contact_email') or body.get('appointment_id')).lower())}"


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


async def _close(app: web.Application) -> None:
    app[DATABASE].close()


if __name__ == "__main__":
    server.main(build, port=3002, description="A stand-in of the CRM")
