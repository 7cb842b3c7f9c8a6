"""Measure everything that has a goal and print both side by side: `make bench`, a quarter of an hour.

`make bench ARGS="relay booking"` runs the measurements whose module has one of these words in its name, and
keeps nothing. A whole run on a commit is kept in bench/results/, and all kept runs are drawn; the table of
the last whole run is last.txt.
"""

import sys
import time
import traceback
from collections.abc import Sequence

from bench import plots
from bench.figures import Figure, Measured, Moved
from bench.measurements import MEASUREMENTS, alone
from bench.runs import Run, commit_here, kept
from bench.table import COLUMNS, Table, heading, write


def main(words: Sequence[str]) -> int:
    """Print each figure when it is measured; return the exit code: 1 if a measurement failed."""
    begun = time.monotonic()
    table = Table([run for run in kept() if run.commit != commit_here()])
    print(f"{table.compared}\n\n{COLUMNS}")
    found, failed = measure(words, table)
    run = Run.of_now(
        [one for one in found if isinstance(one, Figure)],
        [one for one in found if isinstance(one, Moved)],
        time.monotonic() - begun,
    )
    print(f"\n{heading(run)}")
    if failed:
        print(f"failed: {', '.join(failed)}; nothing is kept")
    elif not words:
        keep(run, table)
    return int(bool(failed))


def measure(words: Sequence[str], table: Table) -> tuple[list[Measured], list[str]]:
    """Return what was measured, and the modules whose measurement failed."""
    found: list[Measured] = []
    failed = []
    for one in MEASUREMENTS:
        if words and not any(word in one.__module__ for word in words):
            continue
        try:
            measured = alone(one)
        except Exception:  # noqa: BLE001 - the others are measured all the same
            failed.append(one.__module__)
            traceback.print_exc()
            continue
        for figure in measured:
            print(table.line(figure) if isinstance(figure, Figure) else f"moved: {figure}", flush=True)
        found += measured
    return found, failed


def keep(run: Run, table: Table) -> None:
    """Keep a whole run, and draw it with the others if it is of a commit."""
    write(run, table)
    file = run.keep()
    if file is None:
        print("files differ from the commit: the table is in bench/results/last.txt, the run is not kept")
    else:
        plots.draw(kept())
        print(f"kept in {file}; drawn in {plots.PLOT}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
