"""Histories of appointments and two coaches' calendars, in which whatever can be lost, late or double is."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from fairslot.calendars.interface import CalendarError, Event, EventKey, Sighting
from fairslot.coach_time.days import extend_days
from fairslot.domain.idempotency import ChangeResult
from fairslot.messages.attempts import Attempt
from fairslot.platform.db import Connection
from fairslot.webhooks import calendar_events, outbox
from tests.support.bookings import book, cancel, reassign, reschedule
from tests.support.calendar_writes import Calendars, FakeCalendar, Message, Span, to_calendars, told
from tests.support.clock import HALF, HOUR, MINUTE, NINE, NOW, SECOND
from tests.support.team import add_calendar, add_coach

# What becomes of an attempt. `stuck`: the request is carried out later, if it can be then. `frozen`: so is
# the whole attempt, whatever was written meanwhile. `unheard`: its result is lost, and its message comes
# again. `revoked`: the token has ended, and with it the source until the coach connects it again.
FATES = (
    "done",
    "done",
    "done",
    "timeout",
    "answer lost",
    "stuck",
    "unavailable",
    "given up",
    "twice",
    "frozen",
    "unheard",
    "revoked",
)
STARTS = [NINE + number * HALF for number in range(8)]
LAST = 1_000


@dataclass(slots=True)
class StuckCalendar(FakeCalendar):
    """A calendar at which creations can get stuck, and arrive late."""

    is_stuck: bool = False
    stuck: list[Event] = field(default_factory=list)

    async def put(self, event: Event) -> Sighting:
        """Create or move an event, unless the request gets stuck."""
        if not self.is_stuck:
            return await FakeCalendar.put(self, event)
        self.is_stuck = False
        if event.key not in self.events and event.key not in self.deleted:
            self.stuck.append(event)
        raise CalendarError("timeout")

    def arrive(self) -> None:
        """Carry out what got stuck first, where there is no such event and none was deleted."""
        event = self.stuck.pop(0)
        if event.key not in self.events and event.key not in self.deleted:
            self.events[event.key] = (event.start, event.end)


@dataclass(slots=True)
class History:
    """A team of two with a calendar each, in a database that has others too."""

    connection: Connection
    calendars: Calendars
    name: str
    clock: datetime = NOW
    sources: list[UUID] = field(default_factory=list)
    coaches: list[str] = field(default_factory=list)
    booked: list[ChangeResult] = field(default_factory=list)
    queue: list[tuple[Message, int]] = field(default_factory=list)
    results: list[Attempt] = field(default_factory=list)
    frozen: list[tuple[Message, int]] = field(default_factory=list)
    readings: list[tuple[int, datetime, int, list[dict[str, Any]]]] = field(default_factory=list)
    edited: set[UUID] = field(default_factory=set)

    def begin(self) -> None:
        """Add the team and its calendars."""
        self.coaches = [f"{self.name}-{one}" for one in ("ana", "ben")]
        for coach_id in self.coaches:
            add_coach(self.connection, coach_id)
        add_calendar(self.connection, self.name, self.coaches)
        extend_days(self.connection, now=NOW, coach_ids=self.coaches, tenant_id="default")
        for coach_id in self.coaches:
            source_id = self.calendars.add(coach_id)
            self.calendars.known[source_id] = StuckCalendar()
            self.sources.append(source_id)
            self.calendars.read(source_id, coach_id=coach_id, at=NOW - MINUTE)

    def step(self, action: str, one: int, other: int) -> None:
        """Do one thing; the numbers choose with what, and how. A minute passes; a push comes in a second."""
        self.clock += SECOND if action == "push" else MINUTE
        getattr(self, f"_{action}")(one, other)

    def settle(self) -> None:
        """Let nothing be lost any more, until nothing is left to do."""
        for calendar in self._all():
            calendar.fault, calendar.is_stuck = None, False
            while calendar.stuck:
                calendar.arrive()
        while self.frozen:
            self._thaw(0, 0)
        for _ in range(6):
            self.clock += 2 * HOUR
            for number in range(len(self.sources)):
                self._connect(number, 0)
            self._sweep(0, 0)
            while self.queue or self.results:
                self._record(0, 0)
                self._work(0, FATES.index("done"))
            self.readings.clear()
            for number in range(len(self.sources)):
                self._read(number, 0)
            while self.readings:
                self._store(0, 0)

    def check(self) -> None:
        """Each calendar has once what it is to have, or what its coach made of it; nobody is accused."""
        rows = self.connection.execute(
            "SELECT event.*, a.coach_id = source.coach_id AND a.status = 'scheduled' AS is_wanted,"
            "       tstzrange(a.start_time, a.end_time) AS span"
            "  FROM calendar_events AS event JOIN calendar_sources AS source USING (source_id)"
            "  JOIN coach_appointments AS a USING (appointment_id) WHERE source_id = ANY (%s)",
            [self.sources],
        ).fetchall()
        expected: dict[EventKey, Span] = {}
        for row in rows:
            key = EventKey(
                appointment_id=row["appointment_id"],
                source_id=row["source_id"],
                generation=row["generation"],
            )
            assert row["changed"] is None or row["appointment_id"] in self.edited, row
            where = {None: row["span"], "moved": row["changed_to"], "deleted": None}[row["changed"]]
            if row["is_wanted"] and where is not None:
                expected[key] = (where.lower, where.upper)
        assert {key: span for one in self._all() for key, span in one.events.items()} == expected
        wanted = {row["appointment_id"] for row in rows if row["is_wanted"]}
        assert len(wanted) == sum(1 for row in rows if row["is_wanted"])
        edited = {str(one) for one in self.edited}
        mine = [one for one in told(self.connection) if UUID(one["source_id"]) in self.sources]
        assert {one["appointment_id"] for one in mine} <= edited

    def _all(self) -> list[StuckCalendar]:
        found = [self.calendars.known[one] for one in self.sources]
        return [one for one in found if isinstance(one, StuckCalendar)]

    def _change(self, work: Callable[[], ChangeResult]) -> ChangeResult | None:
        try:
            done = work()
        except psycopg.Error as error:
            if not (error.sqlstate or "").startswith("FS"):
                raise
            return None
        self._publish(done.messages)
        return done

    def _publish(self, messages: list[dict[str, Any]]) -> None:
        outbox.publish(self.connection, messages=to_calendars(messages), send=self._enqueue, now=self.clock)

    def _enqueue(self, bodies: Any) -> None:
        found = to_calendars([json.loads(one) for one in bodies])
        self.queue += [(one, 1) for one in found if UUID(one["data"]["source_id"]) in self.sources]

    def _book(self, one: int, _other: int) -> None:
        start = STARTS[one % len(STARTS)]
        made = self._change(lambda: book(self.connection, start, calendar_id=self.name))
        if made is not None:
            self.booked.append(made)

    def _move(self, one: int, other: int) -> None:
        if self.booked:
            which, start = self.booked[one % len(self.booked)], STARTS[other % len(STARTS)]
            self._change(lambda: reschedule(self.connection, which, start, any_coach=other % 2 == 0))

    def _reassign(self, one: int, _other: int) -> None:
        if self.booked:
            self._change(lambda: reassign(self.connection, self.booked[one % len(self.booked)]))

    def _cancel(self, one: int, _other: int) -> None:
        if self.booked:
            self._change(lambda: cancel(self.connection, self.booked[one % len(self.booked)], now=NOW))

    def _work(self, one: int, other: int) -> None:
        """Make an attempt at some message of the queue."""
        if not self.queue:
            return
        message, number = self.queue.pop(one % len(self.queue))
        fate = FATES[other % len(FATES)]
        if fate == "twice":
            self.queue.append((message, number))
        if calendar_events.permit(self.connection, delivery_id=UUID(message["delivery_id"])) <= 0:
            return  # superseded: its result says nothing new
        if fate == "frozen":
            self.frozen.append((message, number))
            return
        self._attempt(message, LAST if fate == "given up" else number, fate)

    def _attempt(self, message: Message, number: int, fate: str) -> None:
        calendar = self.calendars.known[UUID(message["data"]["source_id"])]
        assert isinstance(calendar, StuckCalendar)
        if fate in {"timeout", "answer lost", "given up", "unavailable"}:
            calendar.fault = CalendarError("http_503" if fate == "unavailable" else "timeout")
            calendar.after = fate == "answer lost"
        if fate == "revoked":
            calendar.fault, calendar.after = CalendarError("access_revoked", ended="disconnected"), False
        calendar.is_stuck = fate == "stuck" and message["data"]["write"] == "put"
        made = self.calendars.attempt(message, number, at=self.clock)
        if fate == "unheard":
            self.queue.append((message, number + 1))
            return
        self.results.append(made)
        if made.outcome == "retrying":
            self.queue.append((message, number + 1))

    def _record(self, one: int, other: int) -> None:
        """Record some result; it may come twice, or the dispatcher died before it sent it."""
        if not self.results:
            return
        made = self.results.pop(one % len(self.results))
        if other % 7 == 1:
            self.results.append(made)
        recorded = outbox.record(self.connection, attempt=Attempt.from_json(made.to_json()))
        self._publish(recorded.messages)

    def _thaw(self, one: int, _other: int) -> None:
        """Let a frozen attempt go on, and its result arrive."""
        if self.frozen:
            message, number = self.frozen.pop(one % len(self.frozen))
            self._attempt(message, number, "done")
            made = self.results.pop()
            self._publish(outbox.record(self.connection, attempt=made).messages)

    def _lose(self, one: int, _other: int) -> None:
        if self.queue:
            self.queue.pop(one % len(self.queue))

    def _arrive(self, one: int, _other: int) -> None:
        calendar = self._all()[one % len(self.sources)]
        if calendar.stuck:
            calendar.arrive()

    def _sweep(self, _one: int, _other: int) -> None:
        outbox.sweep_all(self.connection, send=self._enqueue, now=self.clock, deadline=0.0)

    def _read(self, one: int, _other: int) -> None:
        """Begin a reading, which is stored at some time; a source that has ended is not read."""
        number = one % len(self.sources)
        row = self.connection.execute(
            "SELECT generation FROM calendar_sources WHERE source_id = %s AND ended IS NULL",
            [self.sources[number]],
        ).fetchone()
        if row is not None:
            self.readings.append((number, self.clock, row["generation"], self._all()[number].own()))

    def _push(self, one: int, other: int) -> None:
        """The provider tells of a change, whether it is ours or not: the calendar is read at once."""
        self._read(one, other)

    def _connect(self, one: int, _other: int) -> None:
        """The coach connects a calendar again that has ended, with the same account."""
        self.connection.execute(
            "UPDATE calendar_sources SET ended = NULL, generation = generation + 1"
            " WHERE source_id = %s AND ended IS NOT NULL",
            [self.sources[one % len(self.sources)]],
        )

    def _store(self, one: int, _other: int) -> None:
        if self.readings:
            number, began, generation, own = self.readings.pop(one % len(self.readings))
            coach_id, source_id = self.coaches[number], self.sources[number]
            self.calendars.read(source_id, coach_id=coach_id, at=began, own=own, generation=generation)

    def _coach_moves(self, one: int, other: int) -> None:
        calendar = self._all()[one % len(self.sources)]
        if calendar.events:
            key = sorted(calendar.events, key=str)[other % len(calendar.events)]
            calendar.events[key] = (STARTS[other % 4] + 6 * HOUR, STARTS[other % 4] + 6 * HOUR + HALF)
            self.edited.add(key.appointment_id)

    def _coach_deletes(self, one: int, other: int) -> None:
        calendar = self._all()[one % len(self.sources)]
        if calendar.events:
            key = sorted(calendar.events, key=str)[other % len(calendar.events)]
            calendar.delete(key)
            self.edited.add(key.appointment_id)


ACTIONS = (
    "book", "book", "move", "move", "reassign", "cancel", "work", "work", "work", "record", "record", "thaw",
    "lose", "arrive", "sweep", "read", "push", "store", "connect", "coach_moves", "coach_deletes",
)  # fmt: skip
