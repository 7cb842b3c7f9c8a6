"""What came of the requests of a run: times, refusals and errors by kind."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

_PARTS = 5
COLUMNS = (
    f"{'':<10}{'answered':>9}{'/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'longest':>9}{'refused':>9}{'errors':>8}"
)


@dataclass
class Traffic:
    """The requests of a run of so many seconds.

    `answered` has by kind the seconds since the begin and the seconds that a response took, of requests that
    did what they asked for; `refused` counts those that could not, because the time was taken meanwhile.
    """

    seconds: float = 0.0
    answered: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    refused: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def fail(self, kind: str, what: str) -> None:
        """Note an error."""
        self.errors[kind] += 1
        if len(self.examples) < _PARTS:
            self.examples.append(f"{kind}: {what[:500]}")

    def rate(self, kind: str) -> float:
        """Return how many a second were answered."""
        return len(self.answered[kind]) / self.seconds

    def milliseconds(self, kind: str, percent: int) -> float:
        """Return a percentile of the times."""
        return percentile([took for _, took in self.answered[kind]], percent) * 1000

    def by_part(self, kind: str) -> list[float]:
        """Return the rate in each fifth of the run."""
        part = self.seconds / _PARTS
        counts = Counter(min(int(at / part), _PARTS - 1) for at, _ in self.answered[kind])
        return [counts[number] / part for number in range(_PARTS)]

    def __str__(self) -> str:
        """Return a table of the kinds, and the rates by fifth."""
        lines = [COLUMNS]
        kinds = sorted({*self.answered, *self.refused, *self.errors})
        for kind in kinds:
            times = [took for _, took in self.answered[kind]]
            quickness = [self.milliseconds(kind, 50), self.milliseconds(kind, 99), longest(times) * 1000]
            lines.append(
                f"{kind:<10}{len(times):>9}{self.rate(kind):>8.1f}"
                f"{''.join(f'{one:>9.1f}' for one in quickness)}{self.refused[kind]:>9}{self.errors[kind]:>8}"
            )
        lines += [
            f"{kind}s a second, by fifth of the run: {' '.join(f'{one:.0f}' for one in self.by_part(kind))}"
            for kind in kinds
        ]
        return "\n".join([*lines, *self.examples])


def longest(values: Sequence[float]) -> float:
    """Return the largest; NaN of nothing."""
    return max(values, default=math.nan)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile; NaN of nothing."""
    if not values:
        return math.nan
    return (
        values[0]
        if len(values) == 1
        else statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
    )
