"""The table of a run: each figure beside its goal, the run before and the first run."""

from collections.abc import Sequence

from bench.figures import Figure
from bench.runs import RESULTS, Run

COLUMNS = (
    f"{'measurement':<66} {'goal':>7} {'measured':>9} {'unit':<6} {'result':<7} {'before':>9} {'first':>9}"
    "  details"
)


class Table:
    """Writes a figure's line, compared with the runs that were kept, the oldest first."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._first = runs[0].values if runs else {}
        self._before = runs[-1].values if runs else {}
        self.compared = (
            f"before: commit {runs[-1].commit}; first: commit {runs[0].commit}" if runs else "no run was kept"
        )

    def line(self, figure: Figure) -> str:
        """Return a figure's line."""
        others = (
            "-" if (value := values.get(figure.name)) is None else f"{value:.2f}"
            for values in (self._before, self._first)
        )
        before, first = others
        return f"{figure} {before:>9} {first:>9}  {figure.note}".rstrip()


def heading(run: Run) -> str:
    """Return when, where and at which commit a run was made."""
    return (
        f"`make bench` at {run.measured_at}, commit {run.commit}, {run.machine};"
        f" {run.seconds:.0f} s, load of the last 5 minutes {run.load}"
    )


def write(run: Run, table: Table) -> None:
    """Write the run's table into bench/results/last.txt."""
    lines = [heading(run), table.compared, "", COLUMNS, *map(table.line, run.figures)]
    if run.moved:
        lines += ["", "moved, not saved:", *map(str, run.moved)]
    if run.parts:
        lines += ["", "what measuring took:", *map(str, run.parts)]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "last.txt").write_text("\n".join(lines) + "\n", "utf-8")
