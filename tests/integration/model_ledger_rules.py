"""What people do to the ledgers of the model: corrections, absences that settle, other kinds of hours."""

from hypothesis import strategies as st
from hypothesis.stateful import rule
from psycopg.types.json import Jsonb

from tests.integration.model_database import KINDS
from tests.integration.model_engine import AskedTwice
from tests.integration.model_kinds import Kind
from tests.integration.model_team import NORMAL
from tests.support.team import TENANT, set_calendar

calendars = st.sampled_from(["cal", "wide", "best"])
coaches = st.sampled_from(["ana", "ben", "cy", "dee"])
places = st.integers(0, 1000)


class LedgerRules(AskedTwice):
    """A machine that has these rules beside its own."""

    @rule(name=calendars, coach_id=coaches, amount=st.sampled_from([-1_500_000, -1, 250_001]), place=places)
    def adjust(self, name: str, coach_id: str, amount: int, place: int) -> None:
        """A person corrects what a coach is owed in one kind of hour."""
        team = self.model.calendars[name].team
        if coach_id in team.members and len(team.members) > 1:
            kinds = sorted({NORMAL, *team.kinds})
            kind = kinds[place % len(kinds)]
            team.adjust(coach_id, amount, kind)
            self.connection.execute(
                "SELECT engine.adjust_credit(%s, %s, %s, %s, %s, 'why', uuidv7(), %s)",
                (TENANT, name, coach_id, kind, amount, self.model.now),
            )

    @rule(coach_id=coaches)
    def settle(self, coach_id: str) -> None:
        """A coach goes away for long, and what they are owed goes to the others."""
        for calendar in self.model.calendars.values():
            if coach_id in calendar.team.members:
                calendar.team.settle(coach_id)
        self.connection.execute(
            "SELECT engine.settle_absence(%s, %s, uuidv7(), 'why', %s)", (TENANT, coach_id, self.model.now)
        )

    @rule(name=calendars, kinds=st.sampled_from(KINDS))
    def set_kinds(self, name: str, kinds: list[Kind]) -> None:
        """A calendar has other kinds of hours."""
        self.model.calendars[name].use_kinds(kinds)
        set_calendar(self.connection, name, hour_kinds=Jsonb(kinds))
