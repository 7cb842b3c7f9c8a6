"""The appointment stands in its coach's calendars exactly once, and nobody fights the coach."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import pytest

from background.permits import lambda_handler
from fairslot.booking.appointments import CalendarEvent
from fairslot.calendars import opening
from fairslot.calendars.interface import CalendarError, EventKey
from fairslot.coach_time.days import extend_days
from fairslot.domain.errors import NotFoundError
from fairslot.platform.db import Connection
from fairslot.webhooks import calendar_events, endpoints
from fairslot.webhooks.retention import delete_settled
from tests.support.attempts import replay_delivery
from tests.support.bookings import (
    appointment_now,
    appointment_of,
    book,
    cancel,
    reassign,
    report_outcome,
    reschedule,
)
from tests.support.calendar_writes import Calendars, FakeCalendar, Message, to_calendars, told
from tests.support.clock import DAY, HALF, HOUR, MINUTE, NINE, NOW
from tests.support.fixtures import Connect, Environment
from tests.support.lambda_context import context
from tests.support.permits import Permits, permits
from tests.support.race import wait_until, waiting
from tests.support.sources import source_row
from tests.support.tables import count, one_row, set_columns
from tests.support.team import TENANT, add_team

ANA, BEN = "coach-01", "coach-02"
TEN = NINE + HOUR
TEN_UNTIL = TEN + HALF
NINE_UNTIL = NINE + HALF


@pytest.fixture
def calendars(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Calendars:
    """No calendar yet, of a team of two."""
    add_team(connection, 2)
    made = Calendars(connection)
    monkeypatch.setattr(opening, "open_writable", made.open)
    return made


@pytest.fixture
def permitting(database_url: str) -> Iterator[Permits]:
    """The function that permits."""
    with permits(database_url) as made:
        yield made


@pytest.fixture
def source(calendars: Calendars) -> UUID:
    """Ana's calendar, which is written and was read."""
    return add_read(calendars, ANA)


def add_read(calendars: Calendars, coach_id: str) -> UUID:
    """Add a coach's calendar and read it once."""
    source_id = calendars.add(coach_id)
    calendars.read(source_id, coach_id=coach_id, at=NOW - MINUTE)
    return source_id


def state(connection: Connection, source_id: UUID) -> str | None:
    """Return how the only appointment's event stands in a calendar."""
    row = one_row(
        connection,
        "SELECT engine.calendar_event_state(e => event, s => source) AS state FROM calendar_events AS event"
        "  JOIN calendar_sources AS source USING (source_id) WHERE source_id = %s",
        [source_id],
    )
    return None if row["state"] is None else str(row["state"])


def spans(calendar: FakeCalendar) -> list[tuple[object, object]]:
    """Return where events of ours stand."""
    return sorted(calendar.events.values())


def only_key(calendar: FakeCalendar) -> EventKey:
    """Return the key of the only event."""
    [key] = calendar.events
    return key


def test_a_booking_is_written(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """The message says all that is needed, and nothing of the customer."""
    [message] = to_calendars(book(connection).messages)
    assert message["data"] == {
        "write": "put",
        "appointment_id": message["data"]["appointment_id"],
        "source_id": str(source),
        "source_generation": 1,
        "generation": 1,
        "event_revision": 1,
        "kind": "google",
        "url": "https://dav.example.com/",
        "calendar_ref": None,
        "credentials": None,
        "time_zone": "America/New_York",
        "start_time": "2026-03-03T14:00:00Z",
        "end_time": "2026-03-03T14:30:00Z",
        "ref": None,
        "title": "Booked: Cal",
    }
    calendars.carry_out([message])
    assert spans(calendars.known[source]) == [(NINE, NINE_UNTIL)]
    assert state(connection, source) == "confirmed"


def test_a_life_is_written(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """Move, outcome and cancellation: the event follows, and what has happened stays."""
    made = book(connection)
    calendars.carry_out(made.messages)
    moved = reschedule(connection, made, TEN)
    calendars.carry_out(moved.messages)
    assert spans(calendars.known[source]) == [(TEN, TEN_UNTIL)]
    assert [one for one, *_ in calendars.known[source].written] == ["put", "put"]
    calendars.carry_out(report_outcome(connection, made, "no_show", now=TEN_UNTIL).messages)
    assert spans(calendars.known[source]) == [(TEN, TEN_UNTIL)]


def test_a_cancellation_removes(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """And nothing is left to do."""
    made = book(connection)
    calendars.carry_out(made.messages)
    calendars.carry_out(cancel(connection, made).messages)
    assert spans(calendars.known[source]) == []
    assert state(connection, source) is None
    assert calendars.sweep() == []


def test_one_write_at_a_time(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """Changes meanwhile send nothing; when the answer comes, what is wanted by then is written, once."""
    made = book(connection)
    [first] = to_calendars(made.messages)
    assert to_calendars(reschedule(connection, made, TEN).messages) == []
    assert to_calendars(reschedule(connection, made, TEN + HOUR).messages) == []
    [second] = calendars.record(calendars.attempt(first))
    assert second["data"]["start_time"] == "2026-03-03T16:00:00Z"
    assert calendars.record(calendars.attempt(second)) == []
    assert spans(calendars.known[source]) == [(TEN + HOUR, TEN + HOUR + HALF)]


def test_a_cancellation_before_the_answer(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """The removal waits for the creation that is under way."""
    made = book(connection)
    [put] = to_calendars(made.messages)
    assert to_calendars(cancel(connection, made).messages) == []
    calendars.carry_out([put])
    assert spans(calendars.known[source]) == []


def test_a_reassignment_goes_from_one_to_the_other(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """And back: the event that was deleted keeps its id, so the next generation is written."""
    other = add_read(calendars, BEN)
    made = book(connection)
    calendars.carry_out(made.messages)
    first, second = (source, other) if appointment_of(made).coach_id == ANA else (other, source)
    calendars.carry_out(reassign(connection, made).messages)
    assert (spans(calendars.known[first]), spans(calendars.known[second])) == ([], [(NINE, NINE_UNTIL)])
    back = to_calendars(reassign(connection, made).messages)
    assert sorted((one["data"]["write"], one["data"]["generation"]) for one in back) == [
        ("put", 2),
        ("remove", 1),
    ]
    calendars.carry_out(back)
    assert (spans(calendars.known[first]), spans(calendars.known[second])) == ([(NINE, NINE_UNTIL)], [])
    assert only_key(calendars.known[first]).generation == 2


def test_a_lost_answer(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """The second attempt finds what the first has written."""
    [put] = to_calendars(book(connection).messages)
    calendars.known[source].fault, calendars.known[source].after = CalendarError("timeout"), True
    assert calendars.record(calendars.attempt(put)) == []
    assert state(connection, source) == "pending"
    assert calendars.record(calendars.attempt(put, 2, at=NOW + MINUTE)) == []
    assert spans(calendars.known[source]) == [(NINE, NINE_UNTIL)]
    assert state(connection, source) == "confirmed"


def test_a_creation_that_arrives_late(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """Seen after its removal it is removed again."""
    made = book(connection)
    calendars.carry_out(made.messages)
    key = only_key(calendars.known[source])
    calendars.carry_out(cancel(connection, made).messages)
    calendars.known[source].events[key] = (NINE, NINE_UNTIL)
    calendars.read(source, coach_id=ANA, at=NOW + MINUTE)
    calendars.carry_out(calendars.sweep())
    assert spans(calendars.known[source]) == []
    assert told(connection) == []


def test_a_late_copy_of_a_message_is_undone(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """A message that was kept back writes an old time; its answer has the right one written again."""
    made = book(connection)
    [put] = to_calendars(made.messages)
    calendars.carry_out([put])
    calendars.carry_out(reschedule(connection, made, TEN).messages)
    [again] = calendars.record(calendars.attempt(put, at=NOW + MINUTE))
    assert spans(calendars.known[source]) == [(NINE, NINE_UNTIL)]
    calendars.carry_out([again])
    assert spans(calendars.known[source]) == [(TEN, TEN_UNTIL)]


def test_a_late_copy_whose_answer_is_lost(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """A reading sees the event where we once had it: that is no change of the coach's."""
    made = book(connection)
    [put] = to_calendars(made.messages)
    calendars.carry_out([put])
    calendars.carry_out(reschedule(connection, made, TEN).messages)
    calendars.attempt(put, at=NOW + MINUTE)
    calendars.read(source, coach_id=ANA, at=NOW + 2 * MINUTE)
    calendars.carry_out(calendars.sweep())
    assert spans(calendars.known[source]) == [(TEN, TEN_UNTIL)]
    assert told(connection) == []


def test_an_old_delivery_sent_again_writes_nothing(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """Whoever replays it gets what is true by now: there is nothing to do."""
    made = book(connection)
    [put] = to_calendars(made.messages)
    calendars.carry_out([put])
    calendars.carry_out(reschedule(connection, made, TEN).messages)
    again = replay_delivery(connection, put)
    assert again["data"]["write"] == "none"
    calendars.carry_out([again])
    assert spans(calendars.known[source]) == [(TEN, TEN_UNTIL)]


def test_a_coach_who_moves_is_told_of_once(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """And the event stays where the coach wants it."""
    made = book(connection)
    calendars.carry_out(made.messages)
    key = only_key(calendars.known[source])
    calendars.known[source].events[key] = (TEN, TEN_UNTIL)
    for minutes in (1, 2):
        calendars.read(source, coach_id=ANA, at=NOW + minutes * MINUTE)
        calendars.carry_out(calendars.sweep())
    [event] = told(connection)
    assert event == {
        "appointment_id": str(appointment_of(made).appointment_id),
        "calendar_id": "cal",
        "coach_id": ANA,
        "source_id": str(source),
        "what": "moved",
        "from": {"start_time": "2026-03-03T14:00:00Z", "end_time": "2026-03-03T14:30:00Z"},
        "to": {"start_time": "2026-03-03T15:00:00Z", "end_time": "2026-03-03T15:30:00Z"},
    }
    assert spans(calendars.known[source]) == [(TEN, TEN_UNTIL)]
    assert state(connection, source) == "moved"


def test_a_coach_who_deletes_is_told_of_once(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """It stays deleted until the appointment changes: that is written as a new event."""
    made = book(connection)
    calendars.carry_out(made.messages)
    calendars.known[source].delete(only_key(calendars.known[source]))
    for minutes in (1, 2):
        calendars.read(source, coach_id=ANA, at=NOW + minutes * MINUTE)
        calendars.carry_out(calendars.sweep())
    [event] = told(connection)
    assert (event["what"], event["to"]) == ("deleted", None)
    assert spans(calendars.known[source]) == []
    calendars.carry_out(reschedule(connection, made, TEN).messages)
    assert spans(calendars.known[source]) == [(TEN, TEN_UNTIL)]
    assert only_key(calendars.known[source]).generation == 2


def test_a_reading_that_began_before_the_answer_says_nothing(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """It may have looked before the event was written."""
    made = book(connection)
    calendars.carry_out(made.messages, at=NOW + MINUTE)
    calendars.read(source, coach_id=ANA, at=NOW, own=[])
    assert told(connection) == []


def test_a_partial_reading_says_nothing_of_what_it_did_not_see(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """Ours may be among the events that could not be read."""
    calendars.carry_out(book(connection).messages)
    calendars.read(source, coach_id=ANA, at=NOW + MINUTE, own=[], unreadable=1, own_is_whole=False)
    assert told(connection) == []


def test_an_event_of_an_earlier_generation_is_removed(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """A creation of long ago that arrives once the next one stands."""
    other = add_read(calendars, BEN)
    made = book(connection)
    calendars.carry_out(made.messages)
    for _ in range(2):
        calendars.carry_out(reassign(connection, made).messages)
    coach = appointment_of(made).coach_id
    now_in = source if coach == ANA else other
    key = only_key(calendars.known[now_in])
    stray = EventKey(appointment_id=key.appointment_id, source_id=key.source_id, generation=1)
    calendars.known[now_in].events[stray] = (NINE, NINE_UNTIL)
    calendars.read(now_in, coach_id=coach, at=NOW + MINUTE)
    calendars.carry_out(calendars.sweep())
    assert list(calendars.known[now_in].events) == [key]


def test_a_provider_that_gives_up_is_asked_again(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """Once it can be read again, an hour later: nothing waits for a person."""
    [put] = to_calendars(book(connection).messages)
    calendars.known[source].fault = CalendarError("http_503")
    calendars.record(calendars.attempt(put, 100))
    assert state(connection, source) == "failed"
    calendars.read(source, coach_id=ANA, at=NOW + MINUTE)
    assert calendars.sweep(at=NOW + MINUTE) == []
    calendars.read(source, coach_id=ANA, at=NOW + 2 * HOUR)
    calendars.carry_out(calendars.sweep(at=NOW + 2 * HOUR))
    assert spans(calendars.known[source]) == [(NINE, NINE_UNTIL)]


def test_a_move_replaces_what_has_given_up(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """And the dead letter of the old one writes nothing any more."""
    made = book(connection)
    [put] = to_calendars(made.messages)
    calendars.known[source].fault = CalendarError("http_503")
    calendars.record(calendars.attempt(put, 100))
    calendars.carry_out(reschedule(connection, made, TEN).messages)
    calendars.carry_out([replay_delivery(connection, put)])
    assert spans(calendars.known[source]) == [(TEN, TEN_UNTIL)]


def test_a_redriven_dead_letter_is_written(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """What gave up, and is still wanted so."""
    [put] = to_calendars(book(connection).messages)
    calendars.known[source].fault = CalendarError("http_503")
    calendars.record(calendars.attempt(put, 100))
    calendars.carry_out([replay_delivery(connection, put)])
    assert spans(calendars.known[source]) == [(NINE, NINE_UNTIL)]


def test_a_disconnected_calendar_waits(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """The provider's clear word ends the source, and is told of; connected again, all is written."""
    made = book(connection)
    [put] = to_calendars(made.messages)
    calendars.known[source].fault = CalendarError("access_revoked", ended="disconnected")
    calendars.record(calendars.attempt(put))
    [event] = told(connection, "calendar.disconnected")
    assert (event["source_id"], event["error"]) == (str(source), "access_revoked")
    assert state(connection, source) == "waiting"
    assert to_calendars(reschedule(connection, made, TEN).messages) == []
    assert calendars.sweep() == []
    set_columns(connection, "calendar_sources", {"source_id": source}, {"ended": None, "generation": 2})
    calendars.carry_out(calendars.sweep())
    assert spans(calendars.known[source]) == [(TEN, TEN_UNTIL)]


def test_the_word_about_another_account_does_not_disconnect(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """The message was made before the calendar was connected again."""
    [put] = to_calendars(book(connection).messages)
    set_columns(connection, "calendar_sources", {"source_id": source}, {"generation": 2})
    calendars.known[source].fault = CalendarError("access_revoked", ended="disconnected")
    calendars.carry_out([put])
    assert told(connection, "calendar.disconnected") == []
    assert spans(calendars.known[source]) == [(NINE, NINE_UNTIL)]


def test_a_removed_source_is_left_alone(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """With it goes what was still to be written; what stands there stays, as we have no access any more."""
    made = book(connection)
    [put] = to_calendars(made.messages)
    attempt = calendars.attempt(put)
    connection.execute("DELETE FROM calendar_sources WHERE source_id = %s", [source])
    assert calendars.record(attempt) == []
    assert count(connection, "calendar_events") == 0
    calendars.carry_out(cancel(connection, made).messages)


def test_what_was_deleted_while_it_was_never_confirmed_is_made_anew(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """Its id is taken, and nobody can know by whom: the next generation is written."""
    [put] = to_calendars(book(connection).messages)
    calendar = calendars.known[source]
    calendar.fault, calendar.after = CalendarError("timeout"), True
    calendars.record(calendars.attempt(put))
    calendar.delete(only_key(calendar))
    calendars.carry_out([put], at=NOW + MINUTE)
    assert spans(calendar) == [(NINE, NINE_UNTIL)]
    assert only_key(calendar).generation == 2


def test_a_provider_that_always_refuses_is_not_asked_for_ever(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """A few generations, then it has failed."""
    [put] = to_calendars(book(connection).messages)
    messages: list[Message] = [put]
    for number in range(10):
        if not messages:
            break
        calendars.known[source].fault = CalendarError("conflict")
        messages = calendars.record(calendars.attempt(messages[0], at=NOW + number * MINUTE))
    assert messages == []
    assert state(connection, source) == "failed"


def test_a_message_that_was_kept_back_asks_first(
    connection: Connection,
    calendars: Calendars,
    source: UUID,
    environment: Environment,
    permitting: Permits,
) -> None:
    """Its time is over: it writes nothing. While it is under way it may be sent twice."""
    environment(**permitting.environment)
    made = book(connection)
    [put] = to_calendars(made.messages)
    assert [calendars.attempt(put, at=NOW + number * MINUTE).error for number in range(2)] == [None, None]
    calendars.carry_out([put])
    calendars.carry_out(reschedule(connection, made, TEN).messages)
    late = calendars.attempt(put, at=NOW + HOUR)
    assert (late.error, late.outcome) == ("superseded", "failed")
    assert calendars.record(late) == []
    assert spans(calendars.known[source]) == [(TEN, TEN_UNTIL)]


def test_without_an_answer_nothing_is_written(
    connection: Connection,
    calendars: Calendars,
    source: UUID,
    environment: Environment,
    permitting: Permits,
) -> None:
    """It is tried again."""
    environment(**permitting.environment)
    permitting.broken = True
    [put] = to_calendars(book(connection).messages)
    made = calendars.attempt(put)
    assert (made.error, made.outcome) == ("permit_unchecked", "retrying")
    assert spans(calendars.known[source]) == []


def test_the_function_permits_what_is_under_way(
    connection: Connection, calendars: Calendars, source: UUID, environment: Environment
) -> None:
    """For some seconds, and nothing else."""
    environment()
    [put] = to_calendars(book(connection).messages)
    asked = {"delivery_id": put["delivery_id"], "what": "calendar_event"}
    assert lambda_handler(asked, context()) == {"seconds": calendar_events.PERMITTED_SECONDS}
    calendars.carry_out([put])
    assert lambda_handler(asked, context()) == {"seconds": 0.0}


def test_a_calendar_added_later_gets_what_is_to_come(connection: Connection, calendars: Calendars) -> None:
    """And when it is no longer written, what stands there is removed."""
    start = datetime.now(UTC).replace(hour=15, minute=0, second=0, microsecond=0) + 3 * DAY
    extend_days(connection, now=start - 2 * DAY)
    for _ in range(2):
        book(connection, start, now=start - 2 * DAY)
    source = calendars.add(ANA)
    calendars.carry_out(calendars.sweep(at=start - DAY), at=start - DAY)
    assert spans(calendars.known[source]) == [(start, start + HALF)]
    set_columns(connection, "calendar_sources", {"source_id": source}, {"writes": False})
    calendars.carry_out(calendars.sweep(at=start - DAY), at=start - DAY)
    assert spans(calendars.known[source]) == []


def test_a_calendar_that_is_only_read_is_not_ended_by_a_removal(
    connection: Connection, calendars: Calendars
) -> None:
    """Connected again to be read, it allows no removal any more: that has failed, and reading goes on."""
    start = datetime.now(UTC).replace(hour=15, minute=0, second=0, microsecond=0) + 3 * DAY
    extend_days(connection, now=start - 2 * DAY)
    for _ in range(2):
        book(connection, start, now=start - 2 * DAY)
    source = calendars.add(ANA)
    calendars.carry_out(calendars.sweep(at=start - DAY), at=start - DAY)
    set_columns(connection, "calendar_sources", {"source_id": source}, {"writes": False})
    [remove] = calendars.sweep(at=start - DAY)
    calendars.known[source].fault = CalendarError("forbidden", ended="disconnected")
    assert calendars.record(calendars.attempt(remove, at=start - DAY)) == []
    assert told(connection, "calendar.disconnected") == []
    assert source_row(connection, source)["ended"] is None
    assert calendars.sweep(at=start - DAY) == []


def test_where_no_calendar_is_written_none_is_looked_at(connection: Connection) -> None:
    """Each booking's event is told of by whoever asks that, however many calendars are read."""
    plan = connection.execute(
        "EXPLAIN SELECT FROM calendar_sources WHERE writes AND kind IN ('google', 'microsoft', 'caldav')"
    ).fetchall()
    assert "calendar_sources_written" in str(plan)


def test_what_is_over_is_forgotten(connection: Connection, calendars: Calendars, source: UUID) -> None:
    """Our record of it; in the calendar it stays."""
    calendars.carry_out(book(connection).messages)
    for days, left in ((89, 1), (91, 0)):
        delete_settled(connection, now=NINE_UNTIL + days * DAY, deadline=monotonic() + 60)
        assert count(connection, "calendar_events") == left
    assert spans(calendars.known[source]) == [(NINE, NINE_UNTIL)]


def test_an_appointment_says_how_its_events_stand(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """One for each calendar that is written; nothing once it is removed."""
    made = book(connection)
    assert [*appointment_now(connection, made).calendar_events] == [
        CalendarEvent(source_id=source, state="pending")
    ]
    calendars.carry_out(made.messages)
    assert [one.state for one in appointment_now(connection, made).calendar_events] == ["confirmed"]
    removed = cancel(connection, made)
    assert [one.state for one in appointment_now(connection, made).calendar_events] == ["removing"]
    calendars.carry_out(removed.messages)
    assert appointment_now(connection, made).calendar_events == ()


def test_calendars_are_no_endpoint_to_be_set(
    connection: Connection, calendars: Calendars, source: UUID
) -> None:
    """Nobody finds, changes or turns off what stands for them."""
    book(connection)
    row = one_row(connection, "SELECT endpoint_id FROM webhook_endpoints WHERE kind = 'calendar_event'")
    assert row["endpoint_id"] not in {
        one["endpoint_id"] for one in endpoints.find_all(connection, tenant_id=TENANT)
    }
    with pytest.raises(NotFoundError):
        endpoints.get(connection, tenant_id=TENANT, endpoint_id=row["endpoint_id"])


def test_who_waits_for_another_reads_what_that_one_knew(
    connection: Connection, calendars: Calendars, source: UUID, connect: Connect
) -> None:
    """Two tell of changes of one appointment: the one that began before the last of them does not win."""
    made = appointment_of(book(connection)).appointment_id
    want, later = "SELECT engine.want_calendar_events(ARRAY[%s::uuid])", connect()
    watcher = connect()
    give(connection, made, BEN, NINE)
    with ThreadPoolExecutor(1) as other:
        with connection.transaction():
            give(connection, made, ANA, TEN)
            connection.execute(want, [made])
            told_of = other.submit(later.execute, want, [made])
            wait_until(lambda: waiting(watcher, [later]) == 1)
        told_of.result()
    row = one_row(connection, "SELECT revision, lower(wanted) AS start FROM calendar_events")
    assert row == {"revision": 2, "start": TEN}


def give(connection: Connection, appointment_id: UUID, coach_id: str, start: datetime) -> None:
    """Give an appointment to a coach at a time, and tell nobody."""
    connection.execute(
        "UPDATE coach_appointments SET coach_id = %(coach)s, start_time = %(start)s, end_time = %(end)s,"
        " takes = tstzrange(%(start)s, %(end)s) WHERE appointment_id = %(id)s",
        {"coach": coach_id, "start": start, "end": start + HALF, "id": appointment_id},
    )
