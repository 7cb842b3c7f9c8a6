"""The cold start of a function of this checkout against that of another commit, in turns.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.cold_against COMMIT [calendar_fetch.app]

The other commit is checked out and installed in a temporary folder. A sample is one of `bench.cold_start`,
each with the code, the packages and the stack of its own side. It is processor time that is compared.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.against import checkout
from bench.figures import range_of

ROUNDS = 15
_ROOT = Path(__file__).parents[1]
_SAMPLES = """
import resource, sys
from bench.cold_start import CODE, Cold, events, first_line

def used():
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime

module = sys.argv[1]
with events() as made:
    one = Cold(module, made)
    for _ in sys.stdin:
        begun = used()
        one._seconds(CODE, first_line(module) + one._event())
        print(used() - begun, flush=True)
"""


class Side:
    """A checkout whose samples are taken one by one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take the process that makes them."""
        self._process = process

    def milliseconds(self) -> float:
        """Take a sample."""
        ask, answer = self._process.stdin, self._process.stdout
        if ask is None or answer is None:
            raise ValueError("the process has no pipes")
        ask.write("\n")
        ask.flush()
        return float(answer.readline()) * 1000


def main(commit: str, module: str = "calendar_fetch.app") -> int:
    """Print how long it takes here, of what it takes there."""
    with (
        tempfile.TemporaryDirectory() as folder,
        checkout(commit, Path(folder) / "tree") as other,
        _samples(other, module) as before,
        _samples(_ROOT, module) as now,
    ):
        pairs = []
        for number in range(1 + ROUNDS):
            sides = {"now": now, "before": before}
            order = [*sides] if number % 2 else [*reversed(sides)]
            took = {name: sides[name].milliseconds() for name in order}
            pairs.append((took["now"], took["before"]))
    pairs = pairs[1:]  # the first of each wrote the byte code
    ratios = [one / other for one, other in pairs]
    here, there = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"{module}: {statistics.median(ratios):.2f} times that of {commit} ({range_of(ratios)}),"
        f" {here:.0f} against {there:.0f} ms of a processor"
    )
    return 0


@contextmanager
def _samples(tree: Path, module: str) -> Iterator[Side]:
    path = os.pathsep.join(str(tree / one) for one in ("functions", "layers/common", ""))
    process = subprocess.Popen(  # noqa: S603  # the interpreter of the checkout
        [tree / ".venv/bin/python", "-c", _SAMPLES, module],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Side(process)
    finally:
        process.communicate()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
