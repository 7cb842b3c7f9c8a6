"""Each change waits for the disk before it is answered, though its commit does not."""

import pytest

from fairslot.domain.idempotency import NO_KEY
from fairslot.platform.db import Connection
from tests.support import bookings
from tests.support.tables import one_row
from tests.support.team import add_team


@pytest.mark.parametrize("name", bookings.CHANGES)
def test_an_answered_change_is_on_the_disk(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Several in a row: the server writes to the disk by itself now and then, but not after each."""
    # Telling waits for the disk, too.
    monkeypatch.setattr(bookings, "told", lambda _, change: change)
    add_team(connection, 9)
    for _ in range(4):
        change = bookings.change_of(connection, name)
        connection.execute("SELECT pg_logical_emit_message(false, 'test', '', true)")
        before = one_row(connection, "SELECT pg_current_wal_insert_lsn() AS at")["at"]
        change(connection, key=NO_KEY)
        row = one_row(connection, "SELECT pg_current_wal_flush_lsn() > %s::pg_lsn AS durable", (before,))
        assert row["durable"]
