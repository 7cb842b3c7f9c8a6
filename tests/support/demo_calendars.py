"""The demo coaches' calendars of a running stack, as the coaches see them at their providers."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx

from fairslot.calendars.caldav_account import Account
from local.demo_calendars import source_of
from local.radicale import PASSWORD, USER
from tests.support import google_tried, graph_tried
from tests.support.caldav_tried import TriedCaldav
from tests.support.graph import written
from tests.support.stack import Stack
from tests.support.tried_calendar import ZONE, Foreign, Standing

type Span = tuple[datetime, datetime]

GRETA, MIA = "greta@example.com", "mia@example.com"


@dataclass(frozen=True, kw_only=True)
class DemoCalendar:
    """A demo coach's calendar: `mine` returns our events in it, `put` has the coach put one of their own."""

    kind: str
    mine: Callable[[], list[Standing]]
    put: Callable[[datetime, datetime], None]

    @property
    def coach_id(self) -> str:
        """Whose it is."""
        return f"coach-{self.kind}"

    @property
    def calendar_id(self) -> str:
        """By which that coach is booked."""
        return f"cal-{self.kind}"

    @property
    def source_id(self) -> UUID:
        """What it is to us."""
        return source_of(self.coach_id)

    def spans(self, appointment_id: str) -> list[Span]:
        """Return when the events of an appointment are: each, however many there are."""
        return [
            (one.start.astimezone(UTC), one.end.astimezone(UTC))
            for one in self.mine()
            if str(one.key.appointment_id) == appointment_id
        ]


def demo_calendars(stack: Stack) -> dict[str, DemoCalendar]:
    """Return the demo calendars of a stack, by kind."""
    makers: Mapping[str, Callable[[str], DemoCalendar]] = {
        "google": _google,
        "microsoft": _microsoft,
        "caldav": _caldav,
    }
    return {kind: makers[kind](url) for kind, url in stack.state["calendars"].items()}


def _google(url: str) -> DemoCalendar:
    def mine() -> list[Standing]:
        events = _get(f"{url}/control/events?email={GRETA}")["events"]
        # Deleted ones are still there: their ids stay taken.
        standing_ones = (one for one in events if one["status"] != "cancelled")
        return _ours(standing_ones, "summary", google_tried.standing)

    def put(start: datetime, end: datetime) -> None:
        edges = {"start": {"dateTime": start.isoformat()}, "end": {"dateTime": end.isoformat()}}
        _post(f"{url}/control/events", email=GRETA, event={"summary": "Dentist", **edges})

    return DemoCalendar(kind="google", mine=mine, put=put)


def _microsoft(url: str) -> DemoCalendar:
    def mine() -> list[Standing]:
        events = _get(f"{url}/control/mailboxes/{MIA}")["events"]
        return _ours(events, "subject", graph_tried.standing)

    def put(start: datetime, end: datetime) -> None:
        edges = {"start": written(start), "end": written(end)}
        _post(f"{url}/control/events", address=MIA, event={"subject": "Dentist", **edges})

    return DemoCalendar(kind="microsoft", mine=mine, put=put)


def _caldav(url: str) -> DemoCalendar:
    account = Account(address=f"{url}/", user=USER, password=PASSWORD)
    tried = TriedCaldav("caldav", account, f"{url}/{USER}/calendar/")

    def put(start: datetime, end: datetime) -> None:
        asyncio.run(tried.put_foreign(Foreign(start=start.astimezone(ZONE), end=end.astimezone(ZONE))))

    return DemoCalendar(kind="caldav", mine=lambda: asyncio.run(tried.mine()), put=put)


def _ours(
    events: Iterable[dict[str, Any]], title: str, standing: Callable[[dict[str, Any]], Standing | None]
) -> list[Standing]:
    """Return what has our title: a second event of an appointment has it too, whatever id it has."""
    found = [standing(one) for one in events if one[title].startswith("Booked: ")]
    assert None not in found, "an event of ours that is not known as one"
    return [one for one in found if one is not None]


def _get(url: str) -> Any:
    return httpx.get(url, timeout=20, trust_env=False).raise_for_status().json()


def _post(url: str, **body: object) -> None:
    httpx.post(url, json=body, timeout=20, trust_env=False).raise_for_status()
