"""An endpoint's life: failing, warned of, turned off, and well again; and calendars that grow stale."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fairslot import deliveries, outbox, sync
from fairslot.db import Connection
from fairslot.idempotency import Key
from tests.endpoint_world import report
from tests.world import NINE, NOW, Coach, add_calendar, add_coach, add_endpoint, add_team, book

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


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


def test_what_is_held_back_is_shown_and_is_no_attempt(told: Connection) -> None:
    """A delivery that waits says why and until when, until something comes of it; nobody is judged by it."""
    (message,) = book(told, NINE).messages
    later = NOW + timedelta(minutes=5)
    held: dict[str, Any] = {"outcome": "held", "attempt": 0, "next_attempt_at": later}
    for _ in range(2):
        assert report(told, message, "circuit_open", **held) == []
    assert shown(told, message) == ("pending", "circuit_open", later, 0)
    assert endpoint(told)["failing_since"] is None
    report(told, message, "http_500", outcome="retrying", next_attempt_at=later)
    assert shown(told, message) == ("pending", None, later, 1)
    report(told, message, at=later)
    report(told, message, "over_limit", **held)
    assert shown(told, message) == ("delivered", None, None, 2)


def test_what_was_held_back_for_too_long_has_failed(told: Connection) -> None:
    """With the reason, and still without an attempt that nobody made."""
    (message,) = book(told, NINE).messages
    report(told, message, "circuit_open", attempt=0)
    assert shown(told, message) == ("failed", "circuit_open", None, 0)
    assert endpoint(told)["failing_since"] is None


def test_another_message_of_the_same_delivery_does_no_harm(told: Connection) -> None:
    """Sent again and not deleted, a delivery has two messages: neither undoes what the other has done."""
    (message,) = book(told, NINE).messages
    held: dict[str, Any] = {"outcome": "held", "attempt": 1, "next_attempt_at": NOW}
    report(told, message, "http_500")
    report(told, message, "circuit_open", **held)
    waiting: dict[str, Any] = {"outcome": "retrying", "next_attempt_at": NOW}
    report(told, message, "http_500", at=NOW + timedelta(seconds=1), **waiting)
    assert shown(told, message) == ("failed", "http_500", None, 2)
    report(told, message, attempt=2, at=NOW + timedelta(seconds=2))
    report(told, message, "http_500", attempt=2, at=NOW + timedelta(seconds=3))
    assert shown(told, message) == ("delivered", None, None, 4)


@pytest.mark.parametrize(
    ("error", "more"),
    [
        ("http_500", {}),
        (None, {}),
        ("http_500", {"outcome": "retrying", "next_attempt_at": NOW}),
        ("circuit_open", {"outcome": "held", "next_attempt_at": NOW}),
    ],
)
def test_a_late_result_of_an_earlier_round_does_not_end_the_new_one(
    told: Connection, error: str | None, more: dict[str, Any]
) -> None:
    """A message from before a replay may go on after it; the replay ends by what is said of it alone."""
    (message,) = book(told, NINE).messages
    report(told, message, "http_500")
    replay = replayed(told, message)
    report(told, message, error, attempt=2, at=NOW + timedelta(hours=1), **more)
    assert shown(told, message)[:3] == ("pending", None, None)
    report(told, replay, "http_503", at=NOW + timedelta(hours=2))
    assert shown(told, message)[:3] == ("failed", "http_503", None)


def test_a_block_that_was_made_in_an_earlier_round_is_made(told: Connection) -> None:
    """It is something done and not something told: the new round's refusal is no conflict."""
    add_endpoint(told, "calendar_api", "appointment.*")
    told.execute("UPDATE coaches SET calendar_kind = 'calendar_api'")
    told.execute("INSERT INTO coach_syncs (coach_id, synced_at) SELECT coach_id, now() FROM coaches")
    message = next(one for one in book(told, NINE).messages if one["kind"] == "calendar_api")
    report(told, message, "dead_letter")
    replay = replayed(told, message)
    report(told, message, attempt=2, at=NOW + timedelta(hours=1), answer={"block_id": "b-1"})
    report(told, replay, "already_blocked", at=NOW + timedelta(hours=2))
    assert shown(told, message)[0] == "delivered"
    assert told.execute(
        "SELECT external_calendar_id AS block, conflict FROM coach_appointments"
    ).fetchone() == {
        "block": "b-1",
        "conflict": False,
    }


def test_what_arrived_in_an_earlier_round_has_not_failed(told: Connection) -> None:
    """Once the new round has failed too, a success that is told late still counts."""
    (message,) = book(told, NINE).messages
    report(told, message, "http_500")
    report(told, replayed(told, message), "http_500", at=NOW + timedelta(hours=1))
    report(told, message, attempt=2, at=NOW + timedelta(minutes=1))
    assert shown(told, message)[0] == "delivered"


def shown(connection: Connection, message: dict[str, Any]) -> tuple[str, str | None, datetime | None, int]:
    """Return a delivery's status, its reason, when it comes next, and how many attempts there were."""
    row = connection.execute(
        "SELECT status, reason, next_attempt_at, (SELECT count(*) FROM webhook_attempts AS a"
        " WHERE a.delivery_id = d.delivery_id) AS n FROM webhook_deliveries AS d WHERE delivery_id = %s",
        (message["delivery_id"],),
    ).fetchone()
    assert row is not None
    return row["status"], row["reason"], row["next_attempt_at"], row["n"]


def replayed(connection: Connection, message: dict[str, Any]) -> dict[str, Any]:
    """Begin another round of a delivery and return its message."""
    change = deliveries.replay(
        connection,
        tenant_id="default",
        delivery_id=UUID(message["delivery_id"]),
        key=Key(value=None, fingerprint=b""),
        now=NOW + timedelta(minutes=30),
    )
    (sent,) = change.messages
    assert sent["round"] == 2
    return sent


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
