"""The same history under another rule: same eligible coaches and cancellations, other choices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fairslot.booking.distribution import jain_index
from fairslot.domain.fair_share import MILLION, weights
from tools.replay_ledger import Entry, Ledger, Standing

MANUAL = "manual"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule to run the history under; None keeps what was recorded.

    With gamma, the weights are recomputed from the recorded scores, low, high and the manual weights given
    here (1 for the rest).
    """

    policy: str | None = None
    gamma: float | None = None
    low: float = 0.5
    high: float = 2.0
    manual: Mapping[str, float] = field(default_factory=dict)

    def policy_of(self, entry: Entry) -> str:
        """Return the policy for a record; a manual assignment stays manual."""
        return entry.policy if entry.policy == MANUAL else self.policy or entry.policy

    def weights_of(self, entry: Entry) -> dict[str, int]:
        """Return the weights of a record's coaches; has at least the eligible ones."""
        if self.gamma is None:
            return {one["coach_id"]: one["weight"] for one in entry.eligible}
        scores = {one["coach_id"]: one["score"] for one in entry.candidates}
        return weights(scores, gamma=self.gamma, low=self.low, high=self.high, manual=self.manual)


@dataclass
class Course:
    """The outcome of a history under a rule; deviations in bookings.

    `path` has each coach's deviation after some of the records; `most` is the largest after any record.
    """

    standings: Mapping[str, Standing]
    most: float = 0.0
    path: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    @property
    def largest(self) -> float:
        """The largest deviation at the end, in bookings."""
        return max((abs(deviation(one)) for one in self.standings.values()), default=0.0)

    @property
    def jain(self) -> float:
        """Jain's index of assigned over entitled bookings."""
        return jain_index((one.assigned, one.entitled / MILLION) for one in self.standings.values())


def deviation(standing: Standing) -> float:
    """Return a coach's assigned minus entitled bookings."""
    return standing.assigned - standing.entitled / MILLION


def run(entries: Iterable[Entry], rule: Rule, *, every: int = 1) -> Course:
    """Run a history under a rule, keeping the deviations of one record in `every`."""
    ledger = Ledger()
    course = Course(ledger.standings)
    for number, entry in enumerate(entries, start=1):
        if entry.kind == "assigned":
            candidates = ledger.candidates(entry.eligible, rule.weights_of(entry))
            ledger.decide(entry.seq, candidates, rule.policy_of(entry))
        else:
            team = {one["coach_id"]: one["weight"] for one in entry.candidates if "weight" in one}
            if entry.kind == "reversed":
                ledger.reverse(entry.reverses_seq or 0, team)
            else:
                ledger.leave(entry.chosen, team)
        course.most = max(course.most, course.largest)
        if number % every == 0:
            course.path.append((entry.seq, {c: deviation(one) for c, one in ledger.standings.items()}))
    return course


def table(calendar_id: str, record: Course, other: Course) -> str:
    """Return both courses side by side, one line for each coach."""
    lines = [
        f"{calendar_id:<20} {'as recorded':>32}   {'what if':>32}",
        f"{'coach':<20} " + "   ".join([f"{'assigned':>9} {'entitled':>11} {'deviation':>10}"] * 2),
    ]
    for coach_id in sorted(record.standings.keys() | other.standings.keys()):
        cells = [_cells(course.standings.get(coach_id, Standing())) for course in (record, other)]
        lines.append(f"{coach_id:<20} {'   '.join(cells)}")
    for name, values in (
        ("largest deviation", (record.largest, other.largest)),
        ("Jain's index", (record.jain, other.jain)),
    ):
        lines.append(f"{name:<20} " + "   ".join(f"{value:>32.4f}" for value in values))
    return "\n".join(lines)


def _cells(one: Standing) -> str:
    return f"{one.assigned:>9} {one.entitled / MILLION:>11.4f} {deviation(one):>+10.4f}"


def stride(entries: Sequence[Entry], points: int = 1_000) -> int:
    """Return the `every` of `run` that gives a plot about `points` points."""
    return max(1, len(entries) // points)
