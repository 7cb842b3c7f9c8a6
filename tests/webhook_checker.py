"""Compares what was promised, what is recorded and what subscribers got."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import psycopg

type Taken = Sequence[tuple[str, str, int]]

_DELIVERIES = """
SELECT event.event_id::text, endpoint.description AS name, delivery.status, event.version,
       (SELECT count(*) FROM webhook_attempts AS a WHERE a.delivery_id = delivery.delivery_id
         AND a.outcome = 'delivered') AS successes,
       (SELECT a.error FROM webhook_attempts AS a WHERE a.delivery_id = delivery.delivery_id
         AND a.outcome = 'failed' LIMIT 1) AS reason
  FROM webhook_events AS event
 CROSS JOIN webhook_endpoints AS endpoint
  LEFT JOIN webhook_deliveries AS delivery USING (event_id, endpoint_id)
 WHERE endpoint.endpoint_id = ANY (%s) AND event.created_at >= endpoint.created_at
   AND event.type LIKE 'appointment.%%'
"""


def faults(connection: psycopg.Connection[Any], endpoints: Collection[UUID], taken: Taken) -> list[str]:
    """Return in words what is wrong with the events since these endpoints were made; nothing if all is well.

    Each event must have ended at each endpoint: delivered, recorded so and really taken, or failed with a
    reason. Nothing may have been taken that was not sent, nor under another version.
    """
    names = connection.execute(
        "SELECT description FROM webhook_endpoints WHERE endpoint_id = ANY (%s)", [list(endpoints)]
    ).fetchall()
    got: dict[tuple[str, str], set[int]] = defaultdict(set)
    for name, event, version in taken:
        if (name,) in names:
            got[name, event].add(version)
    found = []
    for row in connection.execute(_DELIVERIES, [list(endpoints)]).fetchall():
        event, name, status, version, successes, reason = row
        versions = got.pop((name, event), set())
        what = f"event {event} for {name}"
        if status is None:
            found.append(f"{what}: never planned")
        elif status == "pending":
            found.append(f"{what}: has not ended")
        elif status == "delivered" and not (successes and versions):
            found.append(f"{what}: delivered by {successes} attempts, taken: {bool(versions)}")
        elif status == "failed" and (reason is None or versions):
            found.append(f"{what}: failed for {reason}, taken: {bool(versions)}")
        if versions - {version}:
            found.append(f"{what}: taken as versions {versions}, is {version}")
    return found + [f"event {event} for {name}: taken, and never sent" for name, event in got]


def pending(connection: psycopg.Connection[Any], endpoints: Collection[UUID]) -> int:
    """Return how many deliveries to these endpoints have not ended."""
    row = connection.execute(
        "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending' AND endpoint_id = ANY (%s)",
        [list(endpoints)],
    ).fetchone()
    return int(row[0]) if row else 0
