"""Whatever is lost or late, and whatever the coach does, one event of ours stands where it is wanted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairslot.calendars.event_ids import event_id
from fairslot.calendars.interface import CalendarError, Event, EventKey
from fairslot.domain.slots import Window
from tests.support.google import DAY, HOUR, WINDOW, GoogleAccount, GoogleStandIn, at, run

type Effect = Literal["lost", "late"] | None
type Step = tuple[Literal["want", "unwant", "coach moves", "coach deletes", "late"], int, Effect]

steps: st.SearchStrategy[Step] = st.tuples(
    st.sampled_from(["want", "want", "unwant", "coach moves", "coach deletes", "late"]),
    st.integers(0, 5),
    st.sampled_from([None, "lost", "late"]),
)
ALL_DAY = Window(WINDOW.first_slot, 96)


@dataclass
class Appointment:
    """What the system does about one appointment: one write at a time, repeated until it is answered."""

    account: GoogleAccount
    wanted: datetime | None = None
    # Where it stands, as the coach may have it otherwise, which is not fought.
    standing: datetime | None = None
    generation: int = 1

    @property
    def key(self) -> EventKey:
        """The key that is written by now."""
        return EventKey(
            appointment_id=UUID(int=1), source_id=self.account.source_id, generation=self.generation
        )

    def want(self, start: datetime, effect: Effect) -> None:
        """Have it at a time; what is so already is no change, and is not written."""
        if start == self.wanted:
            return
        if effect is not None:
            self.account.google.next(effect, "PATCH" if self.standing else "POST")
        self.wanted = self.standing = start
        while not self._put(start):
            pass
        self.account.google.control("calm")

    def _put(self, start: datetime) -> bool:
        event = Event(key=self.key, start=start, end=start + HOUR, title="Booked")
        try:
            run(self.account.calendar().put(event))
        except CalendarError as error:
            if error.reason == "conflict":
                self.generation += 1
            return False
        return True

    def unwant(self, effect: Effect) -> None:
        """Have it gone."""
        if effect is not None and self.standing:
            self.account.google.next(effect, "DELETE")
        self.wanted = self.standing = None
        self._remove(self.key)
        self.account.google.control("calm")

    def _remove(self, key: EventKey) -> None:
        while True:
            try:
                return run(self.account.calendar().remove(key, None))
            except CalendarError as error:
                assert error.reason == "connection"

    def mend(self) -> None:
        """Remove what a reading still sees of what is not wanted, as a creation that came late."""
        for own in run(self.account.calendar().free(ALL_DAY)).own:
            if self.wanted is None or own.key != self.key:
                self._remove(own.key)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=7))
def test_one_event_stands_where_it_is_wanted(standin: GoogleStandIn, given_steps: list[Step]) -> None:
    """And its time is not busy, nor is any other."""
    ana = standin.account()
    appointment = Appointment(ana)
    for what, number, effect in given_steps:
        path = f"events/{event_id(appointment.key)}"
        if what == "want":
            appointment.want(DAY + number * HOUR, effect)
        elif what == "unwant":
            appointment.unwant(effect)
        elif what == "coach moves" and appointment.standing:
            appointment.standing = DAY + timedelta(hours=10 + number)
            assert ana.request("PATCH", path, json=at(appointment.standing)).status_code == 200
        elif what == "coach deletes" and appointment.standing:
            assert ana.request("DELETE", path).status_code == 204
            appointment.standing = None
        elif what == "late":
            standin.late()
    standin.late()
    appointment.mend()
    found = run(ana.calendar().free(ALL_DAY))
    expected = [] if appointment.standing is None else [(appointment.key, appointment.standing)]
    assert [(own.key, own.start) for own in found.own] == expected
    assert len(ana.mine()) == len(expected)
    assert found.bits == (1 << 96) - 1
