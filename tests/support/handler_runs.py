"""Functions in processes of their own, with the packages that are deployed and no others."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CODE = "from tests.support.handler_process import main; main()"
_PINNED = re.compile(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", re.MULTILINE)
# What Lambda's runtime brings along.
_RUNTIME = {"awslambdaric", "snapshot-restore-py"}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The modules after the import and at the end; the memory then, at each sample, and at most (KiB)."""

    imported: Sequence[str]
    loaded: Sequence[str]
    resident_kib: Sequence[int]
    peak_kib: int


def run(
    module: str,
    events: Iterable[Mapping[str, Any]] = (),
    *,
    variables: Mapping[str, str] | None = None,
    snapshot: bool = False,
    sample_every: int = 1_000_000,
) -> Seen:
    """Import a function in a process of its own and have it answer events, made as it goes.

    With `snapshot` it is made as on AWS with SnapStart: the hooks before the snapshot count as the import.
    """
    # Where this process finds modules, that one does.
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    kind = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if snapshot else "on-demand"}
    with subprocess.Popen(
        [sys.executable, "-c", CODE],
        env={**os.environ, **path, **(variables or {}), **kind},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(first_line(module, snapshot=snapshot, sample_every=sample_every))
        try:
            for event in events:
                process.stdin.write(json.dumps(event) + "\n")
        except BrokenPipeError:
            pass  # it ended early, and says why
        _, said = process.communicate()
    assert process.returncode == 0, said
    report = json.loads(said.rpartition("\0")[2])
    for name in ("imported", "loaded"):
        report[name] = [one for one in report[name] if one not in undeployed()]
    return Seen(**report)


def first_line(module: str, *, snapshot: bool = False, sample_every: int = 1_000_000) -> str:
    """Return the line by which the process knows what to do."""
    asked = {"module": module, "hidden": undeployed(), "snapshot": snapshot, "sample_every": sample_every}
    return json.dumps(asked) + "\n"


@cache
def undeployed() -> list[str]:
    """Return the packages that are installed here and not pinned for what is deployed."""
    deployed = {*_PINNED.findall((ROOT / "layers/common/requirements.txt").read_text("utf-8")), *_RUNTIME}
    return sorted(
        name
        for name, owners in packages_distributions().items()
        if not deployed & {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners}
    )
