"""A team with kinds of hours, its ledgers and its record."""

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from fairslot.booking.distribution import Distribution, distribution
from fairslot.platform.db import Connection
from tests.integration.model_kinds import Kind
from tests.support.clock import DAY, HOUR, NEW_YORK, NINE, NOW
from tests.support.invariants import check_invariants, check_replay
from tests.support.team import TENANT, add_team

SATURDAY = NINE + 4 * DAY
NOON = NINE + 3 * HOUR
KINDS: list[Kind] = [
    {"name": "weekend", "days": ["sat", "sun"]},
    {"name": "early", "before": "10:00"},
    {"name": "late", "from": "16:00"},
]


def add_with_kinds(connection: Connection, size: int = 3, kinds: list[Kind] = KINDS) -> list[str]:
    """Add a calendar with kinds of hours in New York, and its team."""
    return add_team(connection, size, time_zone=NEW_YORK.key, hour_kinds=Jsonb(kinds))


def ledgers(connection: Connection) -> dict[str, list[int]]:
    """Return the credits by kind."""
    return {row["kind"]: row["credits"] for row in connection.execute("SELECT kind, credits FROM turns")}


def steps_of(connection: Connection) -> list[tuple[Any, ...]]:
    """Return the record: number, step, kind."""
    rows = connection.execute("SELECT seq, step, kind FROM distribution_log ORDER BY seq")
    return [(row["seq"], row["step"], row["kind"]) for row in rows]


def whole(connection: Connection) -> Distribution:
    """Return the distribution of all that was ever decided."""
    return distribution(
        connection, tenant_id=TENANT, calendar_id="cal", start=NOW - 30 * DAY, end=NOW + 30 * DAY
    )


def check_kinds(connection: Connection) -> None:
    """Assert that every ledger is sound, that the record replays, and that the distribution says the same."""
    check_invariants(connection)
    check_replay(connection)
    found = whole(connection)
    owed = {
        (row["kind"], row["coach_id"]): row["credit"] / 1e6
        for row in connection.execute("SELECT * FROM coach_credits WHERE calendar_id = 'cal'")
    }
    assert {one.kind for one in found.kinds} == {kind for kind, _ in owed}
    for within in found.kinds:
        for share in within.distribution:
            assert share.assigned - share.entitled == pytest.approx(-share.credit, abs=1e-5)
            assert share.credit == pytest.approx(owed.get((within.kind, share.coach_id), 0))
    assert found.bound is not None
    assert found.max_deviation <= found.bound
