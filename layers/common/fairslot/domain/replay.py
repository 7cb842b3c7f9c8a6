"""Making every recorded decision again: each choice, share and credit must equal the record.

Pure: whoever has the steps of a record, from the database or over HTTP, replays them by this.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairslot.domain.ledger import NORMAL, Books


class ReplayError(Exception):
    """The first difference between the record and the replay."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the record, as the view distribution_log has it; `kind` is whose ledger it moved."""

    seq: int
    step: str
    kind: str
    policy: str
    chosen: str | None
    reverses_seq: int | None
    candidates: Sequence[Mapping[str, Any]]

    @property
    def eligible(self) -> list[Mapping[str, Any]]:
        """The candidates that could be chosen."""
        return [one for one in self.candidates if "share" in one]

    @property
    def team(self) -> dict[str, int]:
        """The weights by coach of a step that is no decision: of everybody but the coach it is about."""
        return weights_of(one for one in self.candidates if "weight" in one)

    @property
    def amount(self) -> int:
        """By how much an adjustment moved the credit of the coach it is about."""
        return next(int(one["delta"]) for one in self.candidates if one["coach_id"] == self.chosen)


def weights_of(some: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the weights by coach."""
    return {one["coach_id"]: one["weight"] for one in some}


def replay(steps: Iterable[Step]) -> tuple[Books, int]:
    """Make every step again; return the books after the last one, and how many there were.

    Raises:
        ReplayError: the first difference from the record.

    """
    books, count = Books(), 0
    for step in steps:
        count += 1
        if step.seq != count:
            raise ReplayError(f"seq {count}: the record is missing")
        check(step, books)
    return books, count


def compare(books: Books, balance: Iterable[Mapping[str, Any]]) -> None:
    """Compare the books with the credits of now, a row a kind and coach.

    Raises:
        ReplayError: the first difference.

    """
    for row in balance:
        standing = books.of(row["kind"]).of(row["coach_id"])
        for name, found in (("credit", standing.credit), ("last_assigned_seq", standing.last_seq)):
            if row[name] != found:
                raise ReplayError(
                    f"at the end: {name} of {_in_kind(row['coach_id'], row['kind'])}:"
                    f" recorded {row[name]}, replayed {found}"
                )


def check(step: Step, books: Books) -> None:
    """Apply a step to the books; raises ReplayError with the first value that differs from the record."""
    if step.step == "assigned":
        _check_decision(step, books)
    elif step.step == "reversed":
        _check_reversal(step, books)
    elif step.step == "removed":
        found = books.remove(step.kind)
        recorded = {one["coach_id"]: one["credit"] for one in step.candidates}
        _same(step, "credit", recorded, {coach: found.get(coach, 0) for coach in recorded})
    else:
        recorded = {one["coach_id"]: one["delta"] for one in step.candidates}
        _same(step, "delta", recorded, move(step, books))


def move(step: Step, books: Books) -> dict[str, int]:
    """Apply an adjustment, an absence that settles or a coach who leaves; return how credits moved."""
    ledger, coach_id = books.of(step.kind), str(step.chosen)
    if step.step == "adjusted":
        return ledger.adjust(coach_id, step.amount, step.team)
    return (ledger.leave if step.step == "left" else ledger.settle)(coach_id, step.team)


def _check_decision(step: Step, books: Books) -> None:
    eligible = step.eligible
    candidates = books.of(step.kind).candidates(eligible, weights_of(eligible))
    for name, here in (("credit", "credit"), ("last", "last_seq")):
        found = {one.coach_id: getattr(one, here) for one in candidates}
        _same(step, name, {one["coach_id"]: one[name] for one in eligible}, found)
    if not candidates:
        raise ReplayError(f"seq {step.seq}: nobody was eligible")
    done = books.decide(step.seq, candidates, step.policy, step.kind)
    if done.chosen != step.chosen:
        raise ReplayError(f"seq {step.seq}: chosen: recorded {step.chosen}, replayed {done.chosen}")
    _same(step, "share", {one["coach_id"]: one["share"] for one in eligible}, done.shares)
    _same(step, "delta", {one["coach_id"]: one["delta"] for one in eligible}, done.deltas)


def _check_reversal(step: Step, books: Books) -> None:
    decision = books.decisions.get(step.reverses_seq or 0)
    if decision is None:
        raise ReplayError(f"seq {step.seq}: there is no decision {step.reverses_seq} to reverse")
    if decision.kind != step.kind:
        raise ReplayError(f"seq {step.seq}: kind: recorded {step.kind}, replayed {decision.kind}")
    team = weights_of(step.candidates)
    for coach_id in decision.assignment.shares.keys() - team.keys() - books.of(decision.kind).left:
        raise ReplayError(f"seq {step.seq}: {coach_id} is missing but has not left the team")
    lasts = {coach_id: decision.last_seqs.get(coach_id) for coach_id in team}
    deltas = books.reverse(step.reverses_seq or 0, team)
    shares = {coach_id: -decision.assignment.shares.get(coach_id, 0) for coach_id in team}
    for name, found in (("share", shares), ("delta", deltas), ("last", lasts)):
        _same(step, name, {one["coach_id"]: one[name] for one in step.candidates}, found)


def _same(step: Step, what: str, recorded: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for coach_id in sorted(recorded.keys() | found.keys()):
        if recorded.get(coach_id) != found.get(coach_id):
            raise ReplayError(
                f"seq {step.seq}: {what} of {_in_kind(coach_id, step.kind)}:"
                f" recorded {recorded.get(coach_id)}, replayed {found.get(coach_id)}"
            )


def _in_kind(coach_id: str, kind: str) -> str:
    return coach_id if kind == NORMAL else f"{coach_id} in {kind}"
