"""A stand-in of the calendar API: `python -m local.partners.calendar_api --port 3001 --data DIR`.

Every coach id is known and open from 09:00 to 17:00 New York time every day, apart from a few
made-up meetings and the blocks. By default 10% of the calls answer 503, a call takes 50 to 300 ms
and none hangs. Change that with CALENDAR_FAILURE_RATE, CALENDAR_LATENCY_MS ("100-1200"),
CALENDAR_HANG_RATE and CALENDAR_GARBAGE_RATE at the start, or POST /control later. /control, /health
and /blocks have no faults.

GET  /coaches/{id}/availability?days=N
     {"coach_id","timezone","slots":[{"start_time","end_time","available"}],"total_available","generated_at"}
POST /coaches/{id}/block-slot     {"start_time","end_time"} -> {"success","block_id",...}; 409, 400
POST /coaches/{id}/release-slot   {"block_id"} -> {"success","block_id"}; 404 for a block it never had
GET  /coaches/{id}/settings       {"working_hours","availability_rules","blocked_dates"}
GET  /coaches/{id}/calendar.ics   the same busy time as an iCalendar feed
GET  /coaches/{id}/blocks         as below, of one coach; ?start_time=&end_time= for a part of the time
GET  /blocks?coach_id=            {"blocks":[{"block_id","coach_id","start_time","end_time",...}],"total"}
GET  /health
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web

from local.partners import coach_days, server
from local.partners.coach_days import Interval
from local.partners.faults import Faults, add_faults

DATABASE = web.AppKey("database", sqlite3.Connection)
MOST_DAYS = 400
FEED_DAYS = 60
LONGEST_BLOCK = timedelta(days=31)
SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks (
    block_id TEXT PRIMARY KEY, coach_id TEXT NOT NULL, start_time TEXT NOT NULL, end_time TEXT NOT NULL,
    created_at TEXT NOT NULL, released_at TEXT);
DROP INDEX IF EXISTS blocks_by_coach;
CREATE INDEX IF NOT EXISTS blocks_by_end ON blocks (coach_id, rtrim(end_time, 'Z')) WHERE released_at IS NULL;
"""
# Without the Z, as with it a time with a fraction sorts before the whole second.
BY_END = """
SELECT start_time, end_time FROM blocks
 WHERE coach_id = ? AND released_at IS NULL AND rtrim(end_time, 'Z') > rtrim(?, 'Z')
 ORDER BY rtrim(end_time, 'Z')
"""
routes = web.RouteTableDef()


def build(data: Path, faults: Faults | None = None) -> web.Application:
    """Make the application, with its database under `data`."""
    app = web.Application()
    app[DATABASE] = server.open_database(data / "calendar_api.sqlite", SCHEMA)
    app.on_cleanup.append(_close)
    app.add_routes(routes)
    add_faults(app, faults or Faults.from_environment("CALENDAR"))
    return app


@routes.get("/coaches/{coach_id}/availability")
async def availability(request: web.Request) -> web.Response:
    """Return the overlapping entries of the next days, today included."""
    coach_id, today = request.match_info["coach_id"], datetime.now(coach_days.ZONE).date()
    days = server.whole_number(request, "days", 7, MOST_DAYS)
    slots = []
    for day in (today + timedelta(days=number) for number in range(days)):
        busy = coach_days.meetings(coach_id, day) + list(_blocks(request, coach_id, *coach_days.opening(day)))
        slots += [_entry(entry, busy) for entry in coach_days.entries(day)]
    answer = {
        "coach_id": coach_id,
        "timezone": coach_days.ZONE.key,
        "slots": slots,
        "total_available": sum(slot["available"] for slot in slots),
        "generated_at": server.now(),
    }
    return web.json_response(answer)


@routes.post("/coaches/{coach_id}/block-slot")
async def block_slot(request: web.Request) -> web.Response:
    """Block a coach's time; 409 if it overlaps a block, 400 if it is invalid."""
    coach_id, (start, end) = request.match_info["coach_id"], _interval(await server.json_object(request))
    if next(_blocks(request, coach_id, start, end), None) is not None:
        raise server.problem(web.HTTPConflict, "Slot already blocked")
    block = {
        "block_id": f"blk_{uuid4().hex[:16]}",
        "coach_id": coach_id,
        "start_time": server.rfc3339(start),
        "end_time": server.rfc3339(end),
        "created_at": server.now(),
    }
    columns = ":block_id, :coach_id, :start_time, :end_time, :created_at, NULL"
    request.app[DATABASE].execute(f"INSERT INTO blocks VALUES ({columns})", block)  # noqa: S608  fixed text
    return web.json_response({"success": True, **block})


@routes.post("/coaches/{coach_id}/release-slot")
async def release_slot(request: web.Request) -> web.Response:
    """Release a block; repeatable, 404 for an unknown block."""
    block_id = (await server.json_object(request)).get("block_id")
    if not isinstance(block_id, str):
        raise server.problem(web.HTTPBadRequest, "block_id is required")
    released = request.app[DATABASE].execute(
        "UPDATE blocks SET released_at = coalesce(released_at, ?) WHERE block_id = ? AND coach_id = ?",
        (server.now(), block_id, request.match_info["coach_id"]),
    )
    if not released.rowcount:
        raise server.problem(web.HTTPNotFound, "Block not found")
    return web.json_response({"success": True, "block_id": block_id})


@routes.get("/coaches/{coach_id}/settings")
async def coach_settings(_request: web.Request) -> web.Response:
    """Return the settings of a coach, the same for all."""
    hours = {"start": f"{coach_days.OPENS:%H:%M}", "end": f"{coach_days.CLOSES:%H:%M}"}
    answer = {
        "working_hours": {**hours, "timezone": coach_days.ZONE.key},
        "availability_rules": {"min_notice_hours": 0, "max_advance_days": 60, "buffer_minutes": 0},
        "blocked_dates": [],
    }
    return web.json_response(answer)


@routes.get("/coaches/{coach_id}/calendar.ics")
async def feed(request: web.Request) -> web.Response:
    """Return the busy time of the next 60 days as an iCalendar feed."""
    coach_id, today = request.match_info["coach_id"], datetime.now(coach_days.ZONE).date()
    busy = list(_blocks(request, coach_id, coach_days.opening(today)[0], datetime.max.replace(tzinfo=UTC)))
    for number in range(FEED_DAYS):
        busy += coach_days.meetings(coach_id, today + timedelta(days=number))
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//fairslot//calendar stand-in//EN"]
    for start, end in busy:
        uid = f"UID:{coach_id}-{start:%Y%m%dT%H%M}-{end:%H%M}@calendar.test"
        when = [
            f"DTSTAMP:{start:%Y%m%dT%H%M%SZ}",
            f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
            f"DTEND:{end:%Y%m%dT%H%M%SZ}",
        ]
        lines += ["BEGIN:VEVENT", uid, *when, "SUMMARY:Busy", "END:VEVENT"]
    return web.Response(text="\r\n".join([*lines, "END:VCALENDAR", ""]), content_type="text/calendar")


@routes.get("/coaches/{coach_id}/blocks")
async def coach_blocks(request: web.Request) -> web.Response:
    """Return a coach's blocks; with start_time and end_time those that overlap that time."""
    rows = request.app[DATABASE].execute(
        "SELECT block_id, coach_id, start_time, end_time, created_at FROM blocks"
        " WHERE coach_id = ? AND released_at IS NULL AND end_time > ? AND start_time < ? ORDER BY start_time",
        (
            request.match_info["coach_id"],
            _text(request.query.get("start_time"), ""),
            _text(request.query.get("end_time"), "9999"),
        ),
    )
    found = [dict(row) for row in rows]
    return web.json_response({"blocks": found, "total": len(found)})


@routes.get("/blocks")
async def blocks(request: web.Request) -> web.Response:
    """Return every block, or those of one coach."""
    query = (
        "SELECT block_id, coach_id, start_time, end_time, created_at FROM blocks WHERE released_at IS NULL"
    )
    rows = [dict(row) for row in request.app[DATABASE].execute(f"{query} ORDER BY start_time, coach_id")]
    coach_id = request.query.get("coach_id")
    found = [row for row in rows if coach_id in {None, row["coach_id"]}]
    return web.json_response({"blocks": found, "total": len(found)})


@routes.get("/health")
async def health(_request: web.Request) -> web.Response:
    """Return that it is up."""
    return web.json_response({"status": "healthy", "service": "calendar-api"})


def _entry(entry: Interval, busy: list[Interval]) -> dict[str, Any]:
    available = not any(coach_days.overlap(entry, other) for other in busy)
    return {
        "start_time": server.rfc3339(entry[0]),
        "end_time": server.rfc3339(entry[1]),
        "available": available,
    }


def _blocks(request: web.Request, coach_id: str, since: datetime, until: datetime) -> Iterator[Interval]:
    """Yield the blocks that overlap this time, in order, reading at most one other.

    A coach's blocks never overlap, so the order of their ends is that of their starts.
    """
    for row in request.app[DATABASE].execute(BY_END, (coach_id, server.rfc3339(since))):
        start, end = (datetime.fromisoformat(row[name]) for name in ("start_time", "end_time"))
        if start >= until:
            return
        yield start, end


def _text(given: str | None, otherwise: str) -> str:
    """Format an instant of a query as it is stored."""
    instant = _instant(given)
    return server.rfc3339(instant) if instant else otherwise


def _interval(body: dict[str, Any]) -> Interval:
    """Read start_time and end_time; 400 unless they are instants, in order, at most 31 days apart."""
    start, end = _instant(body.get("start_time")), _instant(body.get("end_time"))
    if start is None or end is None:
        raise server.problem(web.HTTPBadRequest, "start_time and end_time must be instants with an offset")
    if not timedelta() < end - start <= LONGEST_BLOCK:
        raise server.problem(web.HTTPBadRequest, "end_time must follow start_time within 31 days")
    return start, end


def _instant(text: object) -> datetime | None:
    """Parse an RFC 3339 instant into UTC; None if it is invalid."""
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
        return instant.astimezone(UTC) if instant and instant.tzinfo else None
    except (ValueError, OverflowError):
        return None


async def _close(app: web.Application) -> None:
    app[DATABASE].close()


if __name__ == "__main__":
    server.main(build, port=3001, description="A stand-in of the calendar API")
