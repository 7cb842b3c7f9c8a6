"""The credits of one calendar, step by step: its ledgers, one for each kind of hour.

Pure: it needs only the steps of a record and the rule of fair_share.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairslot.domain.fair_share import Assignment, Candidate, assign, distribute_credit

NORMAL = "normal"


@dataclass
class Standing:
    """A coach: credit (millionths), last decision won, bookings assigned and entitled to (millionths)."""

    credit: int = 0
    last_seq: int | None = None
    assigned: int = 0
    entitled: int = 0


@dataclass
class Decision:
    """A decision that can still be reversed, and the kind whose ledger has it."""

    assignment: Assignment
    last_seqs: dict[str, int | None]
    kind: str


@dataclass
class Ledger:
    """Every coach's standing in one kind of hour; `left` are the coaches who left the team."""

    standings: dict[str, Standing] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)

    def of(self, coach_id: str) -> Standing:
        """Return a coach's standing; one who is new or has come back starts with no credit."""
        self.left.discard(coach_id)
        return self.standings.setdefault(coach_id, Standing())

    def candidates(
        self, eligible: Sequence[Mapping[str, Any]], weights: Mapping[str, int]
    ) -> list[Candidate]:
        """Return the eligible coaches of a record with their standing in this ledger."""
        return [
            Candidate(
                coach_id=one["coach_id"],
                weight=weights[one["coach_id"]],
                credit=self.of(one["coach_id"]).credit,
                last_seq=self.of(one["coach_id"]).last_seq,
                score=one["score"],
            )
            for one in eligible
        ]

    def adjust(self, coach_id: str, amount: int, team: Mapping[str, int]) -> dict[str, int]:
        """Move a coach's credit; the rest of the `team` (weights by coach) pays. Return all changes."""
        deltas = {**distribute_credit(-amount, team), coach_id: amount}
        for mate, delta in deltas.items():
            self.of(mate).credit += delta
        return deltas

    def settle(self, coach_id: str, team: Mapping[str, int]) -> dict[str, int]:
        """Hand a coach's credit to the rest of the team; return the changes."""
        return self.adjust(coach_id, -self.of(coach_id).credit, team)

    def leave(self, coach_id: str, team: Mapping[str, int]) -> dict[str, int]:
        """Distribute the credit of a leaving coach over the rest; return the changes."""
        deltas = self.settle(coach_id, team)
        self.of(coach_id).last_seq = None
        self.left.add(coach_id)
        return deltas


@dataclass
class Books:
    """A calendar's ledgers by kind, and the decisions that can still be reversed."""

    ledgers: dict[str, Ledger] = field(default_factory=lambda: {NORMAL: Ledger()})
    decisions: dict[int, Decision] = field(default_factory=dict)

    def of(self, kind: str) -> Ledger:
        """Return the ledger of a kind; a new one begins at 0."""
        return self.ledgers.setdefault(kind, Ledger())

    def decide(
        self, seq: int, candidates: Sequence[Candidate], policy: str, kind: str = NORMAL
    ) -> Assignment:
        """Apply the rule to candidates of a kind's ledger and record its decision."""
        ledger, done = self.of(kind), assign(candidates, policy)
        self.decisions[seq] = Decision(done, {one.coach_id: one.last_seq for one in candidates}, kind)
        for coach_id, delta in done.deltas.items():
            standing = ledger.of(coach_id)
            standing.credit += delta
            standing.entitled += done.shares[coach_id]
        winner = ledger.of(done.chosen)
        winner.last_seq, winner.assigned = seq, winner.assigned + 1
        return done

    def reverse(self, seq: int, team: Mapping[str, int]) -> dict[str, int]:
        """Undo a decision and return the changes of the team's credits; `team` is weights by coach.

        `team` must have every coach of the decision who has not left. What those who left would give back is
        distributed over it.
        """
        decision = self.decisions.pop(seq)
        ledger = self.of(decision.kind)
        gone = sum(-delta for coach, delta in decision.assignment.deltas.items() if coach not in team)
        extra = distribute_credit(gone, team) if gone else {}
        deltas = {}
        for coach_id in team:
            deltas[coach_id] = extra.get(coach_id, 0) - decision.assignment.deltas.get(coach_id, 0)
            standing = ledger.of(coach_id)
            standing.credit += deltas[coach_id]
            if standing.last_seq == seq:
                standing.last_seq = decision.last_seqs[coach_id]
        for coach_id, share in decision.assignment.shares.items():
            ledger.standings[coach_id].entitled -= share
        ledger.standings[decision.assignment.chosen].assigned -= 1
        return deltas

    def remove(self, kind: str) -> dict[str, int]:
        """End a kind: what it has moves to normal, also what is reversed later; return the credits moved."""
        gone, normal = self.ledgers.pop(kind, Ledger()), self.of(NORMAL)
        for coach_id, standing in gone.standings.items():
            own = normal.standings.setdefault(coach_id, Standing())
            own.credit += standing.credit
            own.assigned += standing.assigned
            own.entitled += standing.entitled
        for decision in self.decisions.values():
            if decision.kind == kind:
                decision.kind = NORMAL
        return {coach_id: standing.credit for coach_id, standing in gone.standings.items()}

    def standings(self) -> Iterator[tuple[str, str, Standing]]:
        """Yield every coach's standing in every kind: kind, coach, standing."""
        for kind, ledger in self.ledgers.items():
            for coach_id, standing in ledger.standings.items():
                yield kind, coach_id, standing

    def total(self) -> dict[str, Standing]:
        """Return every coach's bookings and credit in all kinds."""
        found: dict[str, Standing] = {}
        for _, coach_id, one in self.standings():
            own = found.setdefault(coach_id, Standing())
            own.credit += one.credit
            own.assigned += one.assigned
            own.entitled += one.entitled
        return found
