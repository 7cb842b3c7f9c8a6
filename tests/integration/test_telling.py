"""Deliveries are made after the commit of their change: durably, by whoever comes first, and all of them."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from fairslot.domain.errors import QueueError
from fairslot.domain.idempotency import NO_KEY, ChangeResult
from fairslot.platform.db import Connection
from fairslot.webhooks import endpoints, outbox
from tests.support.attempts import sweep
from tests.support.bookings import IDEMPOTENCY_KEY, book, cancel, hold, release_hold
from tests.support.clock import DAY, HOUR, MINUTE, NINE
from tests.support.endpoints import add_endpoint, add_subscriber, set_endpoint
from tests.support.fixtures import Connect
from tests.support.race import at_once
from tests.support.tables import count, one_row
from tests.support.team import TENANT, add_team

LATER = datetime.now(UTC) + 3650 * DAY


@pytest.fixture
def team(connection: Connection) -> Connection:
    """A team, and the CRM which is told of appointments."""
    add_team(connection, 3)
    add_endpoint(connection, "crm", "appointment.*")
    return connection


def book_untold(connection: Connection, start: datetime = NINE) -> ChangeResult:
    """Book, and tell nobody yet."""
    with connection.transaction():
        return book(connection, start)


def make(connection: Connection, limit: int = 100) -> list[dict[str, Any]]:
    """Make deliveries; return their messages."""
    return outbox.make_deliveries(connection, limit=limit).messages


def appointments(messages: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the messages are about."""
    return [one["data"]["appointment_id"] for one in messages]


def fail_to_send(_: Sequence[str]) -> None:
    """Stand for a queue that is down."""
    raise QueueError


def test_a_change_has_no_delivery_until_it_is_told_of(team: Connection) -> None:
    """The oldest come first, as many as are asked for, and each is told of once."""
    made = [book_untold(team, NINE + number * HOUR).answer["appointment_id"] for number in range(3)]
    assert count(team, "webhook_deliveries") == 0
    assert appointments(make(team, 2)) == made[:2]
    assert appointments(make(team, 2)) == made[2:]
    assert outbox.make_deliveries(team, limit=2) == (0, [])


def test_a_hold_is_told_to_nobody(team: Connection) -> None:
    """An answer for a key alone is no event either: nothing waits to be told of."""
    add_subscriber(team, "everything", "*")
    endpoint = one_row(team, "SELECT endpoint_id FROM webhook_endpoints WHERE kind = 'standard'")
    release_hold(team, hold(team))
    endpoints.delete(
        team, tenant_id=TENANT, endpoint_id=endpoint["endpoint_id"], key=IDEMPOTENCY_KEY, now=LATER
    )
    assert count(team, "changes") == 3
    assert outbox.make_deliveries(team, limit=9) == (0, [])


def test_nothing_is_sent_before_its_change_is_on_the_disk(team: Connection) -> None:
    """Whatever the session is set to: making the deliveries waits for the disk, also for the change."""
    team.execute("SET synchronous_commit = off")
    for number in range(15):
        book_untold(team, NINE + number // 3 * HOUR)
        written = one_row(team, "SELECT pg_current_wal_insert_lsn() AS at")["at"]
        assert len(make(team)) == 1
        row = one_row(team, "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn AS durable", (written,))
        assert row["durable"]


def test_two_who_tell_share_the_work(team: Connection, connect: Connect) -> None:
    """Neither waits for the other, and nothing is told of twice."""
    first, second = book_untold(team), book_untold(team, NINE + HOUR)
    other = connect()
    with other.transaction():
        assert appointments(make(other, 1)) == [first.answer["appointment_id"]]
        assert appointments(make(team)) == [second.answer["appointment_id"]]
    assert make(team) == []


def test_many_who_tell_at_once_tell_of_each_once(team: Connection, connect: Connect) -> None:
    """Eight processes and 24 changes: 24 deliveries."""
    made = {book_untold(team, NINE + number // 3 * HOUR / 2).answer["appointment_id"] for number in range(24)}
    clients = [connect() for _ in range(8)]

    def work(client: Connection) -> list[str]:
        found: list[str] = []
        while count(client, "changes", "NOT told"):
            found += appointments(make(client, 3))
        return found

    def worker(client: Connection) -> Callable[[], list[str]]:
        return lambda: work(client)

    told = [one for found in at_once([worker(client) for client in clients]) for one in found]
    assert (len(told), set(told)) == (24, made)
    assert count(team, "webhook_deliveries") == 24


def test_who_dies_before_telling_leaves_it_to_the_sweep(team: Connection) -> None:
    """What was committed and not told of is told of by the sweep, and marked as published."""
    made = book_untold(team)
    sent: list[str] = []
    until = monotonic() + 30
    assert outbox.sweep_all(team, send=sent.extend, now=datetime.now(UTC), deadline=until) == 1
    assert appointments([json.loads(one) for one in sent]) == [made.answer["appointment_id"]]
    assert count(team, "webhook_deliveries", "published_at IS NULL") == 0
    assert outbox.sweep_all(team, send=sent.extend, now=LATER - 300 * DAY, deadline=until) == 1, "unheard of"


def test_a_sweep_tells_of_all_that_there_is(team: Connection) -> None:
    """More than it takes at once is no reason to leave something."""
    team.execute(
        "INSERT INTO changes (change_id, tenant_id, type, appointment_id, version, told)"
        " SELECT uuidv7(), %s, 'appointment.updated', uuidv7(), 1, false FROM generate_series(1, 250)",
        (TENANT,),
    )
    sent: list[str] = []
    done = outbox.sweep_all(team, send=sent.extend, now=datetime.now(UTC), deadline=monotonic() + 30)
    assert (done, len(sent)) == (250, 250)


def test_who_dies_between_making_and_sending_leaves_it_to_the_sweep(team: Connection) -> None:
    """The deliveries are there and not published: the sweep sends them after its grace, under their ids."""
    book_untold(team)
    with pytest.raises(QueueError):
        outbox.tell(team, send=fail_to_send, now=LATER)
    row = one_row(team, "SELECT delivery_id, published_at FROM webhook_deliveries")
    assert row["published_at"] is None
    [again] = sweep(team, LATER)
    assert again["delivery_id"] == str(row["delivery_id"])


def test_what_is_untold_counts_as_waiting(team: Connection) -> None:
    """A relay that stands still is seen: the health check counts what it has not told of."""
    book_untold(team)
    now = datetime.now(UTC)
    assert (outbox.waiting(team, now=now), outbox.waiting(team, now=now + MINUTE)) == (0, 1)
    make(team)
    assert outbox.waiting(team, now=now + MINUTE) == 1, "made and not published"


def test_an_endpoint_gets_nothing_from_before_it_was_made(team: Connection) -> None:
    """One that is made between a change and its telling is not told."""
    book_untold(team)
    add_subscriber(team, "late", "appointment.*")
    assert [one["kind"] for one in make(team)] == ["crm"]
    assert len(make_after(team)) == 2


def make_after(connection: Connection) -> list[dict[str, Any]]:
    """Book another time, and return its messages."""
    return book(connection, NINE + HOUR).messages


def test_an_endpoint_is_told_if_it_is_on_when_the_deliveries_are_made(team: Connection) -> None:
    """One that is turned off in between misses the event and can recover it; one turned on gets it."""
    set_endpoint(team, created_at=datetime.now(UTC) - DAY)
    book_untold(team)
    set_endpoint(team, enabled=False)
    assert outbox.make_deliveries(team, limit=9) == (1, [])
    book_untold(team, NINE + HOUR)
    set_endpoint(team, enabled=True)
    [message] = make(team)
    assert message["kind"] == "crm"
    assert recover(team) == 1, "the first alone"
    assert count(team, "webhook_deliveries") == 2


def test_a_recovery_in_between_sends_nothing_twice(team: Connection) -> None:
    """What is not told of yet is not missed: the endpoint gets it with the others."""
    set_endpoint(team, created_at=datetime.now(UTC) - DAY)
    book_untold(team)
    assert recover(team) == 0
    assert len(make(team)) == 1
    assert recover(team) == 0
    assert count(team, "webhook_deliveries") == 1


def recover(connection: Connection) -> int:
    """Recover what the CRM missed in the last hour; return how many deliveries that is."""
    row = one_row(connection, "SELECT endpoint_id FROM webhook_endpoints WHERE kind = 'crm'")
    now = datetime.now(UTC)
    done = endpoints.recover(
        connection,
        tenant_id=TENANT,
        endpoint_id=row["endpoint_id"],
        since=now - timedelta(hours=1),
        key=NO_KEY,
        now=now,
    )
    found: int = done.answer["deliveries"]
    return found


def tell_all(connection: Connection, send: Callable[[Sequence[str]], None], *, seconds: float = 60.0) -> None:
    """Tell of everything, for so long."""
    outbox.tell_all(connection, messages=(), send=send, now=LATER, deadline=monotonic() + seconds)


def test_everything_is_told_without_the_sweep(team: Connection) -> None:
    """A change of a team can cancel hundreds of appointments at once: all are told of after its answer."""
    for _ in range(220):
        with team.transaction():
            cancel(team, book(team, NINE))
    sent: list[str] = []
    tell_all(team, sent.extend)
    assert len(sent) == 440
    assert not count(team, "changes", "NOT told")


def test_one_at_a_time_tells(team: Connection, connect: Connect) -> None:
    """Others leave their events to it; their own messages they send."""
    book_untold(team)
    with connect() as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('make_deliveries', 0))")
        tell_all(team, fail_to_send)
        assert count(team, "changes", "NOT told") == 1
        message, sent = {"delivery_id": str(uuid4())}, list[str]()
        outbox.tell_all(team, messages=[message], send=sent.extend, now=LATER, deadline=monotonic() + 60)
        assert [json.loads(one) for one in sent] == [message]
        assert count(team, "changes", "NOT told") == 1


def test_what_others_leave_is_told(team: Connection, connect: Connect) -> None:
    """Who tells looks again afterwards: another one may have come and gone meanwhile."""
    book_untold(team)
    sent: list[str] = []

    def send(bodies: Sequence[str]) -> None:
        if not sent:
            with connect() as other:
                book_untold(other, NINE + HOUR)
        sent.extend(bodies)

    tell_all(team, send)
    assert len(sent) == 2


def test_whoever_has_told_for_long_looks_a_last_time(team: Connection, connect: Connect) -> None:
    """It does so beside others: those who came meanwhile rely on it."""
    book_untold(team)
    sent: list[str] = []
    with connect() as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('make_deliveries', 0))")
        tell_all(team, sent.extend, seconds=0)
    assert len(sent) == 1


def test_events_in_other_hands_are_not_waited_for(team: Connection, connect: Connect) -> None:
    """Somebody else has the event's row: one look more, and that is all."""
    book_untold(team)
    begun = monotonic()
    with connect() as other, other.transaction():
        other.execute("SELECT FROM changes FOR NO KEY UPDATE")
        tell_all(team, fail_to_send, seconds=3.0)
    assert monotonic() - begun < 2.0
    assert count(team, "changes", "NOT told") == 1
