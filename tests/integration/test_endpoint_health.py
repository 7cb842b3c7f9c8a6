"""An endpoint's life: failing, warned of, turned off, and well again; and calendars that grow stale."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from fairslot import outbox, sync
from fairslot.db import Connection
from tests.endpoint_world import report
from tests.world import NINE, NOW, Coach, add_calendar, add_coach, add_endpoint, add_team, book

DAY = timedelta(days=1)


@pytest.fixture
def told(connection: Connection) -> Connection:
    """A team, a subscriber `patient` of appointments, and one `watcher` of all that goes wrong."""
    add_team(connection, 3)
    add_subscriber(connection, "patient", "appointment.*", "endpoint.*")
    add_subscriber(connection, "watcher", "endpoint.*", "calendar.stale")
    return connection


def add_subscriber(connection: Connection, name: str, *types: str) -> None:
    """Make a subscriber; nobody opens its secret here."""
    connection.execute(
        "INSERT INTO webhook_endpoints (tenant_id, kind, url, description, event_types, secret)"
        " VALUES ('default', 'standard', %s, %s, %s, 'ciphertext')",
        (f"https://{name}.example.com/", name, list(types)),
    )


def endpoint(connection: Connection, name: str = "patient") -> dict[str, Any]:
    """Return an endpoint's row."""
    row = connection.execute("SELECT * FROM webhook_endpoints WHERE description = %s", (name,)).fetchone()
    assert row is not None
    return row


def fail(connection: Connection, at: datetime, error: str = "http_500") -> list[dict[str, Any]]:
    """Book, fail to tell `patient` at an instant, and return what follows."""
    (message,) = book(connection, NINE).messages
    connection.execute("UPDATE coach_slots SET booked = 0, taken = 0::bit(104)")
    connection.execute("DELETE FROM coach_appointments")
    return report(connection, message, error, at=at)


def succeed(connection: Connection, at: datetime) -> None:
    """Book and tell `patient` at an instant."""
    (message,) = book(connection, NINE + timedelta(hours=1)).messages
    connection.execute("UPDATE coach_slots SET booked = 0, taken = 0::bit(104)")
    connection.execute("DELETE FROM coach_appointments")
    assert report(connection, message, at=at) == []


def test_days_of_failure_turn_an_endpoint_off_after_a_warning(told: Connection) -> None:
    """Four days in the others are warned, once; five days in the endpoint is off, and they are told why."""
    assert fail(told, NOW) == []
    assert fail(told, NOW + 3.9 * DAY) == []
    (warning,) = fail(told, NOW + 4 * DAY)
    patient, watcher = endpoint(told), endpoint(told, "watcher")
    assert (warning["type"], warning["endpoint_id"]) == ("endpoint.failing", str(watcher["endpoint_id"]))
    assert warning["data"] == {
        "endpoint_id": str(patient["endpoint_id"]),
        "kind": "standard",
        "description": "patient",
        "failing_since": "2026-03-02T12:00:00Z",
        "disabled_after": "2026-03-07T12:00:00Z",
    }
    assert fail(told, NOW + 4.9 * DAY) == []
    assert endpoint(told)["enabled"]
    (ending,) = fail(told, NOW + 5 * DAY)
    assert (ending["type"], ending["data"]["reason"]) == ("endpoint.disabled", "failing")
    patient = endpoint(told)
    assert (patient["enabled"], patient["disabled_reason"]) == (False, "failing")
    assert patient["disabled_at"] == NOW + 5 * DAY
    assert book(told).messages == []


def test_a_warning_comes_a_day_before_the_end(told: Connection) -> None:
    """An endpoint that is rarely told of anything has a day from its warning, however long it has failed."""
    fail(told, NOW)
    (warning,) = fail(told, NOW + 9 * DAY)
    assert (warning["type"], warning["data"]["disabled_after"]) == (
        "endpoint.failing",
        "2026-03-12T12:00:00Z",
    )
    assert fail(told, NOW + 9.9 * DAY) == []
    (ending,) = fail(told, NOW + 10 * DAY)
    assert ending["type"] == "endpoint.disabled"


def test_one_success_clears_the_account(told: Connection) -> None:
    """After it the days are counted anew, and a warning is given anew; a success from before counts not."""
    fail(told, NOW)
    fail(told, NOW + 4 * DAY)
    succeed(told, NOW - DAY)
    assert endpoint(told)["warned_at"] == NOW + 4 * DAY
    succeed(told, NOW + 4.5 * DAY)
    assert (endpoint(told)["failing_since"], endpoint(told)["warned_at"]) == (None, None)
    assert fail(told, NOW + 5 * DAY) == []
    assert [one["type"] for one in fail(told, NOW + 9 * DAY)] == ["endpoint.failing"]


def test_an_endpoint_that_is_gone_is_turned_off_at_once(told: Connection) -> None:
    """410 needs no days and no warning."""
    (ending,) = fail(told, NOW, "http_410")
    assert (ending["type"], ending["data"]["reason"]) == ("endpoint.disabled", "gone")
    assert (endpoint(told)["enabled"], endpoint(told)["disabled_reason"]) == (False, "gone")
    assert book(told).messages == []


def test_what_is_not_its_fault_is_not_held_against_it(told: Connection) -> None:
    """Our own mistakes are no failure of the endpoint."""
    fail(told, NOW, "internal")
    fail(told, NOW, "invalid_message")
    assert endpoint(told)["failing_since"] is None


def test_one_block_that_is_gone_is_not_the_calendar_api(told: Connection) -> None:
    """410 for one coach's block says nothing of the partner as a whole."""
    told.execute("UPDATE webhook_endpoints SET enabled = false, disabled_reason = 'by_request'")
    add_endpoint(told, "calendar_api", "appointment.*")
    told.execute("UPDATE coaches SET calendar_kind = 'calendar_api'")
    told.execute("INSERT INTO coach_syncs (coach_id, synced_at) SELECT coach_id, now() FROM coaches")
    assert fail(told, NOW, "http_410") == []
    row = told.execute("SELECT enabled FROM webhook_endpoints WHERE kind = 'calendar_api'").fetchone()
    assert row == {"enabled": True}


def test_a_calendar_that_grows_stale_is_told_of_once(told: Connection) -> None:
    """Once a lapse, also for one that was never read; a reading ends the lapse, a coach of ours has none."""
    add_coach(told, Coach(coach_id="outside", kind="calendar_api"))
    add_coach(told, Coach(coach_id="never", kind="calendar_api"))
    add_calendar(told, "ext", ["outside"])
    sync.request(told, coach_ids=["outside", "never"], now=NOW)
    told.execute("UPDATE coach_syncs SET synced_at = %s WHERE coach_id = 'outside'", (NOW,))
    later = NOW + timedelta(seconds=901)
    assert outbox.tell_stale(told, now=NOW + timedelta(seconds=899)) == []
    messages = outbox.tell_stale(told, now=later)
    watcher = str(endpoint(told, "watcher")["endpoint_id"])
    assert [(one["type"], one["endpoint_id"]) for one in messages] == [("calendar.stale", watcher)] * 2
    assert [one["data"] for one in messages] == [
        {"coach_id": "never", "synced_at": None, "error": None, "calendar_ids": []},
        {
            "coach_id": "outside",
            "synced_at": "2026-03-02T12:00:00Z",
            "error": None,
            "calendar_ids": ["ext"],
        },
    ]
    assert outbox.tell_stale(told, now=later + DAY) == []
    told.execute("UPDATE coach_syncs SET synced_at = %s WHERE coach_id = 'outside'", (later + DAY,))
    assert outbox.tell_stale(told, now=later + DAY) == []
    assert len(outbox.tell_stale(told, now=later + 2 * DAY)) == 1
