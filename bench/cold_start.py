"""Importing a function and its first response, against importing the same libraries alone, in one run.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.cold_start

Every sample is a process of its own, from start to end, in turns, with byte code and with the packages that
are deployed. The first response is a real one: Postgres, Valkey, queues and partners run, and nothing is
connected before. The other side imports, in the same order, the third-party and standard modules that the
first process had at its end, and none of ours.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import botocore

from bench.figures import Figure, range_of
from bench.stack import stack
from fairslot.platform import db
from fairslot.platform.aws import Service
from tests.support.cloudformation import template
from tests.support.handler_events import HandlerEvents, handler_events
from tests.support.handler_runs import CODE, ROOT, first_line, run, undeployed
from trim_botocore import trim

ROUNDS = 5
FUNCTIONS = ("booking.app", "availability.app", "webhook_dispatch.app", "calendar_fetch.app")
OURS = ("__main__", "fairslot", "tests", *(one.partition(".")[0] for one in FUNCTIONS))

IMPORTS = """
import json, sys
from importlib import import_module

asked = json.loads(sys.stdin.readline())
for name in asked["hidden"]:
    sys.modules[name] = None
for name in asked["names"]:
    try:
        import_module(name)
    except ImportError:
        pass  # a name that a library gives a module of its own later on
"""
NOTHING = "import sys; sys.stdin.readline()"
# Whoever measures stops here: Lambda ends a process by freezing it.
END = "\nimport os, sys; sys.stdout.flush(); os._exit(0)"


def figures() -> Iterator[Figure]:
    """Measure import and first response, by function, and what booking alone imports."""
    found, imports = ratios()
    for module, one in found.items():
        yield Figure(
            name=f"cold start of {module.partition('.')[0]} against its imports",
            value=one["ratio"],
            unit="times",
            goal=1.2,
            note=f"{one['ms']:.0f} of {one['libraries_ms']:.0f} ms; {one['spread']}",
        )
    yield Figure(name="imports of booking", value=imports, unit="ms", goal=280)


def ratios() -> tuple[dict[str, dict[str, Any]], float]:
    """Return by function the ratio of the pairs and each side (medians, ms); and booking's imports (ms)."""
    with events() as made:
        found = {module: Cold(module, made) for module in FUNCTIONS}
        return {module: one.figures() for module, one in found.items()}, found["booking.app"].imports()


class Cold:
    """The cold start of one function."""

    def __init__(self, module: str, made: HandlerEvents) -> None:
        """Take the function and what there is to answer."""
        self._module, self._make = module, made.makers[module]
        self._environment = {**os.environ, **made.variables}

    def figures(self) -> dict[str, Any]:
        """Measure its first response against its libraries."""
        sides = {
            "ms": (CODE, first_line(self._module) + self._event()),
            "libraries_ms": (IMPORTS, self._library_names()),
        }
        took = self._in_turns(sides)
        pairs = [one / other for one, other in zip(*took.values(), strict=True)]
        medians = {side: statistics.median(one) * 1000 for side, one in took.items()}
        return {**medians, "ratio": statistics.median(pairs), "spread": range_of(pairs)}

    def imports(self) -> float:
        """Measure its imports, in milliseconds, without the start of Python."""
        took = self._in_turns({"imports": (CODE, first_line(self._module)), "python": (NOTHING, "\n")})
        imports, python = (statistics.median(one) for one in took.values())
        return (imports - python) * 1000

    def _in_turns(self, sides: dict[str, tuple[str, str]]) -> dict[str, list[float]]:
        """Run each side in each round, taking turns to go first; return the seconds of each."""
        took: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(1 + ROUNDS):
            for side in sides if number % 2 else [*reversed(sides)]:
                took[side].append(self._seconds(*sides[side]))
        return {side: one[1:] for side, one in took.items()}  # the first of each wrote the byte code

    def _event(self) -> str:
        return json.dumps(self._make()) + "\n"

    def _library_names(self) -> str:
        """Return the call that imports the libraries of an import and a first response, in their order."""
        loaded = run(self._module, [self._make()], variables=self._environment).loaded
        names = [name for name in loaded if name.partition(".")[0] not in OURS]
        return json.dumps({"hidden": undeployed(), "names": names}) + "\n"

    def _seconds(self, code: str, given: str) -> float:
        """Run code in a fresh process."""
        begun = time.perf_counter()
        subprocess.run(  # noqa: S603  # this interpreter
            [sys.executable, "-c", code + END],
            input=given,
            env=self._environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return time.perf_counter() - begun


@contextmanager
def events() -> Iterator[HandlerEvents]:
    """Start what the functions talk to; yield their events, and variables as in the template."""
    with (
        tempfile.TemporaryDirectory() as folder,
        stack() as parts,
        db.connect(parts.postgres.url) as connection,
        handler_events(connection, parts.sqs.client(), Path(folder)) as made,
    ):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        path = os.pathsep.join((_deployed_botocore(Path(folder)), os.environ["PYTHONPATH"]))
        deployed = {"PYTHONPYCACHEPREFIX": folder, "PYTHONPATH": path, **_globals()}
        yield replace(made, variables={**made.variables, **deployed})


def _deployed_botocore(folder: Path) -> str:
    """Return a folder with botocore as the layer's build leaves it."""
    installed, layer = Path(botocore.__file__).parent, folder / "layer/botocore"
    layer.mkdir(parents=True)
    for one in installed.iterdir():
        if one.name not in {"data", "__pycache__"}:
            (layer / one.name).symlink_to(one)
    shutil.copytree(installed / "data", layer / "data")
    trim(layer / "data", get_args(Service.__value__))
    return str(layer.parent)


def _globals() -> dict[str, str]:
    """Return the variables that the template gives every function."""
    shared = template()["Globals"]["Function"]["Environment"]["Variables"]
    return {name: str(value) for name, value in shared.items()}


if __name__ == "__main__":
    print(*figures(), sep="\n")
