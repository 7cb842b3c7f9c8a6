"""Statements about ledgers see one tenant, also where nothing before them has looked."""

from uuid import uuid4

import psycopg
import pytest

from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from tests.support.bookings import book
from tests.support.clock import NINE, NOW
from tests.support.tables import one_row, table_digests
from tests.support.team import TENANT, add_team

OTHER = "other"
ADJUST = {"coach": "coach-01", "kind": "normal", "amount": 1, "reason": "why"}


@pytest.fixture
def adjusted(connection: Connection) -> Connection:
    """A team with a booking and an adjustment."""
    add_team(connection, 3)
    book(connection)
    values = {"tenant": TENANT, "calendar": "cal", "adjustment": uuid4(), "now": NOW, **ADJUST}
    connection.execute(queries("adjustments")["adjust"], values)
    return connection


@pytest.mark.parametrize(
    ("aggregate", "statement"),
    [
        ("adjustments", "get"),
        ("adjustments", "list_page"),
        ("record", "size"),
        ("record", "page"),
        ("decisions", "kind"),
        ("distribution", "ledgers"),
    ],
)
def test_what_another_has_is_not_read(adjusted: Connection, aggregate: str, statement: str) -> None:
    """The statement itself leaves it out."""
    row = one_row(adjusted, "SELECT change_id FROM changes WHERE type = 'credit.adjusted'")
    values = {"calendar": "cal", "adjustment": row["change_id"], "after": 0, "limit": 9, "start": NINE}
    sql = queries(aggregate)[statement]
    assert adjusted.execute(sql, {"tenant": TENANT, **values}).fetchall()
    assert adjusted.execute(sql, {"tenant": OTHER, **values}).fetchall() == []


def test_what_another_has_is_not_adjusted(adjusted: Connection) -> None:
    """It is not found."""
    before = table_digests(adjusted)
    values = {"tenant": OTHER, "calendar": "cal", "adjustment": uuid4(), "now": NOW, **ADJUST}
    with pytest.raises(psycopg.Error) as caught:
        adjusted.execute(queries("adjustments")["adjust"], values)
    assert caught.value.sqlstate == "FS404"
    assert table_digests(adjusted) == before


def test_what_another_has_is_not_settled(adjusted: Connection) -> None:
    """Nothing is found to settle."""
    before = table_digests(adjusted)
    values = {"coach": "coach-01", "event": uuid4(), "reason": None, "now": NOW}
    adjusted.execute(queries("absences")["settle"], {"tenant": OTHER, **values})
    assert table_digests(adjusted) == before
    adjusted.execute(queries("absences")["settle"], {"tenant": TENANT, **values})
    assert table_digests(adjusted) != before
