"""The credits of one calendar, record by record: as recorded, or under another rule.

Pure: it needs only the rows of `distribution_log` and `fairslot.domain.fair_share`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairslot.domain.fair_share import Assignment, Candidate, assign, distribute_credit


class ReplayError(Exception):
    """The first difference between the record and the replay."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the log; `candidates` as in its column."""

    seq: int
    kind: str
    policy: str
    chosen: str
    reverses_seq: int | None
    candidates: Sequence[Mapping[str, Any]]

    @property
    def eligible(self) -> list[Mapping[str, Any]]:
        """The candidates that could be chosen."""
        return [one for one in self.candidates if "share" in one]


@dataclass
class Standing:
    """A coach: credit (millionths), last decision won, bookings assigned and entitled to (millionths)."""

    credit: int = 0
    last_seq: int | None = None
    assigned: int = 0
    entitled: int = 0


@dataclass
class Decision:
    """A decision that can still be reversed."""

    assignment: Assignment
    last_seqs: dict[str, int | None]


@dataclass
class Ledger:
    """Every coach's standing after the records so far; `left` are the coaches who left the team."""

    standings: dict[str, Standing] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    decisions: dict[int, Decision] = field(default_factory=dict)

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

    def decide(self, seq: int, candidates: Sequence[Candidate], policy: str) -> Assignment:
        """Apply the rule and record its decision."""
        done = assign(candidates, policy)
        self.decisions[seq] = Decision(done, {one.coach_id: one.last_seq for one in candidates})
        for coach_id, delta in done.deltas.items():
            standing = self.of(coach_id)
            standing.credit += delta
            standing.entitled += done.shares[coach_id]
        winner = self.of(done.chosen)
        winner.last_seq, winner.assigned = seq, winner.assigned + 1
        return done

    def reverse(self, seq: int, team: Mapping[str, int]) -> dict[str, int]:
        """Undo a decision and return the changes of the team's credits; `team` is weights by coach.

        `team` must have every coach of the decision who has not left. What those who left would give back is
        distributed over it.
        """
        decision = self.decisions.pop(seq)
        gone = sum(-delta for coach, delta in decision.assignment.deltas.items() if coach not in team)
        extra = distribute_credit(gone, team) if gone else {}
        deltas = {}
        for coach_id in team:
            deltas[coach_id] = extra.get(coach_id, 0) - decision.assignment.deltas.get(coach_id, 0)
            standing = self.of(coach_id)
            standing.credit += deltas[coach_id]
            if standing.last_seq == seq:
                standing.last_seq = decision.last_seqs[coach_id]
        for coach_id, share in decision.assignment.shares.items():
            self.standings[coach_id].entitled -= share
        self.standings[decision.assignment.chosen].assigned -= 1
        return deltas

    def leave(self, coach_id: str, team: Mapping[str, int]) -> dict[str, int]:
        """Distribute the credit of a leaving coach over the `team` (weights by coach); return the changes."""
        standing = self.of(coach_id)
        deltas = distribute_credit(standing.credit, team)
        for mate, delta in deltas.items():
            self.of(mate).credit += delta
        deltas[coach_id] = -standing.credit
        standing.credit, standing.last_seq = 0, None
        self.left.add(coach_id)
        return deltas


def check(entry: Entry, ledger: Ledger) -> None:
    """Apply a record to the ledger; raises ReplayError with the first value that differs from the record."""
    if entry.kind == "assigned":
        _check_decision(entry, ledger)
    elif entry.kind == "reversed":
        _check_reversal(entry, ledger)
    else:
        team = _weights(one for one in entry.candidates if one["coach_id"] != entry.chosen)
        deltas = ledger.leave(entry.chosen, team)
        _same(entry, "delta", {one["coach_id"]: one["delta"] for one in entry.candidates}, deltas)


def _check_decision(entry: Entry, ledger: Ledger) -> None:
    eligible = entry.eligible
    candidates = ledger.candidates(eligible, _weights(eligible))
    for name, here in (("credit", "credit"), ("last", "last_seq")):
        found = {one.coach_id: getattr(one, here) for one in candidates}
        _same(entry, name, {one["coach_id"]: one[name] for one in eligible}, found)
    if not candidates:
        raise ReplayError(f"seq {entry.seq}: nobody was eligible")
    done = ledger.decide(entry.seq, candidates, entry.policy)
    if done.chosen != entry.chosen:
        raise ReplayError(f"seq {entry.seq}: chosen: recorded {entry.chosen}, replayed {done.chosen}")
    _same(entry, "share", {one["coach_id"]: one["share"] for one in eligible}, done.shares)
    _same(entry, "delta", {one["coach_id"]: one["delta"] for one in eligible}, done.deltas)


def _check_reversal(entry: Entry, ledger: Ledger) -> None:
    decision = ledger.decisions.get(entry.reverses_seq or 0)
    if decision is None:
        raise ReplayError(f"seq {entry.seq}: there is no decision {entry.reverses_seq} to reverse")
    team = _weights(entry.candidates)
    for coach_id in decision.assignment.shares.keys() - team.keys() - ledger.left:
        raise ReplayError(f"seq {entry.seq}: {coach_id} is missing but has not left the team")
    lasts = {coach_id: decision.last_seqs.get(coach_id) for coach_id in team}
    deltas = ledger.reverse(entry.reverses_seq or 0, team)
    shares = {coach_id: -decision.assignment.shares.get(coach_id, 0) for coach_id in team}
    for name, found in (("share", shares), ("delta", deltas), ("last", lasts)):
        _same(entry, name, {one["coach_id"]: one[name] for one in entry.candidates}, found)


def _weights(some: Any) -> dict[str, int]:
    return {one["coach_id"]: one["weight"] for one in some}


def _same(entry: Entry, what: str, recorded: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for coach_id in sorted(recorded.keys() | found.keys()):
        if recorded.get(coach_id) != found.get(coach_id):
            raise ReplayError(
                f"seq {entry.seq}: {what} of {coach_id}: recorded {recorded.get(coach_id)}, "
                f"replayed {found.get(coach_id)}"
            )
