"""A small history lived by the database goes as the pure rule says in advance."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairslot.coach_time.days import extend_days
from fairslot.domain.fair_share import Candidate, weights
from fairslot.domain.ledger import Books
from fairslot.domain.slots import slot_of
from fairslot.platform.db import Connection
from tests.support.bookings import appointment_of, book, cancel
from tests.support.clock import NINE, NOW, QUARTER
from tests.support.invariants import check_invariants
from tests.support.team import ALWAYS, add_calendar, add_coach

if TYPE_CHECKING:
    from fairslot.domain.idempotency import ChangeResult

BOOKINGS = 400
TEAMS = {"cal-1": range(1, 6), "cal-2": range(2, 8), "cal-3": range(4, 9)}
NEWCOMER, ABSENT = "coach-9", "coach-4"


class Calendar:
    """What the pure rule expects of one calendar."""

    def __init__(self, connection: Connection, calendar_id: str, coaches: Sequence[str]) -> None:
        self.connection = connection
        self.calendar_id = calendar_id
        self.coaches = list(coaches)
        self.books = Books()
        self.seq = 0

    def expect(self, quarter: int) -> str | None:
        """Return who gets a booking at a quarter after NINE, and count it; None if nobody is free."""
        free = {
            row["coach_id"]
            for row in self.connection.execute(
                "SELECT coach_id FROM engine.candidates(%s, %s, 2, 0, 0) WHERE excluded IS NULL",
                (self.calendar_id, slot_of(NINE) + quarter),
            )
        }
        if not free:
            return None
        weighed = weights(
            {coach: SCORES[coach] for coach in self.coaches}, gamma=4, low=0.5, high=2, manual={}
        )
        self.seq += 1
        return self.books.decide(
            self.seq,
            [
                Candidate(
                    coach_id=coach,
                    weight=weighed[coach],
                    credit=self.books.of("normal").of(coach).credit,
                    last_seq=self.books.of("normal").of(coach).last_seq,
                )
                for coach in sorted(free)
            ],
            "fair_share",
        ).chosen

    def undo(self, seq: int) -> None:
        """Count a cancellation."""
        self.seq += 1
        self.books.reverse(seq, dict.fromkeys(self.books.decisions[seq].assignment.shares, 1))


SCORES = {f"coach-{number}": 0.35 + number * 0.06 for number in range(1, 10)}


def test_the_database_does_what_the_rule_says(connection: Connection) -> None:
    """400 bookings with a newcomer, an absence and cancellations: every choice and credit is foreseen."""
    chance = random.Random(3)  # noqa: S311 - a history needs no cryptography
    for coach_id, score in SCORES.items():
        add_coach(connection, coach_id, score=score, working_hours=ALWAYS)
    calendars = {}
    for calendar_id, numbers in TEAMS.items():
        coaches = [f"coach-{number}" for number in numbers]
        add_calendar(connection, calendar_id, coaches)
        calendars[calendar_id] = Calendar(connection, calendar_id, coaches)
    extend_days(connection, now=NOW)
    made: list[tuple[ChangeResult, Calendar, int]] = []
    for number in range(BOOKINGS):
        if number == BOOKINGS // 2:
            connection.execute("SELECT engine.join_team('cal-1', %s, 1)", (NEWCOMER,))
            calendars["cal-1"].coaches.append(NEWCOMER)
        if number in {BOOKINGS // 4, BOOKINGS * 3 // 8}:
            connection.execute("UPDATE coaches SET active = NOT active WHERE coach_id = %s", (ABSENT,))
        calendar = chance.choice(list(calendars.values()))
        quarter = chance.randrange(96 * 14)
        expected = calendar.expect(quarter)
        if expected is None:
            continue
        done = book(connection, NINE + QUARTER * quarter, calendar_id=calendar.calendar_id)
        assert appointment_of(done).coach_id == expected, number
        made.append((done, calendar, calendar.seq))
        if chance.random() < 0.1:
            undone, where, seq = made.pop(chance.randrange(len(made)))
            cancel(connection, undone)
            where.undo(seq)
    for calendar in calendars.values():
        rows = connection.execute(
            "SELECT coach_id, credit FROM coach_credits WHERE calendar_id = %s", (calendar.calendar_id,)
        )
        for row in rows:
            assert row["credit"] == calendar.books.of("normal").of(row["coach_id"]).credit
    check_invariants(connection)
