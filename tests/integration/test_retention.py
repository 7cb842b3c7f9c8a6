"""What is settled is forgotten after its time, what is pending never, and nobody waits for that."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from background import maintenance
from fairslot.coach_time import inbound
from fairslot.domain.idempotency import Key
from fairslot.platform import clock
from fairslot.platform.db import Connection
from fairslot.webhooks import endpoints, retention
from tests.support.endpoint_world import report
from tests.support.gateway_events import context
from tests.support.world import NINE, NO_KEY, NOW, TENANT, add_endpoint, add_team, book

type Connect = Callable[[], Connection]
type Environment = Callable[..., None]

DAY = timedelta(days=1)
TABLES = ("webhook_events", "webhook_deliveries", "webhook_attempts", "inbound_events")


@pytest.fixture
def world(connection: Connection, environment: Environment) -> Connection:
    """A team and the CRM."""
    add_team(connection, 3)
    add_endpoint(connection, "crm", "appointment.*")
    return connection


def forget(connection: Connection, *, days: float, seconds: float = 30) -> dict[str, int]:
    """Forget as is done so many days from now."""
    return retention.delete_settled(
        connection, now=datetime.now(UTC) + days * DAY, deadline=time.monotonic() + seconds
    )


def counts(connection: Connection) -> list[int]:
    """Return how many rows each table has."""
    return [connection.execute(f"SELECT FROM {table}".encode()).rowcount for table in TABLES]


def tell(connection: Connection, key: str = "k") -> inbound.Received:
    """Take in an event."""
    return inbound.receive(
        connection,
        tenant_id=TENANT,
        key=Key(value=key, fingerprint=b"f"),
        kind="x",
        body={},
        now=datetime.now(UTC),
    )


def test_what_is_settled_is_forgotten_after_its_time(world: Connection) -> None:
    """Events go with their deliveries and attempts, delivered or failed, and not a day too soon."""
    for error in (None, "timeout"):
        (message,) = book(world).messages
        report(world, message, error, at=datetime.now(UTC))
    assert forget(world, days=89) == {"deliveries": 0, "events": 0, "inbound": 0}
    assert counts(world) == [2, 2, 2, 0]
    assert forget(world, days=91) == {"deliveries": 2, "events": 2, "inbound": 0}
    assert counts(world) == [0, 0, 0, 0]


def test_what_is_pending_is_never_forgotten(world: Connection) -> None:
    """Nor is what was sent again lately, however long ago it happened."""
    (pending,) = book(world).messages
    (again,) = book(world).messages
    report(world, again, "timeout", at=datetime.now(UTC))
    world.execute(
        "UPDATE webhook_deliveries SET finished_at = now() + interval '1000 days' WHERE delivery_id = %s",
        (again["delivery_id"],),
    )
    tell(world)
    assert forget(world, days=1000) == {"deliveries": 0, "events": 0, "inbound": 0}
    report(world, pending, at=datetime.now(UTC))
    assert forget(world, days=1000) == {"deliveries": 1, "events": 1, "inbound": 0}
    assert counts(world) == [1, 1, 1, 1]


def test_an_event_stays_as_long_as_one_delivery_of_it(world: Connection) -> None:
    """What one endpoint has does not take away what the other waits for."""
    world.execute(
        "INSERT INTO webhook_endpoints (tenant_id, kind, url, event_types, secret)"
        " VALUES (%s, 'standard', 'https://x.example/', '{*}', 'x')",
        (TENANT,),
    )
    one, other = book(world).messages
    report(world, one, at=datetime.now(UTC))
    assert forget(world, days=91) == {"deliveries": 1, "events": 0, "inbound": 0}
    report(world, other, at=datetime.now(UTC))
    assert forget(world, days=91) == {"deliveries": 1, "events": 1, "inbound": 0}


def test_an_inbound_key_is_free_again(world: Connection) -> None:
    """Until then a repetition is told apart; afterwards the key is as good as new."""
    first = tell(world)
    inbound.process(world, event_id=first.event_id, now=datetime.now(UTC))
    assert forget(world, days=89)["inbound"] == 0
    assert not tell(world).fresh
    assert forget(world, days=91)["inbound"] == 1
    assert tell(world).fresh


def test_it_goes_in_portions_and_ends_in_time(world: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement deletes more than a portion; what there is no time for is left to the next run."""
    monkeypatch.setattr(retention, "PORTION", 2)
    for hour in range(5):
        (message,) = book(world, NINE + timedelta(hours=hour)).messages
        report(world, message, at=datetime.now(UTC))
    assert forget(world, days=91, seconds=0) == {"deliveries": 2, "events": 2, "inbound": 0}
    assert forget(world, days=91) == {"deliveries": 3, "events": 3, "inbound": 0}


def test_what_somebody_holds_is_not_waited_for(world: Connection, connect: Connect) -> None:
    """A delivery that is being sent again this moment is pending a moment later, and stays."""
    (message,) = book(world).messages
    report(world, message, "timeout", at=datetime.now(UTC))
    other = connect()
    with other.transaction():
        other.execute("UPDATE webhook_deliveries SET status = 'pending'")
        assert forget(world, days=91) == {"deliveries": 0, "events": 0, "inbound": 0}
    assert forget(world, days=91) == {"deliveries": 0, "events": 0, "inbound": 0}
    assert counts(world)[:2] == [1, 1]


def test_a_recovery_does_not_reach_what_is_forgotten(world: Connection) -> None:
    """An event whose delivery was forgotten before it is not sent a second time."""
    (message,) = book(world).messages
    report(world, message, at=datetime.now(UTC))
    world.execute("DELETE FROM webhook_deliveries")
    row = world.execute("SELECT endpoint_id FROM webhook_endpoints").fetchone()
    assert row is not None
    world.execute("UPDATE webhook_endpoints SET created_at = '2020-01-01'")
    for days, found in ((90, 0), (89, 1)):
        done = endpoints.recover(
            world,
            tenant_id=TENANT,
            endpoint_id=row["endpoint_id"],
            since=NOW,
            key=NO_KEY,
            now=datetime.now(UTC) + days * DAY,
        )
        assert done.answer == {"deliveries": found}


def test_the_maintenance_of_the_slots_does_it(
    world: Connection, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the setting's days, and it says how many."""
    environment(KEEP_EVENTS_DAYS="20")
    (message,) = book(world, NINE).messages
    report(world, message, at=datetime.now(UTC))
    later = datetime.now(UTC) + 21 * DAY
    monkeypatch.setattr(clock, "now", lambda: later)
    done = maintenance.lambda_handler({"task": "slots"}, context())
    assert [done[f"{kind}_deleted"] for kind in ("deliveries", "events", "inbound")] == [1, 1, 0]
    assert counts(world) == [0, 0, 0, 0]
