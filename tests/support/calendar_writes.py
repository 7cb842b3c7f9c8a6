"""A coach's calendar that stands in for every kind's, and the way there and back without queues."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from fairslot.calendars.interface import CalendarError, Event, EventKey, Sighting
from fairslot.dispatch.attempt_policy import verdict
from fairslot.dispatch.subscribers import Result, deliver
from fairslot.messages.attempts import Attempt
from fairslot.messages.deliveries import Delivery
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.clock import NOW
from tests.support.readings import store_reading
from tests.support.team import TENANT

type Message = dict[str, Any]
type Span = tuple[datetime, datetime]


@dataclass(slots=True)
class FakeCalendar:
    """A calendar in which a deleted event's id stays taken, as Google's and Microsoft's do.

    `fault`, if it is set, is raised once; with `after` the event is written all the same: its answer is lost.
    """

    events: dict[EventKey, Span] = field(default_factory=dict)
    deleted: set[EventKey] = field(default_factory=set)
    written: list[tuple[str, EventKey, Span | None]] = field(default_factory=list)
    fault: CalendarError | None = None
    after: bool = False

    async def put(self, event: Event) -> Sighting:
        """Create or move an event."""
        self._fail(after=False)
        if event.key in self.deleted:
            raise CalendarError("conflict")
        self.events[event.key] = (event.start, event.end)
        self.written.append(("put", event.key, (event.start, event.end)))
        self._fail(after=True)
        return Sighting(key=event.key, ref=f"ref-{event.key.generation}", start=event.start, end=event.end)

    async def remove(self, key: EventKey, ref: str | None) -> None:
        """Remove an event."""
        self._fail(after=False)
        self.delete(key)
        self.written.append(("remove", key, None))
        self._fail(after=True)

    def delete(self, key: EventKey) -> None:
        """Delete an event, as a coach does too."""
        if self.events.pop(key, None) is not None:
            self.deleted.add(key)

    def own(self) -> list[dict[str, Any]]:
        """Return what a reading says of our events."""
        return [
            {
                "appointment_id": str(key.appointment_id),
                "generation": key.generation,
                "start": start.isoformat(),
                "end": end.isoformat(),
            }
            for key, (start, end) in self.events.items()
        ]

    def _fail(self, *, after: bool) -> None:
        if self.fault is not None and self.after == after:
            fault, self.fault = self.fault, None
            raise fault


@dataclass(slots=True)
class Calendars:
    """The calendars of a test's sources, by the id of the source."""

    connection: Connection
    known: dict[UUID, FakeCalendar] = field(default_factory=dict)

    async def open(self, *, source_id: UUID, **_: object) -> FakeCalendar:
        """Stand in for `open_writable`."""
        return self.known[source_id]

    def add(self, coach_id: str, kind: str = "google", **columns: Any) -> UUID:
        """Connect a coach's calendar, to be read and written."""
        source_id = uuid4()
        values = {"reads": True, "writes": True, **columns}
        self.connection.execute(
            "INSERT INTO calendar_sources (source_id, tenant_id, coach_id, kind, url, reads, writes)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                source_id,
                TENANT,
                coach_id,
                kind,
                "https://dav.example.com/",
                values["reads"],
                values["writes"],
            ],
        )
        self.known[source_id] = FakeCalendar()
        return source_id

    def attempt(self, message: Message, number: int = 1, *, at: datetime = NOW) -> Attempt:
        """Make one attempt at what a message asks for, as the dispatcher does."""
        delivery = Delivery.from_json(json.dumps(message))
        result: Result = asyncio.run(deliver(delivery, seconds=5.0))
        decision = verdict(delivery, result, attempt=number, now=at)
        return Attempt(
            delivery_id=delivery.delivery_id,
            event_id=delivery.event_id,
            kind=delivery.kind,
            type=delivery.type,
            attempt=number,
            at=at,
            outcome=decision.outcome,
            status_code=result.status_code,
            latency_ms=0,
            error=result.error,
            answer=result.answer,
            round=delivery.round,
            revision=delivery.revision,
        )

    def record(self, attempt: Attempt) -> list[Message]:
        """Record an attempt; return the messages to calendars that follow."""
        recorded = outbox.record(self.connection, attempt=Attempt.from_json(attempt.to_json()))
        return to_calendars(recorded.messages)

    def carry_out(self, messages: list[Message], *, at: datetime = NOW) -> None:
        """Write all that messages ask for, and what follows from it."""
        waiting = to_calendars(messages)
        while waiting:
            waiting += self.record(self.attempt(waiting.pop(0), at=at))

    def sweep(self, *, at: datetime = NOW) -> list[Message]:
        """Make what is due, and return the messages that are not on the queue."""
        sent: list[str] = []
        outbox.sweep_all(self.connection, send=sent.extend, now=at, deadline=0.0)
        return to_calendars([json.loads(one) for one in sent])

    def read(self, source_id: UUID, *, coach_id: str, at: datetime, own: Any = None, **more: Any) -> None:
        """Read a calendar at an instant, or store what was read before."""
        store_reading(
            self.connection,
            at,
            coach_id=coach_id,
            source_id=str(source_id),
            generation=more.pop("generation", 1),
            own=self.known[source_id].own() if own is None else own,
            own_is_whole=more.pop("own_is_whole", True),
            **more,
        )


def to_calendars(messages: list[Message]) -> list[Message]:
    """Return the messages that are for coaches' calendars."""
    return [one for one in messages if one["kind"] == "calendar_event"]


def told(connection: Connection, type_: str = "calendar.event_changed") -> list[dict[str, Any]]:
    """Return what events of a type say, in order."""
    rows = connection.execute("SELECT details FROM changes WHERE type = %s ORDER BY change_id", [type_])
    return [row["details"] for row in rows]
