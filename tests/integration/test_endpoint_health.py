"""An endpoint's life: failing, warned of, turned off, and well again; and calendars that grow stale."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from fairslot.coach_time import sync
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.attempts import record_attempt
from tests.support.bookings import book, delete_appointments
from tests.support.clock import DAY, HOUR, MINUTE, NINE, NOW
from tests.support.endpoints import add_endpoint, add_subscriber, set_endpoint
from tests.support.readings import connect_calendars
from tests.support.tables import one_row
from tests.support.team import TENANT, add_calendar, add_coach, add_team


@pytest.fixture
def watched(connection: Connection) -> Connection:
    """A team, a subscriber `patient` of appointments, and one `watcher` of all that goes wrong."""
    add_team(connection, 3)
    add_subscriber(connection, "patient", "appointment.*", "endpoint.*")
    add_subscriber(connection, "watcher", "endpoint.*", "calendar.stale")
    return connection


def endpoint(connection: Connection, name: str = "patient") -> dict[str, Any]:
    """Return an endpoint's row."""
    return one_row(connection, "SELECT * FROM webhook_endpoints WHERE description = %s", (name,))


def fail(connection: Connection, at: datetime, error: str = "http_500") -> list[dict[str, Any]]:
    """Book, fail to tell `patient` at an instant, and return what follows."""
    (message,) = book(connection, NINE).messages
    delete_appointments(connection)
    return record_attempt(connection, message, error, at=at)


def succeed(connection: Connection, at: datetime) -> None:
    """Book and tell `patient` at an instant."""
    (message,) = book(connection, NINE + HOUR).messages
    delete_appointments(connection)
    assert record_attempt(connection, message, at=at) == []


def test_days_of_failure_turn_an_endpoint_off_after_a_warning(watched: Connection) -> None:
    """Four days in the others are warned, once; five days in the endpoint is off, and they are told why."""
    assert fail(watched, NOW) == []
    assert fail(watched, NOW + 3.9 * DAY) == []
    (warning,) = fail(watched, NOW + 4 * DAY)
    patient, watcher = endpoint(watched), endpoint(watched, "watcher")
    assert (warning["type"], warning["endpoint_id"]) == ("endpoint.failing", str(watcher["endpoint_id"]))
    assert warning["data"] == {
        "endpoint_id": str(patient["endpoint_id"]),
        "kind": "standard",
        "description": "patient",
        "failing_since": "2026-03-02T12:00:00Z",
        "disabled_after": "2026-03-07T12:00:00Z",
    }
    assert fail(watched, NOW + 4.9 * DAY) == []
    assert endpoint(watched)["enabled"]
    (ending,) = fail(watched, NOW + 5 * DAY)
    assert (ending["type"], ending["data"]["reason"]) == ("endpoint.disabled", "failing")
    patient = endpoint(watched)
    assert (patient["enabled"], patient["disabled_reason"]) == (False, "failing")
    assert patient["disabled_at"] == NOW + 5 * DAY
    assert book(watched).messages == []


def test_a_warning_comes_a_day_before_the_end(watched: Connection) -> None:
    """An endpoint that is rarely told of anything has a day from its warning, however long it has failed."""
    fail(watched, NOW)
    (warning,) = fail(watched, NOW + 9 * DAY)
    assert (warning["type"], warning["data"]["disabled_after"]) == (
        "endpoint.failing",
        "2026-03-12T12:00:00Z",
    )
    assert fail(watched, NOW + 9.9 * DAY) == []
    (ending,) = fail(watched, NOW + 10 * DAY)
    assert ending["type"] == "endpoint.disabled"


def test_one_success_clears_the_account(watched: Connection) -> None:
    """After it the days are counted again, with a new warning; a success from before does not count."""
    fail(watched, NOW)
    fail(watched, NOW + 4 * DAY)
    succeed(watched, NOW - DAY)
    assert endpoint(watched)["warned_at"] == NOW + 4 * DAY
    succeed(watched, NOW + 4.5 * DAY)
    assert (endpoint(watched)["failing_since"], endpoint(watched)["warned_at"]) == (None, None)
    assert fail(watched, NOW + 5 * DAY) == []
    assert [one["type"] for one in fail(watched, NOW + 9 * DAY)] == ["endpoint.failing"]


def test_an_endpoint_that_is_gone_is_turned_off_at_once(watched: Connection) -> None:
    """410 needs no days and no warning."""
    (ending,) = fail(watched, NOW, "http_410")
    assert (ending["type"], ending["data"]["reason"]) == ("endpoint.disabled", "gone")
    assert (endpoint(watched)["enabled"], endpoint(watched)["disabled_reason"]) == (False, "gone")
    assert book(watched).messages == []


def test_who_was_turned_on_again_is_judged_by_what_comes_after(watched: Connection) -> None:
    """An attempt of before is recorded late: neither its 410 nor its failure counts."""
    fail(watched, NOW, "http_410")
    assert not endpoint(watched)["enabled"]
    set_endpoint(watched, enabled=True, updated_at=NOW + MINUTE)
    assert fail(watched, NOW + MINUTE / 2, "http_410") == []
    fail(watched, NOW + MINUTE / 2, "http_500")
    found = endpoint(watched)
    assert (found["enabled"], found["failing_since"]) == (True, None)
    fail(watched, NOW + 2 * MINUTE, "http_410")
    assert not endpoint(watched)["enabled"]


@pytest.mark.parametrize(
    "error", ["internal", "invalid_message", "circuit_open", "over_limit", "secret_unavailable"]
)
def test_what_is_not_its_fault_is_not_held_against_it(watched: Connection, error: str) -> None:
    """Our own mistakes, our own caution and our own key's failure are no failure of the endpoint."""
    fail(watched, NOW, error)
    assert endpoint(watched)["failing_since"] is None


def test_the_days_are_settings(watched: Connection, environment: Callable[..., None]) -> None:
    """How long an endpoint may fail before the warning and before the end is for the operator to say."""
    environment(ENDPOINT_WARNING_DAYS="1", ENDPOINT_DISABLE_DAYS="1.5")
    fail(watched, NOW)
    (warning,) = fail(watched, NOW + DAY)
    assert (warning["type"], warning["data"]["disabled_after"]) == (
        "endpoint.failing",
        "2026-03-04T00:00:00Z",
    )
    assert fail(watched, NOW + 1.4 * DAY) == []
    (ending,) = fail(watched, NOW + 1.5 * DAY)
    assert ending["type"] == "endpoint.disabled"


@pytest.mark.parametrize("partner", ["calendar_api", "crm"])
def test_one_call_that_is_gone_is_not_the_partner(watched: Connection, partner: str) -> None:
    """410 for one coach's block or one contact says nothing of the partner as a whole: it is a failure."""
    set_endpoint(watched, enabled=False, disabled_reason="by_request")
    add_endpoint(watched, partner, "appointment.*")
    connect_calendars(watched)
    assert fail(watched, NOW, "http_410") == []
    row = watched.execute(
        "SELECT enabled, failing_since FROM webhook_endpoints WHERE kind = %s", (partner,)
    ).fetchone()
    assert row == {"enabled": True, "failing_since": NOW}


def stale_messages(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    """Report stale calendars; return the messages of these events."""
    outbox.emit_stale(connection, now=now)
    return outbox.make_deliveries(connection, limit=1000).messages


def test_a_calendar_that_grows_stale_is_told_of_once(watched: Connection) -> None:
    """Once a lapse, also for one that was never read; a reading ends the lapse, a coach of ours has none."""
    add_coach(watched, "outside", kind="calendar_api")
    add_coach(watched, "never", kind="calendar_api")
    add_calendar(watched, "ext", ["outside"])
    sync.request(watched, tenant_id=TENANT, coach_ids=["outside", "never"], now=NOW)
    watched.execute("UPDATE coach_syncs SET synced_at = %s WHERE coach_id = 'outside'", (NOW,))
    later = NOW + timedelta(seconds=901)
    assert stale_messages(watched, NOW + timedelta(seconds=899)) == []
    messages = stale_messages(watched, later)
    watcher = str(endpoint(watched, "watcher")["endpoint_id"])
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
    assert stale_messages(watched, later + DAY) == []
    watched.execute("UPDATE coach_syncs SET synced_at = %s WHERE coach_id = 'outside'", (later + DAY,))
    assert stale_messages(watched, later + DAY) == []
    assert len(stale_messages(watched, later + 2 * DAY)) == 1
