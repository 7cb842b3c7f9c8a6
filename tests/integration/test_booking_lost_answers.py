"""The network loses a request or its answer: a change is made once, and a retry gets the same answer."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from fairslot.domain.errors import UnavailableError
from fairslot.domain.idempotency import NO_KEY, Key
from fairslot.platform import db
from fairslot.platform.db import Connection
from tests.support.bookings import CHANGES, IDEMPOTENCY_KEY, appointment_of, book, change_of, hold
from tests.support.clock import NOW
from tests.support.invariants import check_invariants
from tests.support.proxies import Loss, LossyProxy
from tests.support.tables import count, table_digests
from tests.support.team import add_team


@pytest.fixture
def proxy(
    connection: Connection, database_url: str, environment: Callable[..., None]
) -> Iterator[LossyProxy]:
    """A small team, and a proxy through which the process's own connection goes."""
    add_team(connection, 3)
    with LossyProxy(database_url) as proxy:
        environment(DATABASE_URL=proxy.through)
        db.run(lambda connection: connection.execute("SELECT"))
        yield proxy
        db.close()


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("loss", ["request", "answer"])
def test_a_change_with_a_key_is_made_once(
    connection: Connection, proxy: LossyProxy, loss: Loss, name: str
) -> None:
    """Whichever way it was lost, twice in a row, the change is made once and its answer comes."""
    change = change_of(connection, name)
    before = table_digests(connection)
    proxy.lose(loss, f"CALL engine.commit_{name}(".encode(), times=2)
    done = db.run(lambda connection: change(connection, key=IDEMPOTENCY_KEY))
    assert proxy.cuts == 2
    assert done.replayed is (loss == "answer")
    after = table_digests(connection)
    assert after != before
    again = db.run(lambda connection: change(connection, key=IDEMPOTENCY_KEY))
    assert (again.replayed, again.answer) == (True, done.answer)
    assert table_digests(connection) == after
    check_invariants(connection)


@pytest.mark.parametrize("loss", ["request", "answer"])
def test_a_booking_without_a_key_is_not_tried_again(
    connection: Connection, proxy: LossyProxy, loss: Loss
) -> None:
    """Nobody knows whether it was made, so the caller is told, and it is never made twice."""
    proxy.lose(loss, b"CALL engine.commit_book(")
    with pytest.raises(UnavailableError):
        db.run(book, idempotent=False)
    assert count(connection, "coach_appointments") == (1 if loss == "answer" else 0)
    check_invariants(connection)


def test_who_gives_up_and_comes_back_gets_the_answer(connection: Connection, proxy: LossyProxy) -> None:
    """When every attempt's answer is lost the caller is told to come back, and then gets the first answer."""
    proxy.lose("answer", b"CALL engine.commit_book(", times=5)
    with pytest.raises(UnavailableError):
        db.run(lambda connection: book(connection, key=IDEMPOTENCY_KEY))
    assert proxy.cuts == 5
    done = db.run(lambda connection: book(connection, key=IDEMPOTENCY_KEY))
    assert done.replayed
    row = connection.execute("SELECT appointment_id FROM coach_appointments").fetchone()
    assert row == {"appointment_id": appointment_of(done).appointment_id}


@pytest.mark.parametrize("loss", ["request", "answer"])
@pytest.mark.parametrize("key", [IDEMPOTENCY_KEY, NO_KEY])
def test_clearing_expired_holds_may_be_cut_off_too(
    connection: Connection, proxy: LossyProxy, loss: Loss, key: Key
) -> None:
    """Between the two attempts of a booking that found expired holds nothing is lost or booked twice."""
    for _ in range(3):
        hold(connection)
    later = NOW + timedelta(minutes=5)
    proxy.lose(loss, b"SELECT engine.expire_holds(")
    db.run(lambda connection: book(connection, key=key, now=later), idempotent=key.value is not None)
    assert count(connection, "coach_appointments") == 1
    check_invariants(connection)
