"""Measure the goals of booking and delivering in one run, and print them beside what was measured.

`make bench`. The last run is kept under bench/results/.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import booking

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """A goal and what came of it; `at_least` says which side of the goal is good."""

    what: str
    goal: float
    measured: float
    at_least: bool = True

    def __str__(self) -> str:
        """Write a line of the table."""
        met = self.measured >= self.goal if self.at_least else self.measured <= self.goal
        side = "≥" if self.at_least else "≤"
        return (
            f"{self.what:<58} {side} {self.goal:>5.2f}  {self.measured:>7.2f}  {'met' if met else 'NOT MET'}"
        )


def measured() -> list[Row]:
    """Measure everything about booking, one thing after another."""
    goals = {"1 client": 0.40, "8 spread": 0.25, "8 at one instant": 0.15}
    rows = [
        Row(f"booking in the database, {name}, of the bare commit", goals[name], ratio)
        for name, ratio in booking.throughput().items()
    ]
    rows += [
        Row(f"booking with {factor} times the history, times as long", 1.1, ratio, at_least=False)
        for factor, ratio in booking.growth().items()
    ]
    return rows


def main() -> None:
    """Print the table, let the dispatcher be measured, and keep both."""
    rows = measured()
    table = "\n".join(str(row) for row in rows)
    print(table, flush=True)
    deliveries = subprocess.run(
        [sys.executable, "bench/deliveries.py"], capture_output=True, text=True, check=True
    ).stdout
    print(deliveries)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "last.txt").write_text(f"{table}\n{deliveries}", "utf-8")
    (RESULTS / "last.json").write_text(json.dumps([asdict(row) for row in rows], indent=1), "utf-8")


if __name__ == "__main__":
    main()
