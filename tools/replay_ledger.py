"""The credits of one calendar, moved record by record: as written, or under another rule.

Pure: it works on what `distribution_log` says and on `fairslot.domain.fair_share` alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairslot.domain.fair_share import Assignment, Candidate, assign, distribute_credit


class ReplayError(Exception):
    """The first difference between the record and the replay."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the log; `candidates` as its column has them."""

    seq: int
    kind: str
    policy: str
    chosen: str
    reverses_seq: int | None
    candidates: Sequence[Mapping[str, Any]]

    @property
    def eligible(self) -> list[Mapping[str, Any]]:
        """Those among whom was chosen."""
        return [one for one in self.candidates if "share" in one]


@dataclass
class Standing:
    """A coach: credit (millionths) and last decision won in the team; bookings got, and owed (millionths)."""

    credit: int = 0
    last_seq: int | None = None
    assigned: int = 0
    entitled: int = 0


@dataclass
class Made:
    """A decision that may be reversed yet."""

    done: Assignment
    last_seqs: dict[str, int | None]


@dataclass
class Ledger:
    """What everybody is owed after the records so far; `left` are those who are in no team now."""

    standings: dict[str, Standing] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    made: dict[int, Made] = field(default_factory=dict)

    def of(self, coach_id: str) -> Standing:
        """Return a coach's standing; whoever is new, or is back, has no credit and no debt."""
        self.left.discard(coach_id)
        return self.standings.setdefault(coach_id, Standing())

    def candidates(
        self, eligible: Sequence[Mapping[str, Any]], weights: Mapping[str, int]
    ) -> list[Candidate]:
        """Return the eligible coaches of a record as they stand here."""
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
        """Apply the rule, and keep what it did."""
        done = assign(candidates, policy)
        self.made[seq] = Made(done, {one.coach_id: one.last_seq for one in candidates})
        for coach_id, delta in done.deltas.items():
            standing = self.of(coach_id)
            standing.credit += delta
            standing.entitled += done.shares[coach_id]
        winner = self.of(done.chosen)
        winner.last_seq, winner.assigned = seq, winner.assigned + 1
        return done

    def reverse(self, seq: int, team: Mapping[str, int]) -> dict[str, int]:
        """Undo a decision and return how the credits of the team (weights by coach) move.

        `team` has at least those of the decision who are in it still; what the others would give back is
        spread over it.
        """
        made = self.made.pop(seq)
        gone = sum(-delta for coach, delta in made.done.deltas.items() if coach not in team)
        extra = distribute_credit(gone, team) if gone else {}
        deltas = {}
        for coach_id in team:
            deltas[coach_id] = extra.get(coach_id, 0) - made.done.deltas.get(coach_id, 0)
            standing = self.of(coach_id)
            standing.credit += deltas[coach_id]
            if standing.last_seq == seq:
                standing.last_seq = made.last_seqs[coach_id]
        for coach_id, share in made.done.shares.items():
            self.standings[coach_id].entitled -= share
        self.standings[made.done.chosen].assigned -= 1
        return deltas

    def leave(self, coach_id: str, team: Mapping[str, int]) -> dict[str, int]:
        """Spread the credit of one who leaves over the rest (weights by coach); return how credits move."""
        standing = self.of(coach_id)
        deltas = distribute_credit(standing.credit, team)
        for mate, delta in deltas.items():
            self.of(mate).credit += delta
        deltas[coach_id] = -standing.credit
        standing.credit, standing.last_seq = 0, None
        self.left.add(coach_id)
        return deltas


def check(entry: Entry, ledger: Ledger) -> None:
    """Apply a record to the ledger as it was; ReplayError names the first thing that is not as recorded."""
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
        raise ReplayError(f"seq {entry.seq}: {entry.chosen} was chosen, by replay it is {done.chosen}")
    _same(entry, "share", {one["coach_id"]: one["share"] for one in eligible}, done.shares)
    _same(entry, "delta", {one["coach_id"]: one["delta"] for one in eligible}, done.deltas)


def _check_reversal(entry: Entry, ledger: Ledger) -> None:
    made = ledger.made.get(entry.reverses_seq or 0)
    if made is None:
        raise ReplayError(f"seq {entry.seq}: there is no decision {entry.reverses_seq} to reverse")
    team = _weights(entry.candidates)
    for coach_id in made.done.shares.keys() - team.keys() - ledger.left:
        raise ReplayError(f"seq {entry.seq}: {coach_id} is left out and has not left the team")
    lasts = {coach_id: made.last_seqs.get(coach_id) for coach_id in team}
    deltas = ledger.reverse(entry.reverses_seq or 0, team)
    shares = {coach_id: -made.done.shares.get(coach_id, 0) for coach_id in team}
    for name, found in (("share", shares), ("delta", deltas), ("last", lasts)):
        _same(entry, name, {one["coach_id"]: one[name] for one in entry.candidates}, found)


def _weights(some: Any) -> dict[str, int]:
    return {one["coach_id"]: one["weight"] for one in some}


def _same(entry: Entry, what: str, recorded: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for coach_id in sorted(recorded.keys() | found.keys()):
        if recorded.get(coach_id) != found.get(coach_id):
            raise ReplayError(
                f"seq {entry.seq}: {what} of {coach_id} is {recorded.get(coach_id)} in the record, "
                f"{found.get(coach_id)} by replay"
            )
