"""The start of a function's process."""

import gc
import os
import subprocess
import sys

import pytest

from fairslot.platform.start import importing
from local.function_env import PYTHONPATH


def test_no_garbage_is_looked_for_while_modules_are_imported() -> None:
    """Afterwards it is, but not among what they made."""
    with importing():
        inside = gc.isenabled()

    assert (inside, gc.isenabled()) == (False, True)
    assert gc.get_freeze_count() > 0
    gc.unfreeze()


@pytest.mark.parametrize(
    "function", ["admin", "availability", "booking", "calendar_fetch", "calendar_push", "webhook_dispatch"]
)
def test_functions_that_somebody_waits_for_start_so(function: str) -> None:
    """Their modules are imported that way."""
    code = f"import gc, {function}.app; print(gc.get_freeze_count())"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        check=True,
        capture_output=True,
        text=True,
    )

    assert int(done.stdout) > 0
