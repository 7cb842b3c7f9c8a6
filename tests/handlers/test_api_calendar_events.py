"""What calendars and partners tell us: kept, acted on once, and answered alike."""

from datetime import datetime, timedelta
from itertools import count as numbers
from typing import Any
from uuid import UUID, uuid4

import pytest

from background import maintenance
from fairslot.coach_time import inbound
from fairslot.coach_time.days import extend_days
from fairslot.platform.db import Connection
from tests.support.clock import MINUTE, NINE, NOW
from tests.support.endpoints import add_endpoint
from tests.support.fixtures import Clock
from tests.support.http import Answer, add_key, ask, book, booked, check_problem
from tests.support.invariants import check_invariants
from tests.support.lambda_context import context
from tests.support.queues import Queues
from tests.support.readings import were_read
from tests.support.tables import count, one_row, table_digests
from tests.support.team import add_calendar, add_coach

PATH = "/api/webhooks/calendar"
_numbers = numbers()


def tell(event_type: str, *, key: str | None = "", tenant: str = "test-key-123", **members: Any) -> Answer:
    """Send an event under a key of its own unless told."""
    headers = {} if key is None else {"X-Idempotency-Key": key or f"event-{next(_numbers)}"}
    return ask("POST", PATH, {"event_type": event_type, **members}, headers=headers, key=tenant)


def outcome(connection: Connection, answer: Answer) -> str | None:
    """Return what came of an event that had to be taken in."""
    assert answer.status == 200, answer
    assert answer.json["received"] is True
    assert set(answer.json) == {"received", "event_id"}
    row = one_row(
        connection, "SELECT outcome FROM inbound_events WHERE event_id = %s", (UUID(answer.json["event_id"]),)
    )
    found: str | None = row["outcome"]
    return found


@pytest.fixture
def external(team: Connection, queues: Queues) -> Connection:
    """One coach more, alone on the calendar `ext`, whose own calendar is elsewhere and was read just now."""
    add_coach(team, "outside", kind="calendar_api")
    add_calendar(team, "ext", ["outside"])
    extend_days(team, now=NOW)
    team.execute("UPDATE coach_slots SET external = ~0::bit(104) WHERE coach_id = 'outside'")
    were_read(team, NOW, asked=NOW - MINUTE)
    return team


def test_a_key_is_required(team: Connection) -> None:
    """Without a key, or with an empty one, an event is 400 and is not kept."""
    before = table_digests(team)
    check_problem(tell("coach.calendar_changed", key=None, coach_id="coach-01"), 400, "VALIDATION_ERROR")
    blank = ask("POST", PATH, {"event_type": "x"}, headers={"X-Idempotency-Key": ""})
    check_problem(blank, 400, "VALIDATION_ERROR")
    assert table_digests(team) == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event_type": ""},
        {"event_type": 5},
        {"event_type": "e" * 101},
        {"event_type": "appointment.cancelled"},
        {"event_type": "appointment.cancelled", "appointment_id": "nothing"},
        {"event_type": "coach.unavailable"},
        {"event_type": "coach.unavailable", "coach_id": ""},
        {"event_type": "coach.unavailable", "coach_id": "coach-01", "start_time": "2026-03-03T14:00:00"},
        {"event_type": "coach.unavailable", "coach_id": "coach-01", "start_time": "2026-03-03T14:00:00Z"},
        {"event_type": "coach.unavailable", "coach_id": "coach-01", "end_time": "2026-03-03T14:00:00Z"},
        {"event_type": "coach.available", "start_time": "2026-03-03T14:00:00Z"},
        {"event_type": "coach.available", "coach_id": "coach-01", "end_time": "2026-03-03T14:00:00Z"},
        {
            "event_type": "coach.unavailable",
            "coach_id": "coach-01",
            "start_time": "2026-03-03T15:00:00Z",
            "end_time": "2026-03-03T14:00:00Z",
        },
    ],
)
def test_an_event_that_cannot_be_meant_is_refused(team: Connection, body: dict[str, Any]) -> None:
    """Without its subject, or with times the wrong way round, an event is 422 and is not kept."""
    before = table_digests(team)
    check_problem(ask("POST", PATH, body, headers={"X-Idempotency-Key": "k"}), 422, "VALIDATION_ERROR")
    assert table_digests(team) == before


def test_the_same_event_again_is_the_same_answer(external: Connection, queues: Queues) -> None:
    """A repetition is acknowledged as before and has no second effect."""
    first = tell("coach.calendar_changed", key="k", coach_id="outside")
    assert "idempotent-replayed" not in first.headers
    before = table_digests(external)
    queues.take("FETCHES")
    for _ in range(2):
        again = tell("coach.calendar_changed", key="k", coach_id="outside")
        assert (again.status, again.json) == (200, first.json)
        assert again.headers["idempotent-replayed"] == "true"
    assert table_digests(external) == before
    assert queues.take("FETCHES") == []


def test_another_event_under_the_same_key_is_refused(team: Connection) -> None:
    """A key belongs to what it came with first."""
    tell("coach.calendar_changed", key="k", coach_id="coach-01")
    before = table_digests(team)
    check_problem(tell("coach.calendar_changed", key="k", coach_id="coach-02"), 422, "IDEMPOTENCY_KEY_REUSED")
    check_problem(tell("something.else", key="k"), 422, "IDEMPOTENCY_KEY_REUSED")
    assert table_digests(team) == before


@pytest.mark.parametrize("event_type", ["calendar.renamed", "appointment.confirmed", "appointment.updated"])
def test_what_needs_no_action_is_acknowledged(team: Connection, event_type: str) -> None:
    """Types that we do not act on, known or not, are kept as they came."""
    made = booked()
    answer = tell(event_type, appointment_id=made["appointment_id"], colour={"old": "red"})
    assert outcome(team, answer) == "noted"
    row = one_row(team, "SELECT body FROM inbound_events")
    assert row["body"]["colour"] == {"old": "red"}
    assert ask("GET", f"/api/appointments/{made['appointment_id']}").json["version"] == 1


def test_a_changed_calendar_is_read_again(external: Connection, queues: Queues) -> None:
    """One request to read the coach's calendar goes out at once."""
    assert outcome(external, tell("coach.calendar_changed", coach_id="outside")) == "sync"
    (fetch,) = queues.take("FETCHES")
    assert (fetch["coach_id"], fetch["kind"]) == ("outside", "calendar_api")


def test_many_changes_are_few_reads(external: Connection, queues: Queues, clock: Clock) -> None:
    """A calendar that changes all the time is read once in ten seconds, and once after the last change."""
    for number in range(60):
        clock(NOW + timedelta(seconds=number / 10))
        assert outcome(external, tell("coach.calendar_changed", coach_id="outside")) == "sync"
    (fetch,) = queues.take("FETCHES")
    assert datetime.fromisoformat(fetch["requested_at"]) == NOW
    assert queues.delayed("FETCHES") == 1
    row = external.execute("SELECT requested_at FROM calendar_sources").fetchone()
    assert row == {"requested_at": NOW + timedelta(seconds=10)}


def test_an_unavailable_coach_is_not_offered_any_more(external: Connection, queues: Queues) -> None:
    """The stretch is shut at once, whole slots around it, and the calendar is read again."""
    query = {"calendar_id": "ext", "start": "2026-03-03T14:00:00Z", "end": "2026-03-03T16:00:00Z"}
    assert len(ask("GET", "/api/availability", query=query).json["slots"]) == 8
    answer = tell(
        "coach.unavailable",
        coach_id="outside",
        start_time="2026-03-03T15:10:00+00:00",
        end_time="2026-03-03T10:20:00-05:00",
    )
    assert outcome(external, answer) == "sync"
    left = [slot["start_time"][11:16] for slot in ask("GET", "/api/availability", query=query).json["slots"]]
    assert left == ["14:00", "14:15", "14:30", "15:30", "15:45"]
    check_problem(book("2026-03-03T15:00:00Z", calendar_id="ext"), 409, "SLOT_UNAVAILABLE")
    assert [fetch["coach_id"] for fetch in queues.take("FETCHES")] == ["outside"]


def test_without_times_an_unavailable_coach_is_only_read_again(external: Connection, queues: Queues) -> None:
    """Nothing is shut that was not said."""
    before = table_digests(external)["coach_slots"]
    assert outcome(external, tell("coach.unavailable", coach_id="outside")) == "sync"
    assert table_digests(external)["coach_slots"] == before
    assert len(queues.take("FETCHES")) == 1


def test_a_cancelled_appointment_frees_its_time(team: Connection, queues: Queues) -> None:
    """The appointment is cancelled as by the system, its subscribers are told, and its time can be booked."""
    add_endpoint(team, "crm", "appointment.*")
    made = [booked() for _ in range(3)]
    queues.take("DELIVERIES")
    answer = tell("appointment.cancelled", appointment_id=made[0]["appointment_id"], reason="moved away")
    assert outcome(team, answer) == "cancelled"
    row = team.execute(
        "SELECT cancelled_by, cancel_reason FROM coach_appointments WHERE status = 'cancelled'"
    ).fetchall()
    assert row == [{"cancelled_by": "system", "cancel_reason": "moved away"}]
    (told,) = queues.take("DELIVERIES")
    assert (told["type"], told["data"]["appointment_id"]) == (
        "appointment.cancelled",
        made[0]["appointment_id"],
    )
    assert booked()["coach_id"] == made[0]["coach_id"]
    check_invariants(team)


def test_what_is_cancelled_already_or_not_there_is_acknowledged(team: Connection) -> None:
    """An event that can have no effect any more is taken in, so that nobody sends it for ever."""
    made = booked()
    assert outcome(team, tell("appointment.cancelled", appointment_id=made["appointment_id"])) == "cancelled"
    again = tell("appointment.cancelled", appointment_id=made["appointment_id"])
    assert outcome(team, again) == "illegal_transition"
    assert outcome(team, tell("appointment.cancelled", appointment_id=str(uuid4()))) == "not_found"
    assert outcome(team, tell("coach.calendar_changed", coach_id="nobody")) == "not_found"


def test_what_belongs_to_others_is_left_alone(external: Connection, queues: Queues) -> None:
    """An event about another tenant's coach or appointment is taken in and does nothing."""
    add_key(external, "other-key", tenant_id="other")
    made = booked()
    theirs = {"audit_entries", "inbound_events"}
    before = {name: digest for name, digest in table_digests(external).items() if name not in theirs}
    cancelled = tell("appointment.cancelled", tenant="other-key", appointment_id=made["appointment_id"])
    shut = tell(
        "coach.unavailable",
        tenant="other-key",
        coach_id="outside",
        start_time="2026-03-03T14:00:00Z",
        end_time="2026-03-03T18:00:00Z",
    )
    changed = tell("coach.calendar_changed", tenant="other-key", coach_id="outside")
    assert {outcome(external, answer) for answer in (cancelled, shut, changed)} == {"not_found"}
    after = {name: digest for name, digest in table_digests(external).items() if name not in theirs}
    assert after == before
    assert [count(external, name, "tenant_id <> 'other'") for name in sorted(theirs)] == [0, 0]
    assert queues.take("FETCHES") == []


def test_an_event_that_was_kept_and_not_acted_on_is_finished_later(
    team: Connection, queues: Queues, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the work after keeping fails, the sender's retry is acknowledged and the sweep does the work."""
    made = booked()

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(inbound, "process", fail)
        lost = tell("appointment.cancelled", key="k", appointment_id=made["appointment_id"])
        check_problem(lost, 500, "INTERNAL_ERROR")
    again = tell("appointment.cancelled", key="k", appointment_id=made["appointment_id"])
    assert outcome(team, again) is None
    clock(NOW + MINUTE)
    assert maintenance.lambda_handler({"task": "outbox"}, context())["events"] == 1
    assert outcome(team, again) == "cancelled"
    assert maintenance.lambda_handler({"task": "outbox"}, context())["events"] == 0
    assert count(team, "inbound_events") == 1
    assert booked(NINE)["start_time"] == made["start_time"]
