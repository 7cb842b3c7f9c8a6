"""The table of goals: each goal, what was measured, and whether it is met."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

COLUMNS = f"{'measurement':<64} {'goal':>8} {'measured':>9} {'unit':<6} {'result':<7}  details"
COMMAND = "make bench"
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """A goal and its measurement, None if not built; `at_least`: the goal is a minimum, not a maximum."""

    what: str
    goal: float
    measured: float | None
    unit: str = ""
    at_least: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the goal is met."""
        if self.measured is None:
            return False
        return self.measured >= self.goal if self.at_least else self.measured <= self.goal

    def __str__(self) -> str:
        """Return a line of the table."""
        relation = "≥" if self.at_least else "≤"
        found = "not built       " if self.measured is None else f"{self.measured:>9.2f} {self.unit:<6}"
        met = "met" if self.is_met else "NOT MET"
        return f"{self.what:<64} {relation} {self.goal:>6g} {found} {met:<7}  {self.note}".rstrip()


def heading() -> str:
    """Return when, where and at which commit the run was made."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whichever git there is
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (
        f"`{COMMAND}` at {datetime.now(UTC):%Y-%m-%dT%H:%MZ}, commit {said or 'unknown'},"
        f" {os.cpu_count()} cores shared by clients and servers, Python {platform.python_version()}"
    )


def keep(heading: str, rows: Sequence[Row], seconds: float) -> None:
    """Write the run into bench/results/, replacing the last one."""
    RESULTS.mkdir(exist_ok=True)
    busy = f"{seconds:.0f} s; load of the last 5 minutes {os.getloadavg()[1]:.1f}, this run's included"
    lines = [heading, "", COLUMNS, *map(str, rows), "", busy]
    (RESULTS / "last.txt").write_text("\n".join(lines) + "\n", "utf-8")
    found = {
        "run": heading,
        "command": COMMAND,
        "took": busy,
        "rows": [{**asdict(row), "met": row.is_met} for row in rows],
    }
    (RESULTS / "last.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
