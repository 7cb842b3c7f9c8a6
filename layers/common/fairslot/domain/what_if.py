"""The same history under another rule: same eligible coaches and cancellations, other choices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fairslot.domain.fair_share import MILLION, jain_index, weights
from fairslot.domain.ledger import Books, Standing
from fairslot.domain.replay import Step, move, weights_of

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

    def policy_of(self, step: Step) -> str:
        """Return the policy for a decision; a manual assignment stays manual."""
        return step.policy if step.policy == MANUAL else self.policy or step.policy

    def weights_of(self, step: Step) -> dict[str, int]:
        """Return the weights of a decision's coaches; has at least the eligible ones."""
        if self.gamma is None:
            return weights_of(step.eligible)
        scores = {one["coach_id"]: one["score"] for one in step.candidates}
        return weights(scores, gamma=self.gamma, low=self.low, high=self.high, manual=self.manual)


@dataclass
class Course:
    """The outcome of a history under a rule; deviations in bookings, in all kinds of hours together.

    `path` has each coach's deviation after some of the steps; `most` is the largest after any step.
    """

    books: Books = field(default_factory=Books)
    most: float = 0.0
    path: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    @property
    def standings(self) -> Mapping[str, Standing]:
        """Every coach's bookings in all kinds."""
        return self.books.total()

    @property
    def largest(self) -> float:
        """The largest deviation at the end, in bookings."""
        return max((abs(deviation(one)) for one in self.standings.values()), default=0.0)

    @property
    def by_kind(self) -> dict[str, float]:
        """The largest deviation at the end within each kind of hour."""
        found: dict[str, float] = {}
        for kind, _, one in self.books.standings():
            found[kind] = max(found.get(kind, 0.0), abs(deviation(one)))
        return found

    @property
    def jain(self) -> float:
        """Jain's index of assigned over entitled bookings."""
        return jain_index((one.assigned, one.entitled / MILLION) for one in self.standings.values())


def deviation(standing: Standing) -> float:
    """Return a coach's assigned minus entitled bookings."""
    return standing.assigned - standing.entitled / MILLION


def run(steps: Iterable[Step], rule: Rule, *, every: int = 1) -> Course:
    """Run a history under a rule, keeping the deviations of one step in `every`."""
    course = Course()
    books = course.books
    for number, step in enumerate(steps, start=1):
        if step.step == "assigned":
            candidates = books.of(step.kind).candidates(step.eligible, rule.weights_of(step))
            books.decide(step.seq, candidates, rule.policy_of(step), step.kind)
        elif step.step == "reversed":
            books.reverse(step.reverses_seq or 0, step.team)
        elif step.step == "removed":
            books.remove(step.kind)
        else:
            move(step, books)
        off = {coach: deviation(one) for coach, one in course.standings.items()}
        course.most = max(course.most, *map(abs, off.values()), 0.0)
        if number % every == 0:
            course.path.append((step.seq, off))
    return course


def table(calendar_id: str, record: Course, other: Course) -> str:
    """Return both courses side by side, one line for each coach."""
    lines = [
        f"{calendar_id:<20} {'as recorded':>32}   {'what if':>32}",
        f"{'coach':<20} " + "   ".join([f"{'assigned':>9} {'entitled':>11} {'deviation':>10}"] * 2),
    ]
    found = [course.standings for course in (record, other)]
    for coach_id in sorted(found[0].keys() | found[1].keys()):
        cells = [_cells(standings.get(coach_id, Standing())) for standings in found]
        lines.append(f"{coach_id:<20} {'   '.join(cells)}")
    kinds = record.by_kind.keys() | other.by_kind.keys()
    rows = [("largest deviation", record.largest, other.largest)]
    if len(kinds) > 1:
        rows += [
            (f"  {kind}", *(course.by_kind.get(kind, 0.0) for course in (record, other)))  # type: ignore[misc]
            for kind in sorted(kinds)
        ]
    for name, *values in (*rows, ("Jain's index", record.jain, other.jain)):
        lines.append(f"{name:<20} " + "   ".join(f"{value:>32.4f}" for value in values))
    return "\n".join(lines)


def _cells(one: Standing) -> str:
    return f"{one.assigned:>9} {one.entitled / MILLION:>11.4f} {deviation(one):>+10.4f}"


def stride(steps: Sequence[Step], points: int = 1_000) -> int:
    """Return the `every` of `run` that gives a plot about `points` points."""
    return max(1, len(steps) // points)
