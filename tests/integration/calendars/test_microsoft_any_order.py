"""Any order of writes, lost and late requests and a coach's changes ends with one event, or with none."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from fairslot.calendars.interface import CalendarError, Event, EventKey, Sighting
from fairslot.calendars.microsoft import MicrosoftCalendar
from fairslot.domain.slots import Window, slot_of
from tests.support.graph import Coach, Standin, written

HOUR = timedelta(hours=1)
NINE = datetime(2026, 11, 30, 9, tzinfo=UTC)
WINDOW = Window(slot_of(NINE), 4 * 12)

type Act = Literal["put", "remove", "moves", "deletes", "copies", "late"]
type Fault = Literal["lost", "late"] | None


@dataclass
class Recorder:
    """Whoever records writes: a key is decided before the first attempt, and raised after a removal."""

    coach: Coach
    wanted: Event | None
    generation: int = 1
    removed: bool = False

    def want(self, hour: int) -> None:
        """Want the event at another hour; what was to be removed is wanted anew, as another."""
        if self.removed:
            self.generation, self.removed = self.generation + 1, False
        key = EventKey(
            appointment_id=self.coach.source_id, source_id=self.coach.source_id, generation=self.generation
        )
        start = NINE + hour * HOUR
        self.wanted = Event(key=key, start=start, end=start + HOUR, title="Booked: Intro call")

    async def write(self, calendar: MicrosoftCalendar) -> None:
        """Try once to have it as it is wanted. Raises CalendarError."""
        if self.wanted is None:
            self.removed = True
            for generation in range(1, self.generation + 1):
                await calendar.remove(self._key(generation), None)
            return
        try:
            await calendar.put(self.wanted)
        except CalendarError as error:
            if error.reason != "conflict":
                raise
            # The coach deleted it, and it is wanted all the same.
            self.generation += 1
            self.wanted = replace(self.wanted, key=self._key(self.generation))
            await calendar.put(self.wanted)

    async def settle(self, calendar: MicrosoftCalendar) -> tuple[Sighting, ...]:
        """Write until it is as it is wanted, remove what is seen of earlier generations, and look."""
        await self.write(calendar)
        for seen in (await calendar.free(WINDOW)).own:
            if self.wanted is None or seen.key != self.wanted.key:
                await calendar.remove(seen.key, seen.ref)
        return (await calendar.free(WINDOW)).own

    def _key(self, generation: int) -> EventKey:
        return EventKey(
            appointment_id=self.coach.source_id, source_id=self.coach.source_id, generation=generation
        )


steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "remove", "moves", "deletes", "copies", "late"]),
        st.integers(0, 9),
        st.sampled_from([None, None, "lost", "late"]),
    ),
    max_size=8,
)


def carry_out(graph: Standin, recorder: Recorder, act: Act, hour: int, fault: Fault) -> None:
    """Do one step of a story."""
    coach = recorder.coach
    ours = [one for one in coach.events if one["transactionId"]]
    if act in {"put", "remove"}:
        recorder.wanted = None
        if act == "put":
            recorder.want(hour)
        if fault:
            method = "DELETE" if act == "remove" else "PATCH" if hour % 2 else "POST"
            graph.once(fault, method, "/events")
        with suppress(CalendarError):
            asyncio.run(recorder.write(coach.calendar()))
        graph.calm()
    elif act == "late":
        graph.control("late")
    elif ours and act == "moves":
        start = NINE + hour * HOUR
        body = {"start": written(start), "end": written(start + HOUR)}
        coach.act("PATCH", f"events/{ours[0]['id']}", json=body)
    elif ours and act == "deletes":
        coach.act("DELETE", f"events/{ours[0]['id']}")
    elif ours and act == "copies":
        graph.control("copies", address=coach.address, id=ours[0]["id"])


ends = st.sampled_from(["scheduled", "cancelled"])


@settings(max_examples=20)
@given(steps, st.sampled_from(["same", "refused"]), ends)
def test_any_order_ends_with_what_is_wanted(
    graph_process: Standin, story: list[tuple[Act, int, Fault]], transactions: str, end: str
) -> None:
    """No event of ours is missing, doubled or left over, and no copy is taken for ours or touched."""
    coach = graph_process.coach(transactions=transactions)
    recorder = Recorder(coach, None)
    for act, hour, fault in story:
        carry_out(graph_process, recorder, act, hour, fault)
    if end == "cancelled":
        recorder.wanted = None
    else:
        recorder.want(11)
    graph_process.control("late")
    copies = sum(one["transactionId"] is None for one in coach.events)
    own = asyncio.run(recorder.settle(coach.calendar()))
    expected = [] if recorder.wanted is None else [(recorder.wanted.key, recorder.wanted.start)]
    assert [(one.key, one.start) for one in own] == expected
    assert sum(one["transactionId"] is None for one in coach.events) == copies
    assert len(coach.events) == copies + len(expected)
