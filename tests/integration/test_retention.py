"""What is settled is forgotten after its time, what is pending never, and nobody waits for that."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from background import maintenance
from fairslot.booking import appointments
from fairslot.coach_time import inbound
from fairslot.domain.idempotency import NO_KEY, Key
from fairslot.platform import clock, idempotent
from fairslot.platform.db import Connection
from fairslot.webhooks import endpoints, outbox, retention
from tests.support.attempts import record_attempt
from tests.support.bookings import appointment_of, book
from tests.support.clock import DAY, NINE, NOW
from tests.support.endpoints import add_endpoint, set_delivery, set_endpoint
from tests.support.fixtures import Connect, Environment
from tests.support.lambda_context import context
from tests.support.tables import count, one_row
from tests.support.team import TENANT, add_team

TABLES = ("changes", "webhook_deliveries", "webhook_attempts", "inbound_events")


@pytest.fixture
def team(connection: Connection, environment: Environment) -> Connection:
    """A team and the CRM."""
    add_team(connection, 3)
    add_endpoint(connection, "crm", "appointment.*")
    return connection


def delete_settled(connection: Connection, *, days: float, seconds: float = 30) -> dict[str, int]:
    """Forget as is done so many days from now."""
    return retention.delete_settled(
        connection, now=datetime.now(UTC) + days * DAY, deadline=time.monotonic() + seconds
    )


def deleted(deliveries: int, decided: int) -> dict[str, int]:
    """Return what is said of events that all came with a decision."""
    return {"deliveries": deliveries, "events": 0, "decided": decided, "inbound": 0, "calendar_events": 0}


def counts(connection: Connection) -> list[int]:
    """Return how many rows each table has; of the changes those that say more than a decision."""
    statements = {table: f"SELECT FROM {table}" for table in TABLES}
    statements["changes"] += " WHERE seq IS NULL OR (after).appointment_id IS NOT NULL OR details IS NOT NULL"
    return [connection.execute(one.encode()).rowcount for one in statements.values()]


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


def test_what_is_settled_is_forgotten_after_its_time(team: Connection) -> None:
    """Events go with their deliveries and attempts, delivered or failed, and not a day too soon."""
    for error in (None, "timeout"):
        (message,) = book(team).messages
        record_attempt(team, message, error, at=datetime.now(UTC))
    assert delete_settled(team, days=89) == deleted(0, 0)
    assert counts(team) == [2, 2, 2, 0]
    assert delete_settled(team, days=91) == deleted(2, 2)
    assert counts(team) == [0, 0, 0, 0]


def test_what_is_pending_is_never_forgotten(team: Connection) -> None:
    """Nor is what was sent again lately, however long ago it happened."""
    (pending,) = book(team).messages
    (again,) = book(team).messages
    record_attempt(team, again, "timeout", at=datetime.now(UTC))
    team.execute(
        "UPDATE webhook_deliveries SET finished_at = now() + interval '1000 days' WHERE delivery_id = %s",
        (again["delivery_id"],),
    )
    tell(team)
    assert delete_settled(team, days=1000) == deleted(0, 0)
    record_attempt(team, pending, at=datetime.now(UTC))
    assert delete_settled(team, days=1000) == deleted(1, 1)
    assert counts(team) == [1, 1, 1, 1]


def test_an_event_stays_as_long_as_one_delivery_of_it(team: Connection) -> None:
    """What one endpoint has does not take away what the other waits for."""
    team.execute(
        "INSERT INTO webhook_endpoints (tenant_id, kind, url, event_types, secret)"
        " VALUES (%s, 'standard', 'https://x.example/', '{*}', 'x')",
        (TENANT,),
    )
    one, other = book(team).messages
    record_attempt(team, one, at=datetime.now(UTC))
    assert delete_settled(team, days=91) == deleted(1, 0)
    record_attempt(team, other, at=datetime.now(UTC))
    assert delete_settled(team, days=91) == deleted(1, 1)


def test_what_is_untold_is_never_forgotten(team: Connection) -> None:
    """However long nobody made its deliveries."""
    with team.transaction():
        book(team)
    assert delete_settled(team, days=1000) == deleted(0, 0)
    assert len(outbox.make_deliveries(team, limit=9).messages) == 1


def forget_keys(connection: Connection, *, days: float) -> int:
    """Forget expired keys as is done so many days from now; return how many."""
    now = datetime.now(UTC) + days * DAY
    return idempotent.forget_expired(connection, now=now, deadline=time.monotonic() + 30)


def test_an_event_with_a_key_stays(team: Connection) -> None:
    """As long as its answer can be asked for; then it goes with the key."""
    key = Key(value="k", fingerprint=b"f", hours=24 * 100)
    (message,) = book(team, key=key).messages
    record_attempt(team, message, at=datetime.now(UTC))
    team.execute("UPDATE changes SET key_until = now() + interval '100 days'")
    assert delete_settled(team, days=95) == deleted(1, 0)
    assert (forget_keys(team, days=95), forget_keys(team, days=101)) == (0, 1)
    assert delete_settled(team, days=101)["decided"] == 1


def test_a_key_is_forgotten_before_its_event(team: Connection) -> None:
    """With the answer, and with what only the answer needs; the event is sent as before."""
    connection, now = team, datetime.now(UTC)
    made = book(team)
    team.execute("UPDATE coach_appointments SET notes = 'sciatica'")
    cancelled = appointments.cancel(
        connection,
        tenant_id=TENANT,
        appointment_id=appointment_of(made).appointment_id,
        by="system",
        reason=None,
        key=Key(value="k", fingerprint=b"f"),
        now=now,
    )
    (message,) = outbox.make_deliveries(team, limit=9).messages
    idempotent.once(
        team,
        tenant_id=TENANT,
        key=Key(value="other", fingerprint=b"f"),
        now=now,
        work=lambda: idempotent.Effect(answer={}, entries=[]),
    )
    row = one_row(team, "SELECT (after).metadata::text, (after).notes FROM changes WHERE key = 'k'")
    assert row == {"metadata": cancelled.answer["metadata"], "notes": "sciatica"}
    assert (forget_keys(team, days=0.9), forget_keys(team, days=1.1), forget_keys(team, days=2)) == (0, 2, 0)
    row = one_row(
        team,
        "SELECT (after).metadata::text, (after).notes, key, fingerprint, answer"
        "  FROM changes WHERE type = 'appointment.cancelled'",
    )
    assert set(row.values()) == {None}
    assert count(team, "changes") == 2
    row = one_row(
        team,
        "SELECT message FROM engine.delivery_messages() WHERE delivery_id = %s",
        (message["delivery_id"],),
    )
    assert row["message"] == message


def test_an_inbound_key_is_free_again(team: Connection) -> None:
    """Until then a repetition is told apart; afterwards the key is as good as new."""
    first = tell(team)
    inbound.process(team, event_id=first.event_id, now=datetime.now(UTC))
    assert delete_settled(team, days=89)["inbound"] == 0
    assert not tell(team).fresh
    assert delete_settled(team, days=91)["inbound"] == 1
    assert tell(team).fresh


def test_it_goes_in_portions_and_ends_in_time(team: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement deletes more than a portion; what there is no time for is left to the next run."""
    monkeypatch.setattr(retention, "PORTION", 2)
    for hour in range(5):
        (message,) = book(team, NINE + timedelta(hours=hour)).messages
        record_attempt(team, message, at=datetime.now(UTC))
    assert delete_settled(team, days=91, seconds=0) == {
        "deliveries": 2,
        "events": 0,
        "decided": 2,
        "inbound": 0,
        "calendar_events": 0,
    }
    assert delete_settled(team, days=91) == deleted(3, 3)


def test_what_somebody_holds_is_not_waited_for(team: Connection, connect: Connect) -> None:
    """A delivery that is being sent again this moment is pending a moment later, and stays."""
    (message,) = book(team).messages
    record_attempt(team, message, "timeout", at=datetime.now(UTC))
    other = connect()
    with other.transaction():
        set_delivery(other, status="pending")
        assert delete_settled(team, days=91) == deleted(0, 0)
    assert delete_settled(team, days=91) == deleted(0, 0)
    assert counts(team)[:2] == [1, 1]


def test_a_recovery_does_not_reach_what_is_forgotten(team: Connection) -> None:
    """An event whose delivery was forgotten before it is not sent a second time."""
    (message,) = book(team).messages
    record_attempt(team, message, at=datetime.now(UTC))
    team.execute("DELETE FROM webhook_deliveries")
    row = one_row(team, "SELECT endpoint_id FROM webhook_endpoints")
    set_endpoint(team, created_at="2020-01-01")
    for days, found in ((90, 0), (89, 1)):
        done = endpoints.recover(
            team,
            tenant_id=TENANT,
            endpoint_id=row["endpoint_id"],
            since=NOW,
            key=NO_KEY,
            now=datetime.now(UTC) + days * DAY,
        )
        assert done.answer == {"deliveries": found}


def test_the_maintenance_of_the_slots_does_it(
    team: Connection, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the setting's days, and it says how many."""
    environment(KEEP_EVENTS_DAYS="20")
    (message,) = book(team, NINE).messages
    record_attempt(team, message, at=datetime.now(UTC))
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + 21 * DAY)
    done = maintenance.lambda_handler({"task": "slots"}, context())
    assert [done[f"{kind}_deleted"] for kind in ("deliveries", "decided", "inbound")] == [1, 1, 0]
    assert counts(team) == [0, 0, 0, 0]
