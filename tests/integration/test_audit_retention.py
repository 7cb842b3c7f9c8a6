"""The audit is kept for ever, or for KEEP_AUDIT_DAYS; decisions stay whatever that is."""

import time
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from background import maintenance
from fairslot.domain.idempotency import Key
from fairslot.platform import audit, clock, idempotent
from fairslot.platform.db import Connection
from tests.support.bookings import book, cancel
from tests.support.clock import DAY, HOUR, NINE
from tests.support.fixtures import Environment
from tests.support.invariants import check_replay
from tests.support.lambda_context import context
from tests.support.tables import count
from tests.support.team import TENANT, add_team

ORIGIN = {"actor": {"kind": "key", "id": "1"}, "request_id": "r", "method": "POST", "route": "/"}


@pytest.fixture
def audited(connection: Connection, environment: Environment) -> Connection:
    """Three appointments and three other things, each changed by a request, and one cancelled by none."""
    add_team(connection, 3)
    for number in range(3):
        key = Key(value=f"{number}", fingerprint=b"f", origin=ORIGIN)
        cancelled = book(connection, NINE + number * HOUR, key=key)
        effect = idempotent.Effect(
            answer={}, entries=[audit.Entry(resource="coach", resource_id=f"{number}", action="updated")]
        )
        idempotent.once(
            connection,
            tenant_id=TENANT,
            key=Key(value=f"other {number}", fingerprint=b"f", origin=ORIGIN),
            now=datetime.now(UTC),
            work=partial(copy, effect),
        )
    cancel(connection, cancelled)
    return connection


def expire(connection: Connection, *, days: float, seconds: float = 30) -> int:
    """Delete as is done so many days from now; return how many entries."""
    now = datetime.now(UTC) + timedelta(days=days)
    return audit.delete_expired(connection, now=now, deadline=time.monotonic() + seconds)


def left(connection: Connection) -> list[int]:
    """Return how many entries there are of each source."""
    return [count(connection, "audit_entries"), count(connection, "changes", "origin IS NOT NULL")]


def test_it_is_kept_for_ever(audited: Connection) -> None:
    """Unless it is said for how long."""
    assert expire(audited, days=100_000) == 0
    assert left(audited) == [3, 3]


def test_it_goes_after_its_time(audited: Connection, environment: Environment) -> None:
    """Not a day too soon; appointments, decisions and other changes stay, and still replay."""
    environment(KEEP_AUDIT_DAYS="30")
    changes = count(audited, "changes")
    assert (expire(audited, days=29), left(audited)) == (0, [3, 3])
    assert (expire(audited, days=31), left(audited)) == (6, [0, 0])
    assert audit.list_page(audited, tenant_id=TENANT, where=audit.Filter(), after=None, limit=9) == []
    assert count(audited, "changes") == changes
    check_replay(audited)
    assert expire(audited, days=31) == 0


def test_it_goes_in_portions_and_ends_in_time(
    audited: Connection, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there is no time for is left to the next run."""
    environment(KEEP_AUDIT_DAYS="30")
    monkeypatch.setattr(audit, "PORTION", 2)
    assert (expire(audited, days=31, seconds=0), left(audited)) == (4, [1, 1])
    assert (expire(audited, days=31), left(audited)) == (2, [0, 0])


def test_the_maintenance_of_the_slots_does_it(
    audited: Connection, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the setting's days, and it says how many."""
    environment(KEEP_AUDIT_DAYS="30")
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + 31 * DAY)
    done = maintenance.lambda_handler({"task": "slots"}, context())
    assert (done["audit_deleted"], left(audited)) == (6, [0, 0])
