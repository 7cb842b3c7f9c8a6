"""An endpoint's life: failing, warned of, turned off, and well again; and calendars that grow stale."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from fairslot.coach_time import sync
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.endpoint_world import add_subscriber, report
from tests.support.world import NINE, NOW, Coach, add_calendar, add_coach, add_endpoint, add_team, book

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def told(connection: Connection) -> Connection:
    """A team, a subscriber `patient` of appointments, and one `watcher` of all that goes wrong."""
    add_team(connection, 3)
    add_subscriber(connection, "patient", "appointment.*", "endpoint.*")
    add_subscriber(connection, "watcher", "endpoint.*", "calendar.stale")
    return connection


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


def test_who_was_turned_on_again_is_judged_by_what_comes_after(told: Connection) -> None:
    """An attempt of before is recorded late: neither its 410 nor its failure counts."""
    fail(told, NOW, "http_410")
    assert not endpoint(told)["enabled"]
    told.execute("UPDATE webhook_endpoints SET enabled = true, updated_at = %s", (NOW + MINUTE,))
    assert fail(told, NOW + MINUTE / 2, "http_410") == []
    fail(told, NOW + MINUTE / 2, "http_500")
    found = endpoint(told)
    assert (found["enabled"], found["failing_since"]) == (True, None)
    fail(told, NOW + 2 * MINUTE, "http_410")
    assert not endpoint(told)["enabled"]


@pytest.mark.parametrize(
    "error", ["internal", "invalid_message", "circuit_open", "over_limit", "secret_unavailable"]
)
def test_what_is_not_its_fault_is_not_held_against_it(told: Connection, error: str) -> None:
    """Our own mistakes, our own caution and our own key's failure are no failure of the endpoint."""
    fail(told, NOW, error)
    assert endpoint(told)["failing_since"] is None


def test_the_days_are_settings(told: Connection, environment: Callable[..., None]) -> None:
    """How long an endpoint may fail before the warning and before the end is for the operator to say."""
    environment(ENDPOINT_WARNING_DAYS="1", ENDPOINT_DISABLE_DAYS="1.5")
    fail(told, NOW)
    (warning,) = fail(told, NOW + DAY)
    assert (warning["type"], warning["data"]["disabled_after"]) == (
        "endpoint.failing",
        "2026-03-04T00:00:00Z",
    )
    assert fail(told, NOW + 1.4 * DAY) == []
    (ending,) = fail(told, NOW + 1.5 * DAY)
    assert ending["type"] == "endpoint.disabled"


@pytest.mark.parametrize("partner", ["calendar_api", "crm"])
def test_one_call_that_is_gone_is_not_the_partner(told: Connection, partner: str) -> None:
    """410 for one coach's block or one contact says nothing of the partner as a whole: it is a failure."""
    told.execute("UPDATE webhook_endpoints SET enabled = false, disabled_reason = 'by_request'")
    add_endpoint(told, partner, "appointment.*")
    told.execute("UPDATE coaches SET calendar_kind = 'calendar_api'")
    told.execute("INSERT INTO coach_syncs (coach_id, synced_at) SELECT coach_id, now() FROM coaches")
    assert fail(told, NOW, "http_410") == []
    row = told.execute(
        "SELECT enabled, failing_since FROM webhook_endpoints WHERE kind = %s", (partner,)
    ).fetchone()
    assert row == {"enabled": True, "failing_since": NOW}


def test_a_calendar_that_grows_stale_is_told_of_once(told: Connection) -> None:
    """Once a lapse, also for one that was never read; a reading ends the lapse, a coach of ours has none."""
    add_coach(told, Coach(coach_id="outside", kind="calendar_api"))
    add_coach(told, Coach(coach_id="never", kind="calendar_api"))
    add_calendar(told, "ext", ["outside"])
    sync.request(told, coach_ids=["outside", "never"], now=NOW)
    told.execute("UPDATE coach_syncs SET synced_at = %s WHERE coach_id = 'outside'", (NOW,))
    later = NOW + timedelta(seconds=901)
    assert outbox.emit_stale(told, now=NOW + timedelta(seconds=899)) == []
    messages = outbox.emit_stale(told, now=later)
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
    assert outbox.emit_stale(told, now=later + DAY) == []
    told.execute("UPDATE coach_syncs SET synced_at = %s WHERE coach_id = 'outside'", (later + DAY,))
    assert outbox.emit_stale(told, now=later + DAY) == []
    assert len(outbox.emit_stale(told, now=later + 2 * DAY)) == 1
