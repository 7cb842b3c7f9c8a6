"""External calendars of coaches."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fairslot.platform.db import Connection
from tests.support.tables import one_row


def add_source(
    connection: Connection, coach_id: str = "ana", *, kind: str = "icalendar", **columns: Any
) -> UUID:
    """Add a source to a coach; a feed or a CalDAV server has an address of its own unless `url` says one."""
    if kind in {"icalendar", "caldav"}:
        columns.setdefault("url", "https://calendars.test/")
    names = "".join(f", {name}" for name in columns)
    more = "".join(f", %({name})s" for name in columns)
    statement = (
        f"INSERT INTO calendar_sources (tenant_id, coach_id, kind{names})"
        f" SELECT tenant_id, coach_id, %(kind)s{more} FROM coaches WHERE coach_id = %(coach)s"
        " RETURNING source_id"
    )
    row = connection.execute(statement.encode(), {"coach": coach_id, "kind": kind, **columns}).fetchone()
    assert row is not None
    source_id: UUID = row["source_id"]
    return source_id


def source_row(connection: Connection, source_id: UUID) -> dict[str, Any]:
    """Return a source's row."""
    return one_row(connection, "SELECT * FROM calendar_sources WHERE source_id = %s", (source_id,))


def failed(
    source_id: UUID, at: datetime, error: str = "timeout", *, coach_id: str = "ana", **more: Any
) -> dict[str, Any]:
    """Return the message of a reading of a source that failed."""
    return {
        "coach_id": coach_id,
        "fetched_at": at.isoformat(),
        "ok": False,
        "error": error,
        "source_id": str(source_id),
        "generation": 1,
        **more,
    }
