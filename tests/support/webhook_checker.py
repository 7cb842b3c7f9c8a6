"""Compares what was promised, what is recorded, what was set aside and what subscribers got."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

type Taken = Sequence[tuple[str, str, int]]

# What no further attempt would change ends a delivery at once, and its message is gone.
FINAL = {"http_410", "already_blocked", "unknown_kind", "invalid_url", "blocked_address", "endpoint_disabled"}
# What fails without an attempt: nobody reported one, or all were held back for too long.
UNTRIED = {"endpoint_disabled", "dead_letter", "circuit_open", "over_limit"}

_DELIVERIES = """
SELECT delivery.delivery_id::text, event.change_id::text AS event_id, endpoint.description AS name,
       delivery.status, event.version, delivery.reason,
       (SELECT count(*) FROM webhook_attempts AS a WHERE a.delivery_id = delivery.delivery_id
         AND a.outcome = 'delivered') AS successes,
       (SELECT count(*) FROM webhook_attempts AS a WHERE a.delivery_id = delivery.delivery_id) AS attempts
  FROM changes AS event
 CROSS JOIN webhook_endpoints AS endpoint
  LEFT JOIN webhook_deliveries AS delivery
    ON delivery.event_id = event.change_id AND delivery.endpoint_id = endpoint.endpoint_id
 WHERE endpoint.endpoint_id = ANY (%s) AND event.at >= endpoint.created_at
   AND event.type LIKE 'appointment.%%'
   AND (delivery.delivery_id IS NOT NULL OR event.at < coalesce(endpoint.disabled_at, 'infinity'))
"""


@dataclass(frozen=True)
class _Row:
    """An event and what is recorded of its delivery to an endpoint."""

    delivery_id: str | None
    event_id: str
    name: str
    status: str | None
    version: int
    reason: str | None
    successes: int
    attempts: int

    def faults(self, versions: set[int], *, aside: bool) -> Iterator[str]:
        """Say what is wrong, given the versions that were taken and whether the message was set aside."""
        taken = bool(versions)
        if self.status is None:
            yield "never planned"
        elif self.status == "pending":
            yield f"has not ended; set aside: {aside}"
        elif self.status == "delivered" and not (self.successes and taken):
            yield f"delivered by {self.successes} attempts, taken: {taken}"
        elif self.status == "delivered" and aside:
            yield "delivered, and among the dead letters"
        elif self.status == "failed":
            if self.reason is None or not (self.attempts or self.reason in UNTRIED):
                yield f"failed for {self.reason} after {self.attempts} attempts"
            if taken:
                yield f"failed for {self.reason}, and taken"
            if not aside and self.reason not in FINAL:
                yield f"failed for {self.reason}, and not among the dead letters"
        if versions - {self.version}:
            yield f"taken as versions {versions}, is {self.version}"


def faults(
    connection: psycopg.Connection[Any], endpoints: Collection[UUID], taken: Taken, letters: Collection[str]
) -> list[str]:
    """Return in words what is wrong with the events since these endpoints were made; nothing if all is well.

    Each event must have ended at each endpoint: delivered, recorded so and really taken; or failed with a
    reason, and then among the dead letters unless the reason ended it at once. Nothing may have been taken
    that was not sent, nor under another version; the `letters`, bodies of what was set aside, must be
    deliveries that failed.
    """
    with connection.cursor(row_factory=class_row(_Row)) as cursor:
        rows = cursor.execute(_DELIVERIES, [list(endpoints)]).fetchall()
    names = {
        name
        for (name,) in connection.execute(
            "SELECT description FROM webhook_endpoints WHERE endpoint_id = ANY (%s)", [list(endpoints)]
        )
    }
    got: dict[tuple[str, str], set[int]] = defaultdict(set)
    for name, event, version in taken:
        if name in names:
            got[name, event].add(version)
    set_aside = {_delivery(letter) for letter in letters}
    found = ["a dead letter that nobody can read"] if None in set_aside else []
    for row in rows:
        versions = got.pop((row.name, row.event_id), set())
        aside = row.delivery_id in set_aside
        found += [
            f"event {row.event_id} for {row.name}: {what}" for what in row.faults(versions, aside=aside)
        ]
    found += [f"event {event} for {name}: taken, and never sent" for name, event in got]
    return found + _strangers(connection, set_aside)


def _delivery(letter: str) -> str | None:
    with suppress(ValueError, TypeError, LookupError):
        return str(UUID(json.loads(letter)["delivery_id"]))
    return None


def _strangers(connection: psycopg.Connection[Any], set_aside: Collection[str | None]) -> list[str]:
    """Return the dead letters, of any endpoint, that are not recorded as failed."""
    rows = connection.execute(
        "SELECT id, status FROM unnest(%s::uuid[]) AS id LEFT JOIN webhook_deliveries ON delivery_id = id"
        " WHERE status IS DISTINCT FROM 'failed'",
        [[one for one in set_aside if one is not None]],
    )
    return [f"the dead letter of delivery {id_}: it is {status}" for id_, status in rows]


def pending(connection: psycopg.Connection[Any], endpoints: Collection[UUID]) -> int:
    """Return how many deliveries to these endpoints have not ended."""
    row = connection.execute(
        "SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = ANY (%s) AND status = 'pending'",
        [list(endpoints)],
    ).fetchone()
    assert row is not None
    return int(row[0])
