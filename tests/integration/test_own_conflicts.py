"""A refusal that met our own block is no conflict, however much of what went before is unknown or late."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from fairslot.domain.idempotency import ChangeResult
from fairslot.messages.attempts import Outcome
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.attempts import Message, block_of, record_attempt, replay_delivery
from tests.support.bookings import appointment_now, appointment_of, book, reschedule
from tests.support.clock import HOUR, NINE, NOW, SECOND
from tests.support.endpoints import add_endpoint, set_delivery
from tests.support.readings import connect_calendars
from tests.support.team import add_team

_OUTCOMES: dict[str | None, Outcome] = {
    None: "delivered",
    "already_blocked": "failed",
    "circuit_open": "held",
}


@pytest.fixture
def made(connection: Connection) -> ChangeResult:
    """An appointment with a coach whose calendar is behind the calendar API; the CRM is told of changes."""
    add_team(connection, 1)
    connect_calendars(connection)
    add_endpoint(connection, "calendar_api", "appointment.*")
    add_endpoint(connection, "crm", "appointment.conflict", "appointment.updated")
    return book(connection)


@pytest.fixture
def block(made: ChangeResult) -> Message:
    """The message that asks for its block."""
    return block_of(made)


def report(
    connection: Connection,
    message: Message,
    error: str | None = None,
    *,
    attempt: int = 1,
    at: datetime = NOW,
    block: str | None = None,
) -> list[Message]:
    """Record an attempt with a block or an error, each a second after the one before."""
    more = {"outcome": _OUTCOMES.get(error, "retrying"), "answer": {"block_id": block} if block else {}}
    return record_attempt(connection, message, error, attempt=attempt, at=at + attempt * SECOND, **more)


def types(messages: Sequence[Message]) -> list[tuple[str, int]]:
    """Return what is told and of which version."""
    return [(one["type"], one["version"]) for one in messages]


def conflict_state(connection: Connection, made: ChangeResult) -> tuple[bool, str | None, int]:
    """Return whether an appointment is a conflict, its block and its version."""
    found = appointment_now(connection, made)
    return found.conflict, found.external_calendar_id, found.version


@pytest.mark.parametrize("before", [{}, {1: "http_503"}, {2: "http_503"}, {1: "http_503", 3: "http_503"}])
def test_an_attempt_that_nobody_told_of_may_have_the_block(
    connection: Connection, made: ChangeResult, block: Message, before: dict[int, str]
) -> None:
    """Whoever made one of the attempts before died after the answer: the refusal may be our own block's."""
    for number, error in before.items():
        report(connection, block, error, attempt=number)
    assert report(connection, block, "already_blocked", attempt=max(before, default=0) + 2) == []
    assert conflict_state(connection, made) == (False, None, 1)


def test_a_refusal_after_failures_that_are_all_known_is_a_conflict(
    connection: Connection, made: ChangeResult, block: Message
) -> None:
    """The calendar answered each attempt before, and took none."""
    for number in (1, 2):
        report(connection, block, "http_503", attempt=number)
    told = report(connection, block, "already_blocked", attempt=3)
    assert types(told) == [("appointment.conflict", 2)]
    assert conflict_state(connection, made) == (True, None, 2)


def test_what_is_held_back_is_no_attempt_that_is_missing(
    connection: Connection, made: ChangeResult, block: Message
) -> None:
    """A copy that waited carries the number made before it, and those are on record."""
    report(connection, block, "http_503")
    report(connection, block, "circuit_open")
    assert types(report(connection, block, "already_blocked", attempt=2)) == [("appointment.conflict", 2)]


def test_an_answer_that_is_recorded_late_shows_the_conflict(
    connection: Connection, made: ChangeResult, block: Message
) -> None:
    """Results overtake one another: once all are known and none got the block, somebody else has the time."""
    assert report(connection, block, "already_blocked", attempt=3) == []
    assert report(connection, block, "http_503", attempt=2) == []
    assert types(report(connection, block, "http_503", attempt=1)) == [("appointment.conflict", 2)]
    assert conflict_state(connection, made) == (True, None, 2)


def test_a_silence_that_is_recorded_late_shows_nothing(
    connection: Connection, made: ChangeResult, block: Message
) -> None:
    """The attempt that was missing ended without an answer."""
    assert report(connection, block, "already_blocked", attempt=2) == []
    assert report(connection, block, "timeout", attempt=1) == []
    assert conflict_state(connection, made) == (False, None, 1)


def test_a_refusal_is_nothing_that_another_attempt_follows(
    connection: Connection, made: ChangeResult, block: Message
) -> None:
    """Sent twice: what the other copy's first attempt met says nothing of this one's, whose maker died."""
    assert report(connection, block, "already_blocked", attempt=2) == []
    assert report(connection, block, "already_blocked", attempt=1) == []
    assert conflict_state(connection, made) == (False, None, 1)


def test_another_round_counts_for_itself(connection: Connection, made: ChangeResult, block: Message) -> None:
    """What a message of the round before goes on doing is noted as of that round."""
    report(connection, block, "http_503")
    set_delivery(connection, status="failed", reason="dead_letter")
    again = replay_delivery(connection, block)
    report(connection, block, "http_503", attempt=2, at=NOW + 2 * HOUR)
    told = report(connection, again, "already_blocked", at=NOW + 2 * HOUR)
    assert types(told) == [("appointment.conflict", 2)]


def test_a_conflict_with_the_same_block_is_taken_back(
    connection: Connection, made: ChangeResult, block: Message
) -> None:
    """Sent twice: the copy that was refused is recorded before the one that got the block."""
    told = report(connection, block, "already_blocked", at=NOW + SECOND)
    assert types(told) == [("appointment.conflict", 2)]
    assert types(report(connection, block, block="b-1")) == [("appointment.updated", 3)]
    assert conflict_state(connection, made) == (False, "b-1", 3)
    assert report(connection, block, block="b-1") == []
    assert report(connection, block, "already_blocked", attempt=2) == []
    assert conflict_state(connection, made) == (False, "b-1", 3)


def test_a_block_that_is_no_conflict_is_no_change(
    connection: Connection, made: ChangeResult, block: Message
) -> None:
    """Where nothing was told, nothing is taken back."""
    assert report(connection, block, block="b-1") == []
    assert conflict_state(connection, made) == (False, "b-1", 1)


@pytest.mark.parametrize("away_first", [True, False])
def test_a_coach_who_is_away_stays_a_conflict(
    connection: Connection, made: ChangeResult, block: Message, *, away_first: bool
) -> None:
    """The block says nothing of that, whichever made the appointment a conflict."""

    def away() -> list[Message]:
        return mark_unavailable(connection, made)

    def refused() -> list[Message]:
        return report(connection, block, "already_blocked", at=NOW + SECOND)

    told, more = (away(), refused()) if away_first else (refused(), away())
    assert (types(told), more) == ([("appointment.conflict", 2)], [])
    assert report(connection, block, block="b-1") == []
    assert conflict_state(connection, made) == (True, "b-1", 2)


def mark_unavailable(connection: Connection, made: ChangeResult) -> list[Message]:
    """Have the appointment kept though its coach is away; return what follows."""
    connection.execute("SELECT engine.mark_unavailable(%s, %s)", (appointment_of(made).appointment_id, NOW))
    return outbox.make_deliveries(connection, limit=9).messages


def test_the_block_of_a_time_that_was_left_takes_nothing_back(
    connection: Connection, made: ChangeResult, block: Message
) -> None:
    """Moved meanwhile, and refused there: the block of the old time is released, and the conflict stays."""
    report(connection, block, "already_blocked", at=NOW + SECOND)
    moved = reschedule(connection, made, NINE + HOUR)
    report(connection, block_of(moved), "already_blocked", at=NOW + HOUR)
    before = conflict_state(connection, made)
    [release] = report(connection, block, block="b-1")
    assert release["data"]["action"] == "release"
    assert conflict_state(connection, made) == before == (True, None, 4)
