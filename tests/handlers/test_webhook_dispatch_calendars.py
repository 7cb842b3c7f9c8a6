"""Events for coaches' calendars, whose providers do not always answer."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from fairslot.calendars import opening
from fairslot.calendars.interface import Event, Sighting
from fairslot.messages.deliveries import Delivery
from local.sqs import SqsStandIn
from tests.support.dispatch import Dispatcher, dispatcher

START = datetime(2026, 3, 3, 14, tzinfo=UTC)


@pytest.fixture
def dispatch(sqs: SqsStandIn) -> Iterator[Dispatcher]:
    """Set up the dispatcher with short waits."""
    with dispatcher(sqs, max_attempts=1, WEBHOOK_TIMEOUT_SECONDS="1") as made:
        yield made


class Provider:
    """A provider's calendars: those of the kinds in `down` never answer."""

    def __init__(self) -> None:
        self.down = {"google"}
        self.written: list[UUID] = []

    async def open(self, *, kind: str, **_: Any) -> "_Calendar":
        """Stand in for `open_writable`."""
        return _Calendar(self, kind)


class _Calendar:
    def __init__(self, provider: Provider, kind: str) -> None:
        self._provider = provider
        self._kind = kind

    async def put(self, event: Event) -> Sighting:
        """Write an event, or hang."""
        if self._kind in self._provider.down:
            await asyncio.Event().wait()
        self._provider.written.append(event.key.source_id)
        return Sighting(key=event.key, ref="ref", start=event.start, end=event.end)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Both providers, of which Google is down."""
    made = Provider()
    monkeypatch.setattr(opening, "open_writable", made.open)
    return made


def put(kind: str) -> Delivery:
    """Make the delivery of an event for a calendar of its own."""
    data: dict[str, Any] = {
        "write": "put",
        "appointment_id": str(uuid4()),
        "source_id": str(uuid4()),
        "generation": 1,
        "kind": kind,
        "start_time": START.isoformat(),
        "end_time": START.replace(hour=15).isoformat(),
        "title": "Booked: Intro",
    }
    return Delivery(
        delivery_id=uuid4(),
        event_id=uuid4(),
        kind="calendar_event",
        type="appointment.created",
        timestamp=START,
        version=1,
        data=data,
    )


def test_a_provider_that_is_down_keeps_nobody_waiting(dispatch: Dispatcher, provider: Provider) -> None:
    """After some calendars of it without an answer no other one is tried; those of others are written."""
    dispatch.send(*(put("google") for _ in range(3)))
    dispatch.work(dispatch.receive(at_least=3))
    assert {one.error for one in dispatch.attempts()} == {"timeout"}

    other = put("microsoft")
    dispatch.send(put("google"), other)
    dispatch.work(dispatch.receive(at_least=2))

    assert {(one.outcome, one.error) for one in dispatch.attempts()} == {
        ("held", "circuit_open"),
        ("delivered", None),
    }
    assert provider.written == [UUID(str(other.data["source_id"]))]
