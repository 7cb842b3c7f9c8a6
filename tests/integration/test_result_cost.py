"""What recording that a block was made costs: as much after a thousand bookings as after the first."""

import statistics
from functools import partial

import pytest

from bench.booking_parts import server_ns
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.attempts import Message, attempt_of
from tests.support.bookings import book
from tests.support.clock import DAY, HALF, MINUTE, NINE, NOW
from tests.support.endpoints import set_endpoint
from tests.support.tables import rows_read

pytestmark = pytest.mark.usefixtures("ana")

A_DAY = 8
# Its own rows and those of its day, by two looks.
FEW = 4 * A_DAY


def booked(connection: Connection, count: int) -> list[Message]:
    """Book some half hours of each day; return the messages of their deliveries."""
    starts = [NINE + number // A_DAY * DAY + number % A_DAY * HALF for number in range(count)]
    return [message for start in starts for message in book(connection, start).messages]


def made(connection: Connection, message: Message) -> None:
    """Record that a block was made, or that the CRM was told."""
    name = "crm_id" if message["kind"] == "crm" else "block_id"
    answer = {name: message["delivery_id"]}
    outbox.record(connection, attempt=attempt_of(message, at=NOW + MINUTE, answer=answer))


def test_the_result_of_a_block_reads_no_other_appointments(connection: Connection) -> None:
    """Neither the history, also where Postgres has no statistics yet, nor the coach's later time."""
    messages = booked(connection, 200)
    tables = ["changes", "webhook_deliveries", "coach_appointments"]
    read = rows_read(connection, tables, partial(made, connection, messages[0]))
    assert max(read.values()) <= FEW, read


def test_the_result_of_a_block_is_planned_once(connection: Connection) -> None:
    """It looks for other blocks over its time, and costs the server at most twice what the CRM's costs."""
    set_endpoint(connection, "crm", event_types=["appointment.*"])
    took: dict[str, list[int]] = {"crm": [], "calendar_api": []}
    for message in booked(connection, 60):
        took[message["kind"]].append(
            server_ns(connection.info.backend_pid, partial(made, connection, message))
        )
    crm, block = (statistics.median(times[20:]) for times in took.values())
    assert block <= 2 * crm, f"{block / 1000:.0f} and {crm / 1000:.0f} µs"
