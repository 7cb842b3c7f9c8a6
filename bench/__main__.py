"""Measure everything that has a goal and print both side by side: `make bench`, a quarter of an hour.

`make bench ARGS="relay booking"` runs the measurements whose module has one of these words in its name, and
keeps nothing. A whole run on a commit is kept in bench/results/, and all kept runs are drawn; the table of
the last whole run is last.txt.
"""

import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bench import plots
from bench.figures import Figure, Measured, Moved, Part
from bench.measurements import SIDE_BY_SIDE, TIMED, UNTIMED, Measurement, alone
from bench.runs import Run, commit_here, kept
from bench.table import COLUMNS, Table, heading, write


def main(words: Sequence[str]) -> int:
    """Print each figure when it is measured; return the exit code: 1 if a measurement failed."""
    begun = time.monotonic()
    table = Table([run for run in kept() if run.commit != commit_here()])
    print(f"{table.compared}\n\n{COLUMNS}")
    found, parts, failed = measure(words, table)
    run = Run.of_now(
        [one for one in found if isinstance(one, Figure)],
        [one for one in found if isinstance(one, Moved)],
        parts,
        time.monotonic() - begun,
    )
    print(f"\n{heading(run)}")
    if failed:
        print(f"failed: {', '.join(failed)}; nothing is kept")
    elif not words:
        keep(run, table)
    return int(bool(failed))


def measure(words: Sequence[str], table: Table) -> tuple[list[Measured], list[Part], list[str]]:
    """Return what was measured, how long each part took, and the modules whose measurement failed."""
    found: list[Measured] = []
    parts: list[Part] = []
    failed = []
    for measurements, at_once in ((TIMED, 1), (UNTIMED, SIDE_BY_SIDE)):
        chosen = [one for one in measurements if not words or any(word in one.__module__ for word in words)]
        with ThreadPoolExecutor(at_once) as pool:
            for one, (measured, part) in zip(chosen, pool.map(attempt, chosen), strict=True):
                for figure in measured:
                    line = table.line(figure) if isinstance(figure, Figure) else f"moved: {figure}"
                    print(line, flush=True)
                found += measured
                if part is None:
                    failed.append(one.__module__)
                else:
                    print(f"part: {part}", flush=True)
                    parts.append(part)
    return found, parts, failed


def attempt(one: Measurement) -> tuple[list[Measured], Part | None]:
    """Measure; if that fails, print why, and the others are measured all the same."""
    try:
        return alone(one)
    except Exception:  # noqa: BLE001 - whatever it is, it is shown
        traceback.print_exc()
        return [], None


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
