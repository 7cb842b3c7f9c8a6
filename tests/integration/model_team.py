"""The credits of one team in each kind of hour, and what can be said about them, without a database.

Credits and deltas are millionths of a booking.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fairslot.domain.errors import NotFoundError
from fairslot.domain.fair_share import MILLION, Assignment, Candidate, assign, bound, distribute_credit

NORMAL = "normal"


@dataclass
class Member:
    """A coach in a team."""

    weight: int = MILLION
    score: float = 0.7


@dataclass
class Standing:
    """A coach in a kind of hour: what is owed, and the last decision won."""

    credit: int = 0
    last: int | None = None


@dataclass
class Decision:
    """A choice that stands: whose ledger has it, what it moved, and what each eligible coach won before."""

    seq: int
    kind: str
    done: Assignment
    lasts: dict[str, int | None]


@dataclass
class Team:
    """A calendar's coaches, and a ledger for each kind of hour."""

    members: dict[str, Member]
    policy: str = "fair_share"
    kinds: set[str] = field(default_factory=set)
    seq: int = 0
    _ledgers: dict[str, dict[str, Standing]] = field(default_factory=lambda: {NORMAL: {}}, init=False)
    _made: list[Decision] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Begin the ledgers of the first kinds."""
        self.use_kinds(self.kinds)

    def of(self, coach_id: str, kind: str = NORMAL) -> Standing:
        """Return a coach's standing in a kind; one who is new has no credit and no debt."""
        return self._ledgers[kind].setdefault(coach_id, Standing())

    def standings(self) -> dict[tuple[str, str], tuple[int, int | None]]:
        """Return what each is owed in each kind, and the last decision won, by kind and coach."""
        return {
            (kind, coach_id): (self.of(coach_id, kind).credit, self.of(coach_id, kind).last)
            for kind in self._ledgers
            for coach_id in self.members
        }

    def turn(
        self, pool: Iterable[str], kind: str = NORMAL, undone: Decision | None = None
    ) -> Assignment | None:
        """Return whose turn it is among the pool, as if a decision had not been made; None without a pool."""
        deltas, lasts = self._undo(undone) if undone and undone.kind == kind else ({}, {})
        candidates = [
            Candidate(
                coach_id=coach_id,
                weight=self.members[coach_id].weight,
                score=self.members[coach_id].score,
                credit=self.of(coach_id, kind).credit + deltas.get(coach_id, 0),
                last_seq=lasts.get(coach_id, self.of(coach_id, kind).last),
            )
            for coach_id in pool
        ]
        return assign(candidates, self.policy) if candidates else None

    def decide(self, done: Assignment, kind: str = NORMAL) -> Decision:
        """Move the credits by a choice: the bound of that ledger does not grow."""
        self.seq += 1
        made = Decision(self.seq, kind, done, {one: self.of(one, kind).last for one in done.shares})
        before = bound(self._credits(kind))
        self._move(kind, done.deltas)
        after = bound(self._credits(kind))
        assert after.owed <= before.owed
        assert after.ahead <= before.ahead
        self.of(done.chosen, kind).last = self.seq
        self._made.append(made)
        return made

    def can_reverse(self, decisions: list[Decision]) -> bool:
        """Tell whether a decision stands, and somebody is there to whom it gave or took."""
        return bool(decisions) and bool(self._undo(decisions[-1])[0])

    def reverse(self, decisions: list[Decision]) -> None:
        """Undo the last decision about an appointment, if one stands, in the ledger that has it."""
        if self.can_reverse(decisions):
            made = decisions.pop()
            deltas, lasts = self._undo(made)
            self.seq += 1
            self._move(made.kind, deltas)
            for coach_id, last in lasts.items():
                self.of(coach_id, made.kind).last = last

    def adjust(self, coach_id: str, amount: int, kind: str = NORMAL) -> None:
        """Correct a coach's credit; the rest of the team pays."""
        rest = {one: weight for one, weight in self.weights().items() if one != coach_id}
        self.seq += 1
        self._move(kind, {**distribute_credit(-amount, rest), coach_id: amount})

    def settle(self, coach_id: str) -> None:
        """Hand what a coach is owed to the rest, in each kind in which that is anything."""
        for kind in sorted(self._ledgers):
            if credit := self.of(coach_id, kind).credit:
                self.adjust(coach_id, -credit, kind)

    def leave(self, coach_id: str) -> None:
        """Spread the credits of one who leaves over the rest."""
        if coach_id not in self.members:
            raise NotFoundError
        for kind in sorted(self._ledgers):
            self.adjust(coach_id, -self.of(coach_id, kind).credit, kind)
            del self._ledgers[kind][coach_id]
        del self.members[coach_id]

    def join(self, coach_id: str) -> None:
        """Let a coach in without credit or debt; whoever is in stays as they are."""
        self.members.setdefault(coach_id, Member())

    def use_kinds(self, kinds: Iterable[str]) -> None:
        """Have these kinds: a new one begins at 0, what is owed in one that goes is owed in normal."""
        self.kinds = {*kinds} - {NORMAL}
        for kind in sorted(self._ledgers.keys() - self.kinds - {NORMAL}):
            self.seq += 1
            self._move(NORMAL, {one: self.of(one, kind).credit for one in self.members})
            del self._ledgers[kind]
            for made in self._made:
                made.kind = NORMAL if made.kind == kind else made.kind
        for kind in self.kinds:
            self._ledgers.setdefault(kind, {})

    def weights(self) -> dict[str, int]:
        """Return the weight of each."""
        return {coach_id: member.weight for coach_id, member in self.members.items()}

    def _credits(self, kind: str) -> list[int]:
        return [self.of(coach_id, kind).credit for coach_id in self.members]

    def _undo(self, made: Decision) -> tuple[Mapping[str, int], Mapping[str, int | None]]:
        """Return how the credits and the last decisions won go back; those who left are paid for by all."""
        back = {coach_id: -delta for coach_id, delta in made.done.deltas.items()}
        gone = sum(delta for coach_id, delta in back.items() if coach_id not in self.members)
        deltas = {coach_id: delta for coach_id, delta in back.items() if coach_id in self.members}
        for coach_id, part in (distribute_credit(gone, self.weights()) if gone else {}).items():
            deltas[coach_id] = deltas.get(coach_id, 0) + part
        lasts = {
            coach_id: made.lasts.get(coach_id)
            for coach_id in deltas
            if self.of(coach_id, made.kind).last == made.seq
        }
        return deltas, lasts

    def _move(self, kind: str, deltas: Mapping[str, int]) -> None:
        """Move credits in a ledger; assert that they sum to 0, and that nobody is beyond the bound."""
        for coach_id, delta in deltas.items():
            self.of(coach_id, kind).credit += delta
        balance, limit = self._credits(kind), bound(self._credits(kind))
        assert sum(balance) == 0
        assert all(-limit.ahead <= one <= limit.owed for one in balance)
