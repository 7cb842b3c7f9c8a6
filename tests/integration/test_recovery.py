"""Sending an endpoint what it did not get: once, nothing from before its time, and all of it soon."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from fairslot.domain.idempotency import NO_KEY, ChangeResult
from fairslot.platform import idempotent
from fairslot.platform.db import Connection
from fairslot.webhooks import endpoints, outbox
from tests.support.bookings import IDEMPOTENCY_KEY, book, hold, release_hold
from tests.support.clock import HOUR, MINUTE, NINE
from tests.support.endpoints import add_endpoint, set_endpoint
from tests.support.fixtures import Connect
from tests.support.race import wait_until, waiting
from tests.support.tables import count
from tests.support.team import TENANT, add_team

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def team(connection: Connection) -> Connection:
    """A team whose three bookings nobody was told of."""
    add_team(connection, 3)
    for _ in range(3):
        book(connection)
    return connection


def add_subscriber(connection: Connection, *, made: str = "now() - interval '1 day'") -> UUID:
    """Make a subscriber to everything, yesterday unless told."""
    endpoint_id = uuid4()
    connection.execute(
        "INSERT INTO webhook_endpoints (endpoint_id, tenant_id, kind, url, event_types, secret, created_at)"
        f" VALUES (%s, %s, 'standard', %s, '{{*}}', 'x', {made})".encode(),
        (endpoint_id, TENANT, f"https://{endpoint_id}.example.com/"),
    )
    return endpoint_id


def recover(connection: Connection, endpoint_id: UUID, since: datetime = LONG_AGO) -> ChangeResult:
    """Recover."""
    return endpoints.recover(
        connection, tenant_id=TENANT, endpoint_id=endpoint_id, since=since, key=NO_KEY, now=datetime.now(UTC)
    )


def written(connection: Connection) -> int:
    """Return how many deliveries there are."""
    return connection.execute("SELECT FROM webhook_deliveries").rowcount


def test_two_recoveries_at_once_send_everything_once(team: Connection, connect: Connect) -> None:
    """The second waits for the first and finds nothing to do; that of another endpoint does not wait."""
    first, second, third = add_subscriber(team), connect(), connect()
    found: list[ChangeResult] = []
    thread = threading.Thread(target=lambda: found.append(recover(second, first)))
    with team.transaction():
        assert recover(team, first).answer == {"deliveries": 3}
        thread.start()
        wait_until(lambda: waiting(third, [second]) == 1 or not thread.is_alive())
        assert recover(third, add_subscriber(third)).answer == {"deliveries": 3}
    thread.join()
    assert [one.answer for one in found] == [{"deliveries": 0}]
    assert written(team) == 6


def test_a_recovery_and_a_result_do_not_wait_for_each_other_in_a_circle(
    team: Connection, connect: Connect
) -> None:
    """Who records an attempt holds the delivery and wants the endpoint; a recovery must not hold that."""
    endpoint_id, recorder = add_subscriber(team), connect()
    recover(team, endpoint_id)
    team.execute("UPDATE webhook_deliveries SET status = 'failed', finished_at = now()")
    other = connect()
    found: list[ChangeResult] = []
    thread = threading.Thread(target=lambda: found.append(recover(other, endpoint_id)))
    with recorder.transaction():
        recorder.execute("SELECT FROM webhook_deliveries FOR NO KEY UPDATE")
        thread.start()
        wait_until(lambda: waiting(team, [other]) == 1)
        recorder.execute("SET LOCAL lock_timeout = '1s'")
        recorder.execute("SELECT FROM webhook_endpoints FOR NO KEY UPDATE")
    thread.join()
    assert [one.answer for one in found] == [{"deliveries": 3}]


def test_an_endpoint_gets_nothing_from_before_its_time(team: Connection) -> None:
    """Whatever instant is asked for, the first event is one that happened when the endpoint was there."""
    endpoint_id = add_subscriber(team, made="clock_timestamp()")
    assert recover(team, endpoint_id).answer == {"deliveries": 0}
    set_endpoint(team, enabled=False)
    book(team, NINE + HOUR)
    set_endpoint(team, enabled=True)
    assert recover(team, endpoint_id).answer == {"deliveries": 1}


def test_a_recovery_sends_events_alone(team: Connection) -> None:
    """A hold, and an answer for a key, are on record among the events and are none."""
    release_hold(team, hold(team, start=NINE + HOUR))
    idempotent.once(
        team,
        tenant_id=TENANT,
        key=IDEMPOTENCY_KEY,
        now=None,
        work=lambda: idempotent.Effect(answer={}, entries=[]),
    )
    assert count(team, "changes") == 6
    assert recover(team, add_subscriber(team)).answer == {"deliveries": 3}


def test_one_run_sends_all_that_there_is(connection: Connection) -> None:
    """More than 2,000 deliveries do not wait for the next minute."""
    add_deliveries(connection, 2501)
    sent = sweep(connection, seconds=60)
    assert len(sent) == len(set(sent)) == 2501
    assert sweep(connection, seconds=60) == []


def test_a_run_ends_when_its_time_is_used_up(connection: Connection) -> None:
    """What is left then is sent by the next."""
    add_deliveries(connection, 151)
    assert len(sweep(connection, seconds=0)) == outbox.SWEEP
    assert len(sweep(connection, seconds=0)) == 151 - outbox.SWEEP


def add_deliveries(connection: Connection, number: int) -> None:
    """Book, and have the CRM get so many deliveries of it."""
    add_team(connection, 3)
    add_endpoint(connection, "crm", "appointment.*")
    book(connection)
    connection.execute(
        "INSERT INTO webhook_deliveries (event_id, endpoint_id)"
        " SELECT event_id, endpoint_id FROM webhook_deliveries, generate_series(2, %s)",
        (number,),
    )


def sweep(connection: Connection, *, seconds: float) -> list[str]:
    """Sweep for so long; return the messages that were sent."""
    sent: list[str] = []

    def send(bodies: Sequence[str]) -> None:
        sent.extend(bodies)

    later = datetime.now(UTC) + MINUTE
    count = outbox.sweep_all(connection, send=send, now=later, deadline=time.monotonic() + seconds)
    assert count == len(sent)
    return sent
