"""Asking the engine and the model the same things, and comparing what they do."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import UUID

import psycopg
from hypothesis.stateful import RuleBasedStateMachine

from fairslot.booking import appointments, holds
from fairslot.domain.errors import FairslotError
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection, translate
from tests.integration.model_database import build, new_model
from tests.integration.model_parts import Booking
from tests.support.team import TENANT


class AskedTwice(RuleBasedStateMachine):
    """The engine's database and the model of it, which are asked the same things."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.model = new_model()
        self.known: list[Booking] = []  # those that are gone too
        self.ids: dict[int, UUID] = {}
        self.repeat_last: Callable[[], ChangeResult] | None = None
        self.keys = 0
        connection.execute("SET synchronous_commit = off")  # nothing is killed here
        build(connection, self.model)

    def _pick(self, place: int, state: str) -> Booking:
        """Return one of the bookings in a state; now and then, or if there is none, any there ever was."""
        fit = [one for one in self.model.bookings if one.state == state] if place % 4 else []
        choice = fit or self.known
        return choice[place // 4 % len(choice)]

    def _book(
        self, name: str, start: datetime, requires: frozenset[str], hold_id: UUID | None = None
    ) -> Callable[..., ChangeResult]:
        contact = appointments.Contact(
            name="Customer", email="customer@example.com", requires=sorted(requires)
        )
        return partial(
            appointments.book,
            calendar_id=name,
            start_time=start,
            contact=contact,
            metadata={},
            hold_id=hold_id,
        )

    def _both(self, say: Callable[[], Booking], do: Callable[..., ChangeResult]) -> None:
        """Ask both; they must accept the same and give the same, or refuse for the same reason."""
        self.keys += 1
        key = Key(value=f"key-{self.keys}", fingerprint=b"f")
        do = partial(do, self.connection, tenant_id=TENANT, key=key)
        try:
            expected: Booking | type[FairslotError] = say()
        except FairslotError as error:
            expected = type(error)
        found = self._clearing(do)
        if isinstance(found, FairslotError):
            assert type(found) is expected
            return
        assert isinstance(expected, Booking), f"the engine did what the model refuses with {expected}"
        answer = found.answer
        if expected.number not in self.ids:
            self.known.append(expected)
            self.ids[expected.number] = UUID(answer.get("hold_id") or answer["appointment_id"])
        if answer:  # giving a hold back is answered with nothing
            assert answer["coach_id"] == expected.coach_id
            assert datetime.fromisoformat(answer["start_time"]) == expected.start
            assert answer.get("status", "held") == expected.state

        def repeat_last() -> ChangeResult:
            done = do(now=self.model.now)
            assert (done.replayed, done.answer, done.messages) == (True, answer, [])
            return done

        self.repeat_last = repeat_last

    def _clearing(self, do: Callable[..., ChangeResult]) -> ChangeResult | FairslotError:
        """Do as `db.run`: where expired holds are in the way, clear them and ask again."""
        try:
            return do(now=self.model.now)
        except psycopg.Error as error:
            if error.sqlstate == "FS426":
                assert holds.expire(self.connection, now=self.model.now) > 0
                return self._clearing(do)
            said = translate(error)
            assert isinstance(said, FairslotError), repr(error)
            return said
