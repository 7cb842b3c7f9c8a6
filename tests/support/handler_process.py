"""What runs in the process of `handler_runs`: a function that answers the events it is given, a line each.

The first line is a JSON object: `module`; `hidden`, the packages that it must not find; `snapshot`, whether
the hooks before a snapshot run; `sample_every`, after how many events the memory is noted. What was seen goes
to standard error at the end.
"""

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.lambda_context import context

if TYPE_CHECKING:
    from tests.support.http import Handler

TRIES = 5
UNAVAILABLE = 503


def main() -> None:
    """Import the function, answer every event, and report."""
    asked = json.loads(sys.stdin.readline())
    for name in asked["hidden"]:
        sys.modules[name] = None  # type: ignore[assignment]  # how the import system marks what is not there
    handler = import_module(asked["module"]).lambda_handler
    if asked["snapshot"]:
        _run_hooks()
    imported, samples = [*sys.modules], [_resident_kib()]
    for number, line in enumerate(sys.stdin, start=1):
        _answer(handler, json.loads(line))
        if number % asked["sample_every"] == 0:
            samples.append(_resident_kib())
    report = {
        "imported": imported,
        "loaded": [*sys.modules],
        "resident_kib": samples,
        "peak_kib": _kib("VmHWM"),
    }
    sys.stderr.write("\0" + json.dumps(report))


def _answer(handler: "Handler", event: dict[str, Any]) -> None:
    """Have an event answered well; as a client would, come back where a busy machine was too slow for it."""
    for _ in range(TRIES):
        answer = handler(event, context(30.0)) or {}
        status = answer.get("statusCode", 200)
        if status != UNAVAILABLE:
            break
        time.sleep(float(answer["headers"]["Retry-After"]))
    assert status < 300, answer
    assert not answer.get("batchItemFailures"), answer


def _run_hooks() -> None:
    """Run what is registered for the moment before a snapshot, as the runtime does."""
    from snapshot_restore_py import get_before_snapshot

    for hook, args, named in reversed(get_before_snapshot()):
        hook(*args, **named)


def _resident_kib() -> int:
    return _kib("VmRSS")


def _kib(name: str) -> int:
    """Return a size of this process as Linux counts it."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
