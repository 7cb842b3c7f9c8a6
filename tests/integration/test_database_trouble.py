"""A server that cannot work just now, for want of space or because it goes down, is not a fault of ours."""

from collections.abc import Callable

import psycopg
import pytest

from fairslot.domain.errors import UnavailableError
from fairslot.platform import db
from fairslot.platform.db import Connection, translate

STATES = (
    "53000",  # insufficient resources
    "53100",  # disk full
    "53200",  # out of memory
    "53300",  # too many connections
    "53400",  # a configured limit
    "57P01",  # the administrator shuts it down
    "57P02",  # another session crashed it
    "57P03",  # it cannot take connections now
    "57P05",  # the session was idle for too long
    "58000",  # the system
    "58030",  # a file cannot be read or written
    "58P01",  # a file is missing
    "25006",  # it has become a replica, which takes no writes
)


@pytest.mark.parametrize("state", STATES)
def test_a_server_in_trouble_is_unavailable(connection: Connection, state: str) -> None:
    """It is 503 for the client, who may try again, and no fault of the request."""
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$".encode())
    assert raised.value.sqlstate == state
    assert isinstance(translate(raised.value), UnavailableError)


def test_a_replica_is_left_for_the_server_that_takes_writes(
    connection: Connection, environment: Callable[..., None]
) -> None:
    """After a failover the old server is still there: its connection is given up, and the next is another."""
    first = db.run(lambda own: own.info.backend_pid)

    def write(own: Connection) -> None:
        own.execute("SET default_transaction_read_only = on")
        own.execute("DELETE FROM api_keys")

    with pytest.raises(UnavailableError):
        db.run(write)
    assert db.run(lambda own: own.info.backend_pid) != first
