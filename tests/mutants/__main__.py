"""Take each guard out in turn and expect its test to go red: `python -m tests.mutants [part …]`.

A part is of a guard's name, or of the file that it is in.

A mutant is a copy of `fairslot` and the functions in which one piece of text is another, and a run of the
tests that must notice. Each is told in a line: killed by which test and why, or SURVIVED, and then the exit
code is 1. Before them the same tests run on an unchanged copy and must pass.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants import (
    access,
    access_limits,
    attributes,
    caldav,
    calendar_writes,
    calendars,
    changes,
    connecting,
    edges,
    engine,
    google,
    http,
    ledgers,
    limits,
    microsoft,
    pages,
    patience,
    privacy,
    pushes,
    relay,
    rights,
    sources,
    team,
    upgrades,
    watching,
    webhooks,
)
from tests.mutants.guard import Guard

GUARDS = (
    *engine.GUARDS,
    *changes.GUARDS,
    *edges.GUARDS,
    *http.GUARDS,
    *access.GUARDS,
    *access_limits.GUARDS,
    *webhooks.GUARDS,
    *relay.GUARDS,
    *calendars.GUARDS,
    *calendar_writes.GUARDS,
    *google.GUARDS,
    *microsoft.GUARDS,
    *caldav.GUARDS,
    *connecting.GUARDS,
    *pages.GUARDS,
    *limits.GUARDS,
    *patience.GUARDS,
    *privacy.GUARDS,
    *pushes.GUARDS,
    *ledgers.GUARDS,
    *team.GUARDS,
    *upgrades.GUARDS,
    *watching.GUARDS,
    *attributes.GUARDS,
    *sources.GUARDS,
    *rights.GUARDS,
)

_ROOT = Path(__file__).parent.parent.parent
_COPIED = ("functions", "layers/common")
_PASSED, _FAILED = 0, 1  # pytest's exit codes; the others mean that the tests could not run


class BrokenError(Exception):
    """A mutant cannot be made, or its tests cannot be run."""


def copy_with(guard: Guard | None, home: Path) -> Path:
    """Copy the layer and the functions, without a guard if one is given; return where the copies are.

    Raises:
        BrokenError: what is to be taken out is not there once, or as often as is said.

    """
    for folder in _COPIED:
        shutil.copytree(_ROOT / folder, home / folder, ignore=shutil.ignore_patterns("__pycache__"))
    if guard is not None:
        file = home / guard.path
        text = file.read_text("utf-8")
        if text.count(guard.old) != guard.times:
            raise BrokenError(f"found {text.count(guard.old)} times in {guard.file}, not {guard.times}")
        file.write_text(text.replace(guard.old, guard.new), "utf-8")
    return home


def run_tests(home: Path, tests: Iterable[str]) -> str | None:
    """Run tests on copies until one fails; return its name and why, or None when all pass.

    Raises:
        BrokenError: they did not run.

    """
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--timeout=60"),
            *("-p", "no:cacheprovider"),
            *("-o", "pythonpath="),  # the copy's, which the environment names, not the package's own
            *tests,
        ],
        cwd=_ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*(str(home / folder) for folder in _COPIED), str(_ROOT)]),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(home / "hypothesis"),
            "COLUMNS": "250",  # or pytest cuts the reason off
        },
        capture_output=True,
        text=True,
        check=False,
    )
    failed = [line[7:] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode == _PASSED:
        return None
    if done.returncode != _FAILED or not failed:
        raise BrokenError(f"the tests did not run:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return failed[0]


def judge(guard: Guard | None) -> tuple[bool, str]:
    """Return whether all is as it should be with a guard taken out, or with none, and how to say it."""
    name = guard.name if guard else "nothing is changed"
    tests = [guard.test] if guard else sorted({one.test for one in GUARDS})
    with tempfile.TemporaryDirectory(prefix="mutant-") as home:
        try:
            killer = run_tests(copy_with(guard, Path(home)), tests)
        except BrokenError as error:
            return False, f"{'BROKEN':9}{name}: {error}"
    if guard is None:
        return killer is None, f"{'RED' if killer else 'green':9}{name}: {killer or 'all pass'}"
    return killer is not None, f"{'killed' if killer else 'SURVIVED':9}{name}: {killer or 'all pass'}"


def main() -> int:
    """Try every mutant, or those that are named; return 1 if one survives."""
    parts = sys.argv[1:]
    wanted = [one for one in GUARDS if not parts or any(part in f"{one.name} {one.file}" for part in parts)]
    good = True
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for fine, told in pool.map(judge, [*([] if parts else [None]), *wanted]):
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()
            good = good and fine
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
